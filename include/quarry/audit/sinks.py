"""Where the entries of journals end up: the usage of tenants, the audit, and the query log."""

from include.quarry.audit.trail import store_records
from include.quarry.feedback.query_log import store_queries
from include.quarry.limits.accounting import count_usage

SINKS = (count_usage, store_records, store_queries)
"""In this order: what the audit has noted as shipped, the usage must have been told before."""
