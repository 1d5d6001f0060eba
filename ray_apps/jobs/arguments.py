"""Command-line arguments of a job, described by its Pydantic model: one `--option` per field."""

import argparse
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Arguments = TypeVar("Arguments", bound=BaseModel)


def parse_arguments(model: type[Arguments], doc: str | None) -> Arguments:
    """The model filled from `sys.argv`; exits with a usage message when a value does not fit.

    An empty value counts as absent, so that a template may leave an option blank.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, field in model.model_fields.items():
        option = (field.alias or name).replace("_", "-")
        parser.add_argument(f"--{option}", dest=name, help=field.description, required=field.is_required())
    given = {name: value for name, value in vars(parser.parse_args()).items() if value}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        parser.error(str(error))
