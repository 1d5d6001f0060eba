"""The line of a corpus: the first one has the turn, and who has left has to stand at the end."""

from include.quarry.catalog.database import Database
from include.quarry.catalog.turns import has_turn, leave_line, line_up


def test_runs_of_one_corpus_have_their_turns_as_they_came(database: Database) -> None:
    with database.write() as connection:
        assert line_up(connection, "docs", "a") == []
        assert line_up(connection, "docs", "b") == ["a"]
        assert line_up(connection, "docs", "c") == ["a", "b"]
        assert [has_turn(connection, run) for run in "abc"] == [True, False, False]
        leave_line(connection, ["a"])
        assert [has_turn(connection, run) for run in "abc"] == [False, True, False]


def test_a_run_that_asks_again_keeps_its_place(database: Database) -> None:
    with database.write() as connection:
        for run in ("a", "b", "a", "b"):
            line_up(connection, "docs", run)
        assert line_up(connection, "docs", "b") == ["a"]
        assert has_turn(connection, "a")


def test_a_run_that_was_taken_out_stands_at_the_end(database: Database) -> None:
    with database.write() as connection:
        line_up(connection, "docs", "a")
        line_up(connection, "docs", "b")
        leave_line(connection, ["a", "unknown"])
        assert line_up(connection, "docs", "a") == ["b"]


def test_corpora_have_lines_of_their_own(database: Database) -> None:
    with database.write() as connection:
        line_up(connection, "docs", "a")
        assert line_up(connection, "wiki", "b") == []
        assert has_turn(connection, "a")
        assert has_turn(connection, "b")
