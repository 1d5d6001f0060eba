"""Command-line arguments of a job, described by its Pydantic model: one `--option` per field."""

import argparse
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import live_spec
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec

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


def chosen_spec(choice: str, corpus: str, database: Database, settings: Settings) -> IndexSpec:
    """The index spec that an argument names; `live` is the one of the live version, or the default before there is one.

    Raises `Misconfigured`.
    """
    if choice != "live":
        return settings.index_spec(choice)
    with database.read() as connection:
        return live_spec(connection, corpus) or settings.index_spec()
