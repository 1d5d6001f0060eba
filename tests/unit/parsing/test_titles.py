import pytest

from include.quarry.parsing.titles import heading_text, with_title
from include.quarry.records import Block


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("## Using *it* ##\n", "Using it"),
        ("Title\n=====\n\n", "Title"),
        ("=======\n Title\n=======\n", "Title"),
        ("# [Name](http://x) ![badge](http://y)\n", "Name"),
        ("`Name <http://x>`_\n----\n", "Name"),
        ("The ``run()`` function and :func:`stop`\n~~~~", "The run() function and stop"),
        ('<h1 align="center">Logo <br> Text</h1>\n', "Logo Text"),
        ("# C# and F#\n", "C# and F#"),
        ("Why 2 * 3 is 6\n\n", "Why 2 * 3 is 6"),
        ("# snake_case\n", "snake_case"),
    ],
)
def test_heading_text_is_free_of_markup(source: str, words: str) -> None:
    assert heading_text(source) == words


def test_the_first_heading_is_the_title_and_no_block_is_lost() -> None:
    blocks = [Block("intro\n"), Block("#\n", "heading", 1), Block("## Real\n", "heading", 2), Block("end\n")]
    title, rest = with_title(iter(blocks), "file.md")
    assert (title, list(rest)) == ("Real", blocks)


def test_without_a_heading_the_fallback_is_the_title() -> None:
    title, rest = with_title([Block("text\n")] * 100, "file.md")
    assert (title, len(list(rest))) == ("file.md", 100)


def test_a_heading_is_read_only_so_far() -> None:
    assert len(heading_text("# " + "![" * 1_000_000)) < 1000
