"""The verbs of people over index versions, thin over `routing`; the command line and the HTTP API share them.

All of them block: they read and write the catalog, the proof also a whole index.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog.database import opened
from include.quarry.catalog.log import head
from include.quarry.catalog.routes import live_spec
from include.quarry.errors import InvalidInput, Misconfigured, NotFound
from include.quarry.operations.airflow_api import AirflowApi, DagRun, read_password
from include.quarry.operations.installation import Installation
from include.quarry.routing import promotion
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.retention import retire_version
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec
from include.quarry.versions.view import view_version, view_versions

REINDEX = "reindex_corpus"


class VersionDesk:
    """The versions of one installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def listing(self, corpus: str | None = None) -> list[dict[str, Any]]:
        """The fields of a `VersionView` each, newest first."""
        with self._reading() as connection:
            return [asdict(view) for view in view_versions(connection, corpus, self._settings)]

    def show(self, version_id: str) -> dict[str, Any]:
        """One version, as `view_version` gives it. Raises `NotFound`."""
        with self._reading() as connection:
            return view_version(connection, version_id, self._settings)

    def spec_of(self, corpus: str, choice: str) -> IndexSpec:
        """The spec that was asked for: `live` for the live version's, else as `Settings.index_spec` reads it.

        Raises `NotFound` where nothing was ever accepted, most likely a slip of the pen, and `InvalidInput` for what
        is no spec.
        """
        with self._reading() as connection:
            if head(connection, corpus) == 0:
                raise NotFound(f"corpus {corpus!r} has no documents; ingest some, or mend the name")
            live = live_spec(connection, corpus) or self._settings.index_spec()
        try:
            return live if choice == "live" else self._settings.index_spec(choice)
        except Misconfigured as error:
            raise InvalidInput(str(error)) from error

    def start_build(self, corpus: str, spec: str | Mapping[str, Any]) -> DagRun:
        """Have Airflow build, prove, try and promote a version of a spec, given as in `spec_of` or by its parts.

        Raises what `spec_of` raises, and `Unavailable` when Airflow does not answer.
        """
        choice = spec if isinstance(spec, str) else json.dumps(spec)
        self.spec_of(corpus, choice)
        password = read_password(Installation(self._settings).airflow_passwords)
        return AirflowApi(self._settings.airflow_url, password).trigger(REINDEX, {"corpus": corpus, "spec": choice})

    def promote(self, version_id: str, *, unchecked: bool = False) -> dict[str, Any]:
        """Prove the version complete, then let it answer; gives `route` and `proof`, None where none was asked for.

        Raises `NotFound`, `IncompleteIndex`, or `Conflict` when it was never built or has failed.
        """
        proof = None if unchecked else check_completeness(version_id, self._settings)
        return {"route": promotion.promote(version_id, self._settings), "proof": proof}

    def roll_back(self, corpus: str, reason: str) -> dict[str, Any]:
        """Let the version answer that was live before; gives the route. Raises `NotFound` or `Conflict`."""
        return promotion.roll_back(corpus, reason, self._settings)

    def retire(self, version_id: str) -> dict[str, Any]:
        """End a version that does not answer. Raises `NotFound`, or `Conflict` while it does."""
        retire_version(version_id, self._settings)
        return self.show(version_id)

    def refuse(self, version_id: str, reason: str) -> dict[str, Any]:
        """Take a version off its way. Raises `NotFound`, or `Conflict` when it is live."""
        promotion.refuse(version_id, reason, self._settings)
        return self.show(version_id)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with opened(self._settings.catalog_url) as database, database.read() as connection:
            yield connection
