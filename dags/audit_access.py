"""Every night, prove that the record of who read what is whole, seal it, and look for odd reads.

- `inspect` ships what dead processes left, verifies every chain of records and every seal, seals the heads of the
  chains, and ends records whose retention (`QUARRY_AUDIT_RETENTION_S`) is over.
- `report` looks for passages that reached another tenant, ids of other tenants that were named, bursts of refusals, and
  subjects that read far more documents than their peers. The page and the seal go to MLflow (experiment
  `quarry-audit`) and to `audit-reports/` of the home; seals that MLflow has kept are held against the catalog.

A chain that is broken, a seal that was replaced, or a passage that reached another tenant fails `report` and is told at
once. What a report in MLflow has told does not fail again, but for a seal that was replaced: that one fails until the
run that kept it is deleted. By hand it looks at the last 24 hours.
"""

import json
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, task
from quarry_dag import quarry_dag, run_to_the_end, span

from include.quarry.settings import load_settings

SINCE, UNTIL = span(days=1)

with quarry_dag(
    __file__,
    doc=__doc__,
    schedule=CronDataIntervalTimetable("30 0 * * *", timezone="UTC"),
    tags=["audit", "evaluation"],
    params={},
) as dag:

    @task
    def inspect() -> dict[str, Any]:
        """Verify and seal; gives the seal, and what does not fit."""
        from include.quarry.audit.inspection import inspect as inspect_audit  # noqa: PLC0415 heavy

        found = inspect_audit(load_settings())
        print(json.dumps(found, indent=1))
        return found

    @task
    def report(since: str, until: str) -> None:
        """Write the page, keep it in MLflow, and fail when the audit is broken or a passage has leaked."""
        run_to_the_end("evaluation", "access", "--since", since, "--until", until)

    inspect() >> report(SINCE, UNTIL)
