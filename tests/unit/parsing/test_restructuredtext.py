from importlib.metadata import distributions

import docutils.core
import docutils.nodes

from include.quarry.parsing.restructuredtext import ReStructuredTextParser
from include.quarry.parsing.titles import heading_text
from include.quarry.records import Block


def parse(source: str) -> list[Block]:
    return list(ReStructuredTextParser().blocks(source.encode()))


def kinds(source: str) -> list[tuple[str, int]]:
    return [(block.kind, block.level) for block in parse(source)]


def test_levels_follow_the_order_in_which_adornments_appear() -> None:
    source = "====\nTop\n====\n\nA\n~\n\nsmall\n\nFirst\n=====\n\nInner\n-----\n\nSecond\n======\n"
    assert kinds(source) == [
        ("heading", 1),
        ("prose", 0),
        ("prose", 0),
        ("heading", 2),
        ("heading", 3),
        ("heading", 2),
    ]


def test_a_transition_is_no_title() -> None:
    assert [kind for kind, _ in kinds("text\n\n------\n\nmore\n")] == ["prose", "prose", "prose"]


def test_literal_blocks_and_code_directives_are_code_with_their_blank_lines() -> None:
    source = "Run::\n\n    a\n\n    b\n\n.. code-block:: python\n   :linenos:\n\n   x = 1\n\n   y\n\nEnd\n"
    assert [block.text.count("\n") for block in parse(source)] == [6, 7, 1]
    assert [kind for kind, _ in kinds(source)] == ["code", "code", "prose"]


def test_simple_and_grid_tables_are_tables() -> None:
    simple = "=== ===\na   b\n=== ===\n1   2\n\n3   4\n=== ===\n\n"
    grid = "+---+---+\n| a | b |\n+---+---+\n\n"
    assert [kind for kind, _ in kinds(simple + grid + "end\n")] == ["table", "table", "prose"]


def test_directives_are_neither_known_nor_run() -> None:
    source = ".. include:: /etc/hostname\n\n.. raw:: html\n   :file: /etc/hostname\n\n.. unknown-thing:: x\n   y\n"
    assert "".join(block.text for block in parse(source)) == source


def test_titles_are_those_that_docutils_finds_in_real_readmes() -> None:
    agreed = total = 0
    for distribution in distributions():
        metadata = distribution.metadata
        if not (metadata.get("Description-Content-Type") or "").startswith("text/x-rst"):
            continue
        source = str(metadata.get_payload() or metadata.get("Description") or "")
        if not source.strip() or len(source) > 6_000:
            continue
        ours = [heading_text(block.text) for block in parse(source) if block.kind == "heading"]
        theirs = _docutils_titles(source)
        total += 1
        agreed += len(ours) == len(theirs)
    assert total > 20
    assert agreed / total > 0.95, f"{agreed} of {total} readmes have as many titles as docutils finds"


def _docutils_titles(source: str) -> list[str]:
    options = {
        "report_level": 5,
        "halt_level": 5,
        "file_insertion_enabled": False,
        "raw_enabled": False,
        "doctitle_xform": False,
    }
    tree = docutils.core.publish_doctree(source, settings_overrides=options)
    return [title.astext() for section in tree.findall(docutils.nodes.section) for title in section[:1]]
