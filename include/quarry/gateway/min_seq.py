"""The change that a caller wants to see applied, as a field of a request's body."""

from typing import Annotated

from pydantic import BeforeValidator, Field


def _seq(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("not the number of a change; send the seq that PUT or DELETE returned, or leave it out")
    return value


MinSeq = Annotated[
    int,
    Field(
        ge=0,
        description="a `seq` that PUT or DELETE returned: wait until the version that answers has applied it, and "
        "answer 503 when that takes longer than the caller does",
    ),
    BeforeValidator(_seq),
]
