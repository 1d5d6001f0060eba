"""Relevance as a number: suites, metrics, significance and the gate."""
