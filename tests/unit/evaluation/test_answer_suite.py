"""Cases for answers: the judged passage is among those found, and what is called unanswerable really is."""

import json
from pathlib import Path

import pytest

from evaluation.answer_suite import PASSAGES, load_cases
from include.quarry.errors import InvalidInput, NotFound

THINGS = ("lamp", "mirror", "dome", "tower", "bridge", "harbour", "quarry", "mill")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = [
        {"_id": t, "title": f"The {t}", "text": f"The {t} was built in 19{n:02}."} for n, t in enumerate(THINGS)
    ]
    queries = [{"_id": f"q-{t}", "text": f"In which year was the {t} built?"} for t in THINGS]
    answers = [{"_id": f"q-{t}", "answers": [f"19{n:02}"]} for n, t in enumerate(THINGS)]
    for name, rows in (("corpus", documents), ("queries", queries), ("answers", answers)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "qrels").mkdir()
    lines = ["query-id\tcorpus-id\tscore", *(f"q-{t}\t{t}\t1" for t in THINGS)]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join(lines))
    return tmp_path


def test_an_answerable_question_finds_its_passage_and_others(folder: Path) -> None:
    cases = load_cases(folder, answerable=3, unanswerable=0)
    assert [case.query_id for case in cases] == ["q-lamp", "q-dome", "q-harbour"]
    for case in cases:
        assert len(case.hits) == PASSAGES
        assert any(case.gold[0] in hit.chunk.passage.text for hit in case.hits)


def test_an_unanswerable_question_finds_everything_but_its_passage(folder: Path) -> None:
    cases = load_cases(folder, answerable=0, unanswerable=100)
    assert len(cases) == len(THINGS)
    for case in cases:
        assert case.gold == ()
        assert case.query_id.removeprefix("q-").split()[0] not in {hit.chunk.chunk_id for hit in case.hits}


def test_a_suite_without_answers_says_what_it_lacks(folder: Path) -> None:
    (folder / "answers.jsonl").unlink()
    with pytest.raises(NotFound, match="answers"):
        load_cases(folder, answerable=1, unanswerable=1)


def test_a_line_that_is_no_answer_is_named(folder: Path) -> None:
    (folder / "answers.jsonl").write_text('{"_id": "q-lamp"}')
    with pytest.raises(InvalidInput, match=r"answers\.jsonl:1"):
        load_cases(folder, answerable=1, unanswerable=1)
