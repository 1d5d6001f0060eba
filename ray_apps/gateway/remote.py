"""Errors that crossed a handle: Ray wraps what a replica raised; callers want the error itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from include.quarry.errors import QuarryError, Unavailable


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise the replica's own `QuarryError`; a replica that is gone or full becomes `Unavailable`."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, QuarryError):
            raise error.cause from None
        raise
    except (RayActorError, BackPressureError, DeploymentUnavailableError) as error:
        raise Unavailable(
            f"a replica could not take the request ({type(error).__name__}); try again shortly"
        ) from error
