"""Trying a candidate by degrees: in shadow, then as the canary of a growing share, until a verdict is possible."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from include.quarry.catalog.database import Database, opened
from include.quarry.catalog.observations import read_observations
from include.quarry.catalog.routes import find_route, put_in_canary, put_in_shadow
from include.quarry.catalog.versions import IndexVersion, find_version
from include.quarry.errors import Refused, Unavailable
from include.quarry.gateway.composition import only_tenant, own_token
from include.quarry.routing.probes import ask, sample_probes
from include.quarry.routing.promotion import hold, refuse
from include.quarry.routing.trial import Limits, Trial, judge_trial
from include.quarry.settings import Settings

Role = Literal["shadow", "canary"]
_PUT = {"shadow": put_in_shadow, "canary": put_in_canary}
_PROBES = 50
_IN_A_ROW = 20  # answers from the version by which every replica has been met, in all likelihood
_LOOK_AGAIN_S = 0.5


def try_version(
    version_id: str, role: Role, share: float, settings: Settings, limits: Limits | None = None
) -> dict[str, Any]:
    """Give a candidate a share of the queries and judge what is seen of it; gives the `Trial` as a plain object.

    Live queries count, and probes are asked besides, so that a quiet night decides too. A candidate that fails, or of
    which too little can be seen within `trial_patience_s`, is taken off its route and fails: then raises `Refused`.
    Without a live version there is nothing to compare with, and nothing to try.
    """
    with opened(settings.catalog_url) as database:
        with database.write() as connection:
            version = find_version(connection, version_id)
            route = find_route(connection, version.corpus)
            if route is None or route.live_version == version_id:
                return {"outcome": "pass", "reasons": [f"corpus {version.corpus!r} has no other live version"]}
            _PUT[role](connection, version_id, share)
        trial = _observe(database, version, settings, limits or Limits())
    if trial.outcome != "pass":
        reason = f"as {role} with a share of {share:g}: {'; '.join(trial.reasons)}"
        refuse(version_id, reason, settings)
        raise Refused(f"index version {version_id!r} is refused {reason}; the live version goes on answering")
    return asdict(trial)


def hold_version(version_id: str, settings: Settings) -> bool:
    """Let replicas hold a version beside the live one, and wait until they do; false when nothing is live yet.

    Raises `Unavailable` when the front door has not answered from the version within `trial_patience_s`.
    """
    if not hold(version_id, settings):
        return False
    with opened(settings.catalog_url) as database, database.read() as connection:
        corpus = find_version(connection, version_id).corpus
        probes = sample_probes(connection, corpus, _IN_A_ROW, 0, only_tenant(settings))
    token_of = _tokens(settings, "retrieve", "admin")
    deadline, pause = time.monotonic() + settings.trial_patience_s, threading.Event()
    while True:
        try:
            for _ in ask(settings.http_url, corpus, probes, token_of, version_id):
                pass
            return True
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        pause.wait(_LOOK_AGAIN_S)


def _observe(database: Database, version: IndexVersion, settings: Settings, limits: Limits) -> Trial:
    began, deadline = datetime.now(UTC), time.monotonic() + settings.trial_patience_s
    trial = judge_trial(_seen(database, version, began), limits)
    pause, only, token_of = threading.Event(), only_tenant(settings), _tokens(settings, "retrieve")
    for seed in _turns(deadline):
        with database.read() as connection:
            probes = sample_probes(connection, version.corpus, _PROBES, seed, only)
        with suppress(Unavailable):  # said by the outcome: too little was seen
            for _ in ask(settings.http_url, version.corpus, probes, token_of):
                pass
        pause.wait(_LOOK_AGAIN_S)  # replicas write what they saw a few times a second
        trial = judge_trial(_seen(database, version, began), limits)
        print(f"{trial.queries} of {limits.min_queries} queries seen, {trial.failures} failed", flush=True)
        if trial.outcome != "undecided":
            break
    return trial


def _tokens(settings: Settings, *scopes: str) -> Callable[[str], str]:
    """A token for each tenant that probes ask as, made once."""
    return cache(lambda tenant: own_token(settings, tenant, *scopes))


def _turns(deadline: float) -> Iterator[int]:
    seed = time.time_ns()
    while time.monotonic() < deadline:
        yield seed
        seed += 1


def _seen(database: Database, version: IndexVersion, since: datetime) -> Any:
    with database.read() as connection:
        return read_observations(connection, version.version_id, since)
