"""What the Dags' shared parameters offer and refuse."""

import pytest

from include.quarry.index_specs import index_spec_names


def test_airflow_offers_every_index_spec_and_takes_json_too() -> None:
    from quarry_dag import spec_param

    param = spec_param()
    assert set(index_spec_names()) <= set(param.schema["examples"])
    assert param.resolve() in param.schema["examples"]
    assert param.resolve('{"store": {"kind": "flat"}}') == '{"store": {"kind": "flat"}}'


@pytest.mark.parametrize("spec", ["", None, 7])
def test_a_spec_is_never_empty_or_something_else_than_text(spec: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError
    from quarry_dag import spec_param

    with pytest.raises(ParamValidationError):
        spec_param().resolve(spec)


@pytest.mark.parametrize("suite", ["auto", "environment", "", "/suites/mine", "suites/mine"])
def test_a_suite_is_shipped_or_a_folder(suite: str) -> None:
    from quarry_dag import suite_param

    assert suite_param("of the gate", "").resolve(suite) == suite


@pytest.mark.parametrize("suite", ["enviroment", "Auto", " ", None, 7])
def test_a_mistyped_suite_is_refused_before_anything_is_built(suite: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError
    from quarry_dag import suite_param

    with pytest.raises(ParamValidationError):
        suite_param("of the gate", "").resolve(suite)


def test_there_is_no_relevance_without_a_suite() -> None:
    from airflow.sdk.exceptions import ParamValidationError
    from quarry_dag import suite_param

    with pytest.raises(ParamValidationError):
        suite_param("of the evaluation").resolve("")
