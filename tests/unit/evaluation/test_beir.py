"""Real BEIR folders vary; the readers take the variation and name the line of what is wrong."""

import json
from pathlib import Path

import pytest

from evaluation.beir import CorpusRow, QueryRow, choose_qrels, read_corpus, read_qrels, read_queries
from include.quarry.errors import InvalidInput, NotFound


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "query-id\tcorpus-id\tscore\n1\ta\t1\n1\tb\t0\n",
        "1\ta\t1\n1\tb\t0\n",
        "1\ta\t1\r\n\r\n1\tb\t0\r\n",
        "\ufeff1\ta\t1.0\n1\tb\t-2\n",
        "1 0 a 1\n1 0 b 0\n",
        "1\ta\t1\n1\ta\t1\n1\tb\t0\n",
    ],
    ids=["header", "no header", "windows lines", "bom, floats and spam grade", "trec", "the same judgment twice"],
)
def test_judgments_are_read_in_every_dialect(tmp_path: Path, text: str) -> None:
    assert read_qrels(write(tmp_path / "test.tsv", text)) == {"1": {"a": 1, "b": 0}}


def test_grades_are_kept(tmp_path: Path) -> None:
    assert read_qrels(write(tmp_path / "test.tsv", "q\ta\t3\nq\tb\t1\n")) == {"q": {"a": 3, "b": 1}}


@pytest.mark.parametrize(
    ("text", "line"),
    [("q\ta\t1\nq\tb\n", 2), ("h\th\th\nq\ta\tyes\n", 2), ("q\ta\t1\nq\ta\t2\n", 2), ("q\ta\t1\te\tf\n", 1)],
    ids=["column missing", "word for a score", "two grades", "too many columns"],
)
def test_a_broken_judgment_is_named_by_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    path = write(tmp_path / "test.tsv", text)
    with pytest.raises(InvalidInput, match=rf"test\.tsv:{line}: "):
        read_qrels(path)


def test_qrels_without_a_judgment_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="judges nothing"):
        read_qrels(write(tmp_path / "test.tsv", "query-id\tcorpus-id\tscore\n"))


@pytest.mark.parametrize(
    ("present", "asked", "chosen"),
    [
        (["dev", "test", "train"], None, "test"),
        (["train", "dev"], None, "dev"),
        (["pooled"], None, "pooled"),
        (["dev", "test"], "dev", "dev"),
    ],
)
def test_the_test_split_is_preferred_and_a_named_one_wins(
    tmp_path: Path, present: list[str], asked: str | None, chosen: str
) -> None:
    for name in present:
        write(tmp_path / f"{name}.tsv", "q\ta\t1\n")
    assert choose_qrels(tmp_path, asked).stem == chosen


@pytest.mark.parametrize(("present", "asked"), [([], None), (["dev"], "test"), (["one", "two"], None)])
def test_no_judgments_or_no_clear_choice_is_an_error(tmp_path: Path, present: list[str], asked: str | None) -> None:
    for name in present:
        write(tmp_path / f"{name}.tsv", "q\ta\t1\n")
    with pytest.raises(NotFound):
        choose_qrels(tmp_path, asked)


def test_ids_may_be_numbers_and_titles_may_be_missing(tmp_path: Path) -> None:
    rows = [{"_id": 7, "text": "body"}, {"_id": "8", "title": None, "text": "other"}, {"id": "9", "title": "only"}]
    path = write(tmp_path / "corpus.jsonl", "\n".join(json.dumps(row) for row in rows))
    assert list(read_corpus(path)) == [
        CorpusRow("7", "", "body"),
        CorpusRow("8", "", "other"),
        CorpusRow("9", "only", ""),
    ]


def test_a_query_may_say_that_it_cannot_be_answered(tmp_path: Path) -> None:
    path = write(tmp_path / "queries.jsonl", '{"_id": 1, "text": " who ", "metadata": {"answerable": false}}\n')
    assert read_queries(path) == [QueryRow("1", "who", answerable=False)]


@pytest.mark.parametrize(
    "line",
    [
        '{"_id": "1"',
        '["1"]',
        '{"text": "no id"}',
        '{"_id": "a", "text": "again"}',
        '{"_id": "b", "text": "  "}',
        '{"_id": "b", "text": 3}',
        '{"_id": true, "text": "x"}',
        '{"_id": "b", "text": "x", "metadata": {"answerable": 5}}',
    ],
)
def test_a_broken_query_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "queries.jsonl", '{"_id": "a", "text": "fine"}\n' + line + "\n")
    with pytest.raises(InvalidInput, match=r"queries\.jsonl:2: "):
        read_queries(path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_bytes(b'{"_id": "a", "text": "caf\xe9"}\n')
    with pytest.raises(InvalidInput, match="UTF-8"):
        read_queries(path)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        list(read_corpus(tmp_path / "corpus.jsonl"))
