from time import process_time

import pytest

from include.quarry.errors import UnreadableContent
from include.quarry.parsing.html import HtmlParser
from include.quarry.records import Block
from tests.unit.parsing.samples import HTML


def parse(source: str) -> list[Block]:
    return list(HtmlParser().blocks(source.encode()))


def test_a_page_becomes_headings_prose_code_and_tables() -> None:
    assert list(HtmlParser().blocks(HTML)) == [
        Block("Title\n\n", "heading", 1),
        Block("Some bold text.\n\n"),
        Block("Code\n\n", "heading", 2),
        Block("a\n  b\n\n", "code"),
        Block("k | v\n1 | 2\n\n", "table"),
    ]


def test_scripts_styles_and_navigation_are_dropped() -> None:
    hidden = "<script>x</script><style>x</style><nav>x</nav><template>x</template><noscript>x</noscript><!-- x -->"
    assert [block.text for block in parse(f"{hidden}<p>seen{hidden}</p>")] == ["seen\n\n"]


def test_headings_inside_a_layout_table_are_kept() -> None:
    blocks = parse("<table><tr><td>before<h2>Head</h2>after</table>")
    assert [(block.text.strip(), block.kind) for block in blocks] == [
        ("before", "table"),
        ("Head", "heading"),
        ("after", "table"),
    ]


def test_entities_become_characters_and_never_nul_or_surrogates() -> None:
    text = "".join(block.text for block in parse("<p>a &amp; b&nbsp;c &#0; &#xD800; &lt;d&gt;"))
    assert text.strip() == "a & b c \ufffd \ufffd <d>"


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("windows-1251", "windows-1251"), ("ISO-8859-1", "windows-1252"), ("shift_jis", "shift_jis")],
)
def test_the_declared_charset_decodes(declared: str, encoding: str) -> None:
    text = {"windows-1251": "Привет", "windows-1252": "\u201cGröße\u201d", "shift_jis": "東京"}[encoding]
    page = f'<html><head><meta charset="{declared}"></head><body>{text}'.encode(encoding)
    assert [block.text for block in HtmlParser().blocks(page)] == [f"{text}\n\n"]


def test_a_declared_codec_that_is_no_text_encoding_is_ignored() -> None:
    assert [block.text for block in parse("<meta charset=unicode_escape><p>\\u0041 é")] == ["\\u0041 é\n\n"]


def test_hostile_nesting_is_refused_before_it_costs_time() -> None:
    begin = process_time()
    with pytest.raises(UnreadableContent, match="more than 2000 <div> are open"):
        parse("<div>" * 20_000 + "x")
    assert parse("<p>x" * 20_000)
    assert parse("<div>" * 1_500 + "x")
    assert process_time() - begin < 10


def test_a_picture_of_many_shapes_is_no_deep_nesting() -> None:
    assert [block.text for block in parse("<p>seen</p><svg>" + "<path d='M0 0'/>" * 3000 + "</svg>")] == ["seen\n\n"]
