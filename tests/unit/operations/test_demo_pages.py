import httpx
import pytest

from include.quarry.errors import NotFound, Unavailable
from include.quarry.operations.demo import demo
from include.quarry.operations.demo_answers import ask, print_answer


def test_a_docs_folder_that_is_none_is_refused_before_anything_starts(installation):
    with pytest.raises(NotFound, match="DOCS=/no/where"):
        demo(installation, "/no/where", None)
    assert not installation.home.exists()


def test_a_problem_instead_of_an_answer_is_shown(monkeypatch):
    problem = httpx.Response(503, json={"title": "Temporarily unavailable", "detail": "no version yet"})
    monkeypatch.setattr(httpx, "post", lambda *_, **__: problem)
    with pytest.raises(Unavailable, match="no version yet"):
        ask("http://127.0.0.1:9", "why?", "token")


def test_an_answer_is_printed_with_the_place_of_each_citation(capsys):
    citation = {"marker": 1, "chunk_id": "c", "doc_id": "d", "uri": "file:///d.md", "start": 3, "end": 9}
    print_answer(
        {
            "answer": "Because [1].",
            "citations": [citation],
            "tier": "fast",
            "grounded": True,
            "timings_ms": {"total": 12.0},
        }
    )
    printed = capsys.readouterr().out
    assert "Because [1]." in printed
    assert "[1] file:///d.md characters 3 to 9" in printed
    assert "fast tier, grounded; total 12 ms" in printed
