"""Errors across a handle: the caller meets what the replica raised, not Ray's wrapping."""

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError

from include.quarry.errors import NotFound, Unavailable
from ray_apps.gateway.remote import unwrapped


def wrapped(cause: Exception) -> BaseException:
    return RayTaskError("put", "a traceback that nobody outside should read", cause).as_instanceof_cause()


def test_the_replicas_own_error_comes_out() -> None:
    with pytest.raises(NotFound) as caught, unwrapped():
        raise wrapped(NotFound("no document 'a'"))
    assert str(caught.value) == "no document 'a'"


def test_an_error_that_is_not_ours_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), unwrapped():
        raise wrapped(ZeroDivisionError("bug"))


@pytest.mark.parametrize("error", [ActorDiedError(), BackPressureError(1, 1)])
def test_a_replica_that_is_gone_or_full_is_unavailable_for_now(error: Exception) -> None:
    with pytest.raises(Unavailable, match="try again"), unwrapped():
        raise error
