"""Every metric that a dashboard shows or the README names is one that some part of the platform exports."""

import json
import re
from pathlib import Path

import pytest

from ray_apps.gateway import cache_metrics

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "include/infra/grafana").glob("*.json"))
KINDS = {
    name: kind
    for path in (ROOT / "ray_apps").rglob("*.py")
    for kind, name in re.findall(r"(Gauge|Counter|Histogram)\(\s*\"(quarry_\w+)\"", path.read_text())
} | {f"quarry_cache_{name}": "Counter" for name in cache_metrics._SAYS}
EXPORTED = {  # Ray's exporter ends the name of a counter with _total
    name + "_total" if kind == "Counter" and not name.endswith("_total") else name for name, kind in KINDS.items()
}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_every_metric_that_is_shown_exists(path: Path) -> None:
    expressions = [target["expr"] for panel in json.loads(path.read_text())["panels"] for target in panel["targets"]]
    shown = {name for each in expressions for name in re.findall(r"ray_(quarry_\w+)", each)}
    assert shown
    assert {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in shown} <= EXPORTED


def test_the_feeds_have_a_dashboard_with_lag_rate_quarantine_and_freshness() -> None:
    (text,) = (path.read_text() for path in DASHBOARDS if path.name == "feeds.json")
    for name in ("feed_lag", "feed_lag_seconds", "feed_changes_total", "quarantined", "freshness_seconds_bucket"):
        assert f"ray_quarry_{name}" in text


def test_the_feeds_dashboard_shows_what_was_embedded_and_what_was_spared() -> None:
    (text,) = (path.read_text() for path in DASHBOARDS if path.name == "feeds.json")
    for name in ("texts_embedded_total", "vectors_reused_total", "documents_skipped_total"):
        assert f"ray_quarry_{name}" in text


def test_every_metric_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"`ray_(quarry_\w+)`", (ROOT / "README.md").read_text()))
    assert len(named) > 10
    assert named <= EXPORTED
