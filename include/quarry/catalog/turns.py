"""Turns: the runs that want to index a corpus stand in line for it, and the first one has the turn.

A run that has ended may stand there still; whoever comes after it, and knows that it has ended, takes it out.
"""

from collections.abc import Iterable

import sqlalchemy as sa

from include.quarry.catalog.schema import turns


def line_up(connection: sa.Connection, corpus: str, run_id: str) -> list[str]:
    """Stand in line behind everybody there is, once; gives the runs ahead, the first one first."""
    line = _line(connection, corpus)
    if run_id not in line:
        leave_line(connection, [run_id])  # where another run of this name, which was deleted since, stood elsewhere
        last = connection.scalar(sa.select(sa.func.max(turns.c.place)).where(turns.c.corpus == corpus))
        values = {"run_id": run_id, "corpus": corpus, "place": (last or 0) + 1}
        connection.execute(sa.insert(turns).values(**values))
        return line
    return line[: line.index(run_id)]


def leave_line(connection: sa.Connection, run_ids: Iterable[str]) -> None:
    """Take runs out of their lines; those that stand in none are none the worse."""
    connection.execute(sa.delete(turns).where(turns.c.run_id.in_(list(run_ids))))


def runs_ahead(connection: sa.Connection, run_id: str) -> list[str] | None:
    """The runs ahead of one in its line, the first one first; None for one that stands in none."""
    corpus = connection.scalar(sa.select(turns.c.corpus).where(turns.c.run_id == run_id))
    if corpus is None:
        return None
    line = _line(connection, corpus)
    return line[: line.index(run_id)]


def has_turn(connection: sa.Connection, run_id: str) -> bool:
    """Whether a run is the first one in its line; false for one that stands in none."""
    return runs_ahead(connection, run_id) == []


def _line(connection: sa.Connection, corpus: str) -> list[str]:
    statement = sa.select(turns.c.run_id).where(turns.c.corpus == corpus).order_by(turns.c.place)
    return list(connection.scalars(statement))
