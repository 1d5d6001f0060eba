"""Answers over HTTP: every citation points into a document that its tenant can open; streams end with the answer."""

import json

import pytest

from tests.serve.conftest import Api, poll

pytestmark = pytest.mark.serve
_BOUND_S = 30.0
_TEXT = """# The lighthouse of Marrow Point

The lighthouse of Marrow Point was built in 1871 by the engineer Ada Finch.
Its lamp burns rapeseed oil and is visible at a distance of nineteen miles.
"""
_QUESTION = "In which year was the lighthouse of Marrow Point built?"


@pytest.fixture(scope="module")
def ready(api: Api) -> Api:
    api.put("lighthouse.md", _TEXT, content_type="text/markdown", title="Marrow Point")
    poll(lambda: "lighthouse.md" in api.found(_QUESTION), "the document to be found", _BOUND_S)
    return api


def test_citations_point_into_the_text_of_their_document(ready: Api) -> None:
    answered = ready.http.post("/v1/answer", json={"question": _QUESTION}).raise_for_status().json()
    print(answered["answer"], answered["tier"], answered["timings_ms"])
    assert answered["citations"], answered
    for citation in answered["citations"]:
        assert f"[{citation['marker']}]" in answered["answer"]
        document = ready.http.get(f"/v1/documents/{citation['doc_id']}").raise_for_status().json()
        assert 0 <= citation["start"] < citation["end"] <= len(document["text"])
        assert citation["uri"] == document["uri"]
    assert "lighthouse.md" in {citation["doc_id"] for citation in answered["citations"]}
    assert answered["index_version"]
    assert answered["query_id"]


def test_a_question_without_a_passage_gets_no_citation(ready: Api) -> None:
    question = {"question": "Which enzyme unwinds the double helix?", "filters": {"doc_id": "not-there"}}
    answered = ready.http.post("/v1/answer", json=question).raise_for_status().json()
    assert answered["citations"] == []
    assert not answered["grounded"]


def test_a_stream_sends_verified_sentences_and_then_the_answer(ready: Api) -> None:
    body = {"question": _QUESTION, "stream": True}
    with ready.http.stream("POST", "/v1/answer", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = list(response.iter_lines())
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert len(names) == len(data)
    assert names[-1] == "answer"
    assert set(names[:-1]) == {"sentence"}
    assert data[-1]["citations"]
