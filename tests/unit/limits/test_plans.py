"""Plans: those that ship, tenants that are treated otherwise, and what is said of a file that is none."""

from pathlib import Path

import pytest

from include.quarry.errors import Forbidden, Misconfigured
from include.quarry.limits.plans import Plan, Plans, read_plans
from include.quarry.limits.standing import Limit
from include.quarry.operations.installation import REPOSITORY
from include.quarry.settings import Settings

PLAN = "{requests_per_s: 10, burst_s: 3, tokens_per_day: 500, documents: 4}"


def written(folder: Path, text: str) -> Plans:
    path = folder / "plans.yaml"
    path.write_text(text)
    return read_plans(path)


def test_the_plans_that_ship_are_finite_and_stand_in_nobodys_way() -> None:
    plans = read_plans(REPOSITORY / Settings().plans)
    standard, unlimited = plans.of("default", "standard"), plans.of("default", "unlimited")
    assert standard.requests.amount >= 10_000  # that many users at once are the aim
    assert standard.tokens_per_day >= 86_400 * 300  # what a machine can generate
    assert unlimited.requests_per_s > standard.requests_per_s
    assert plans.of("default", "trial").requests == Limit("requests", 20, 4)


def test_a_tenant_is_treated_otherwise_in_what_the_file_says(tmp_path: Path) -> None:
    text = f"plans: {{standard: {PLAN}, large: {PLAN.replace('10', '99')}}}\n"
    plans = written(tmp_path, text + "tenants: {acme: {plan: large, documents: 7}, umbra: {burst_s: 1}}")
    assert plans.of("acme", "standard") == Plan(requests_per_s=99, burst_s=3, tokens_per_day=500, documents=7)
    assert plans.of("umbra", "large") == Plan(requests_per_s=99, burst_s=1, tokens_per_day=500, documents=4)
    assert plans.of("other", "large").documents == 4
    assert plans.of("other", "standard").requests == Limit("requests", 30, 3)


def test_a_plan_that_there_is_not_is_refused_with_those_there_are(tmp_path: Path) -> None:
    plans = written(tmp_path, f"plans: {{standard: {PLAN}, large: {PLAN}}}")
    with pytest.raises(Forbidden, match="the plan 'gold'; there are standard, large"):
        plans.of("acme", "gold")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the file is None: input should be a valid"),
        ("- a", "the file is"),
        ("plans: {}", "plans is {}: dictionary should have at least 1 item"),
        ("plans: [", "are not YAML: (?s:.*)line 1"),
        ("plans: {a: {requests_per_s: 1, burst_s: 1, documents: 1}}", "plans.a.tokens_per_day is missing"),
        (f"plans: {{a: {PLAN.replace('10', '0')}}}", "plans.a.requests_per_s is 0: input should be greater than or"),
        (f"plans: {{a: {PLAN.replace('10', '1.5')}}}", "plans.a.requests_per_s is 1.5: input should be a valid int"),
        (f"plans: {{a: {PLAN.replace('10', 'many')}}}", "plans.a.requests_per_s is 'many': input should be a valid"),
        (f"plans: {{a: {PLAN.replace('}', ', colour: red}')}}}", "plans.a.colour is 'red': extra inputs"),
        (f"plans: {{a: {PLAN}}}\ntenants: {{t: {{plan: b}}}}", "tenants.t.plan is 'b'; there are a"),
        (f"plans: {{a: {PLAN}}}\ntenants: {{t: {{burst_s: 0}}}}", "tenants.t.burst_s is 0: input should be greater"),
    ],
)
def test_a_file_that_is_no_plan_is_named_with_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=rf"plans .*plans\.yaml:? {complaint}"):
        written(tmp_path, text)


def test_a_file_that_is_not_there_is_named_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"plans .*nowhere.* cannot be read .* set QUARRY_PLANS"):
        read_plans(tmp_path / "nowhere")
