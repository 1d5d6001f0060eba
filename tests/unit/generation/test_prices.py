"""What an answer costs: a thousand tokens in, a thousand out, a second of the engine, each by the tier's price."""

from pathlib import Path

import pytest

from include.quarry.errors import Misconfigured
from include.quarry.generation.prices import Price, cost_of, read_prices
from include.quarry.generation.protocol import Usage

ROOT = Path(__file__).parents[3]
DEEP = Price(per_1k_prompt_tokens=0.5, per_1k_completion_tokens=2, per_engine_second=0.01)


def test_the_price_adds_tokens_and_seconds() -> None:
    assert DEEP.of(Usage(2000, 500, 3.0)) == pytest.approx(1.0 + 1.0 + 0.03)


def test_all_tiers_that_were_asked_are_charged() -> None:
    spent = {"deep": Usage(1000, 0, 0.0), "fast": Usage(0, 0, 10.0)}
    prices = {"deep": DEEP, "fast": Price(per_engine_second=0.001)}
    assert cost_of(spent, prices) == pytest.approx(0.5 + 0.01)  # type: ignore[arg-type]


def test_an_answer_without_a_model_and_a_tier_without_a_price_are_free() -> None:
    assert cost_of({}, {"deep": DEEP}) == 0
    assert cost_of({"fast": Usage(1000, 1000, 9.0)}, {"deep": DEEP}) == 0


def test_the_table_that_comes_along_prices_both_tiers() -> None:
    prices = read_prices(ROOT / "include" / "prices.yaml")
    assert prices.keys() == {"fast", "deep"}
    assert all(price.of(Usage(0, 0, 3600.0)) > 0 for price in prices.values())


@pytest.mark.parametrize(
    "table",
    ["slow: {}", "fast: {per_token: 1}", "fast: {per_engine_second: -1}", "fast: {per_engine_second: x}", "- 1", "{"],
)
def test_a_table_that_is_none_is_refused(table: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(table)
    with pytest.raises(Misconfigured, match=r"prices\.yaml is no table"):
        read_prices(path)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        read_prices(tmp_path / "nowhere.yaml")
