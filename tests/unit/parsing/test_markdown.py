from time import process_time

from include.quarry.parsing.markdown import MarkdownParser
from include.quarry.records import Block


def parse(source: str) -> list[Block]:
    return list(MarkdownParser().blocks(source.encode()))


def kinds(source: str) -> list[tuple[str, int]]:
    return [(block.kind, block.level) for block in parse(source)]


def test_headings_of_both_styles_and_in_html_have_their_levels() -> None:
    source = "<h1 align='center'>\n  Logo\n</h1>\n\nTitle\n=====\n\nSub\n---\n\n### Third ###\n"
    assert kinds(source) == [("heading", 1), ("heading", 1), ("heading", 2), ("heading", 3)]


def test_a_hash_in_a_fence_is_no_heading() -> None:
    assert kinds("```\n# comment\n\nx\n```\ntext\n") == [("code", 0), ("prose", 0)]


def test_list_items_are_blocks_with_what_is_nested_in_them() -> None:
    blocks = parse("- one\n  - inner\n\n  # inner heading\n- two\n")
    assert [block.text for block in blocks] == ["- one\n  - inner\n\n  # inner heading\n", "- two\n"]
    assert {block.kind for block in blocks} == {"prose"}


def test_tables_are_tables() -> None:
    assert kinds("| a | b |\n|---|---|\n| 1 | 2 |\n\ntext\n") == [("table", 0), ("prose", 0)]


def test_link_definitions_which_no_token_shows_are_kept() -> None:
    blocks = parse("text\n\n[a]: http://a\n\nmore\n")
    assert [block.text for block in blocks] == ["text\n", "\n[a]: http://a\n\n", "more\n"]


def test_front_matter_is_no_heading() -> None:
    assert kinds("---\ntitle: x\n---\n# Real\n") == [("code", 0), ("heading", 1)]
    assert kinds("---\n\ntext\n") == [("prose", 0), ("prose", 0)]


def test_line_ends_are_kept_as_they_are() -> None:
    source = "# A\r\n\r\ntext\rmore\n\x0c\u2028x\r\n"
    assert "".join(block.text for block in parse(source)) == source
    assert parse(source)[0] == Block("# A\r\n\r\n", "heading", 1)


def test_hostile_nesting_costs_no_time() -> None:
    begin = process_time()
    for source in (">" * 20_000, "- " * 20_000, "[" * 20_000, "* " * 500 + "\n" + "  " * 500 + "x\n", "|" * 20_000):
        parse(source * 2)
    assert process_time() - begin < 10
