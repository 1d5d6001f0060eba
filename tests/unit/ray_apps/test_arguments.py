"""A job's command line: options from its model, blanks as absent, refusals with a usage message."""

from datetime import UTC, datetime

import pytest

from ray_apps.jobs.arguments import parse_arguments
from ray_apps.jobs.build_index import BuildIndex
from ray_apps.jobs.embed_corpus import EmbedCorpus


def arguments(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["job", *words])


def test_a_window_is_read_from_iso_times(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments(monkeypatch, "--corpus", "main", "--from", "2026-11-01T00:00:00+00:00", "--to", "2026-11-02T00:00:00Z")
    job = parse_arguments(EmbedCorpus, "doc")
    assert (job.changed_from, job.changed_until) == (
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 11, 2, tzinfo=UTC),
    )


def test_a_blank_option_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments(monkeypatch, "--corpus", "", "--from", "")
    assert parse_arguments(EmbedCorpus, "doc") == EmbedCorpus()


@pytest.mark.parametrize("version_id", ["../escape", "Upper", "", "a b", "x" * 121])
def test_a_version_id_that_could_be_a_path_is_refused(monkeypatch: pytest.MonkeyPatch, version_id: str) -> None:
    arguments(monkeypatch, "--version-id", version_id)
    with pytest.raises(SystemExit) as exit_info:
        parse_arguments(BuildIndex, "doc")
    assert exit_info.value.code == 2


def test_a_missing_required_option_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments(monkeypatch)
    with pytest.raises(SystemExit):
        parse_arguments(BuildIndex, "doc")
