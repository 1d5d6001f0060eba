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
