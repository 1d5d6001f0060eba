"""Plans: what a tenant may ask for, and how often; read from a file that operators write."""

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from cachetools import LRUCache
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.quarry.errors import Forbidden, Misconfigured
from include.quarry.limits.standing import Limit

_MOST_COMPLAINTS = 5
_TENANTS = 10_000  # those who came last; the plan of another one is made anew


_Rate = Annotated[int, Field(ge=1, le=1_000_000)]
_Seconds = Annotated[int, Field(ge=1, le=3600)]
_Amount = Annotated[int, Field(ge=0, le=10**15)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Plan(_Strict):
    """What one tenant may do; `include/plans.yaml` says what the numbers mean."""

    requests_per_s: _Rate
    burst_s: _Seconds
    tokens_per_day: _Amount
    documents: _Amount

    @property
    def requests(self) -> Limit:
        """The rate, as a limit of windows."""
        return Limit("requests", self.requests_per_s * self.burst_s, self.burst_s)


class _Exception(_Strict):
    """What differs for one tenant; what is not named is as its plan says."""

    plan: str | None = None
    requests_per_s: _Rate | None = None
    burst_s: _Seconds | None = None
    tokens_per_day: _Amount | None = None
    documents: _Amount | None = None


class _File(_Strict):
    plans: dict[str, Plan] = Field(min_length=1)
    tenants: dict[str, _Exception] = Field(default_factory=dict)


class Plans:
    """All plans there are, and the tenants that are treated otherwise."""

    def __init__(self, plans: Mapping[str, Plan], exceptions: Mapping[str, _Exception]) -> None:
        self._plans = plans
        self._exceptions = exceptions
        self._found: LRUCache[tuple[str, str], Plan] = LRUCache(_TENANTS)

    def of(self, tenant: str, claim: str) -> Plan:
        """The plan of a tenant whose token names `claim`. Raises `Forbidden` where there is no such plan."""
        if found := self._found.get((tenant, claim)):
            return found
        exception = self._exceptions.get(tenant, _Exception())
        name = exception.plan or claim
        if name not in self._plans:
            raise Forbidden(
                f"the token names the plan {name[:40]!r}; there are {', '.join(self._plans)}: ask for another token"
            )
        plan = self._found[tenant, claim] = _changed(self._plans[name], exception)
        return plan


def read_plans(path: Path) -> Plans:
    """The plans of a file. Raises `Misconfigured` with what is wrong in it, and where."""
    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"plans {path} cannot be read ({error.strerror}); set QUARRY_PLANS") from error
    except yaml.YAMLError as error:
        raise Misconfigured(f"plans {path} are not YAML: {error}") from error
    try:
        found = _File.model_validate(document)
    except ValidationError as error:
        complaints = [_complaint(each) for each in error.errors()[:_MOST_COMPLAINTS]]
        raise Misconfigured(f"plans {path}: {'; '.join(complaints)}") from error
    for tenant, exception in found.tenants.items():
        if exception.plan is not None and exception.plan not in found.plans:
            known = ", ".join(found.plans)
            raise Misconfigured(f"plans {path}: tenants.{tenant}.plan is {exception.plan!r}; there are {known}")
    return Plans(found.plans, found.tenants)


def _changed(plan: Plan, exception: _Exception) -> Plan:
    return plan.model_copy(update=exception.model_dump(exclude={"plan"}, exclude_none=True))


def _complaint(found: Any) -> str:
    """`plans.standard.burst_s is 0: input should be …` for one error of the checker."""
    name = ".".join(map(str, found["loc"])) or "the file"
    if found["type"] == "missing":
        return f"{name} is missing"
    return f"{name} is {reprlib.repr(found['input'])}: {found['msg'][0].lower()}{found['msg'][1:]}"
