"""Variables that look like settings and are none: with a default in its place, a mistyped one would go unnoticed."""

from collections.abc import Iterable
from difflib import get_close_matches

from include.quarry.errors import Misconfigured
from include.quarry.operations.installation import MARK
from include.quarry.operations.programs import PART
from include.quarry.settings import Settings

_PREFIX, _OF_TESTS = "QUARRY_", "QUARRY_TEST_"
_OURS = {MARK, PART, "QUARRY_IMAGE"}  # the last one is docker-compose.airflow.yml's


def require_known(names: Iterable[str]) -> None:
    """Raise `Misconfigured` naming each variable with our prefix that is no setting, and which may have been meant."""
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    given = {name.upper() for name in names if name.upper().startswith(_PREFIX)}
    unknown = sorted(name for name in given - known - _OURS if not name.startswith(_OF_TESTS))
    if unknown:
        listed = [f"{name} is no setting{_meant(name, known)}" for name in unknown]
        raise Misconfigured("\n".join([*listed, "all settings are in .env.example; mend or remove these"]))


def _meant(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.8)
    return f"; is {close[0]} meant?" if close else ""
