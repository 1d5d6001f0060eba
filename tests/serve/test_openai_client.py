"""The unmodified openai client against the platform: answers with citations, a stream, vectors, models."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from include.quarry.gateway.composition import make_token
from tests.serve.conftest import Api, poll

pytestmark = pytest.mark.serve
_TEXT = """# The bridge of Low Harrow

The bridge of Low Harrow was opened in 1902 by the mayor Ellen Ray.
It carries two lanes and a footway over the river Ash.
"""
_ASK: list[Any] = [{"role": "user", "content": "In which year was the bridge of Low Harrow opened?"}]


@pytest.fixture(scope="module")
def client(api: Api) -> Iterator[openai.OpenAI]:
    api.put("bridge.md", _TEXT, content_type="text/markdown", title="Low Harrow")
    poll(lambda: "bridge.md" in api.found("bridge of Low Harrow"), "the document to be found", 30)
    token = make_token(api.settings, "default", "answer", "retrieve")
    with openai.OpenAI(base_url=f"{api.settings.http_url}/v1", api_key=token, timeout=60) as made:
        yield made


def test_an_answer_points_into_its_document(client: openai.OpenAI, api: Api) -> None:
    completion = client.chat.completions.create(model="quarry-fast", messages=_ASK)
    message = completion.choices[0].message
    print(message.content, completion.usage, completion.model_extra)
    assert message.annotations
    for annotation in message.annotations:
        place: dict[str, Any] = annotation.model_extra or {}
        document = api.http.get(f"/v1/documents/{place['doc_id']}").raise_for_status().json()
        assert document["text"][place["start"] : place["end"]] == place["passage"]
        assert annotation.url_citation.url == document["uri"]


def test_a_stream_says_the_same(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="quarry-fast", messages=_ASK).choices[0].message.content
    stream = client.chat.completions.create(model="quarry-fast", messages=_ASK, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole


def test_vectors_are_of_the_live_space(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    embedding = names[-1]
    near, far = "the bridge was opened", "an enzyme unwinds the helix"
    found = client.embeddings.create(model=embedding, input=["the opening of the bridge", near, far])
    vectors = np.array([each.embedding for each in found.data])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert found.usage.prompt_tokens > 9


def test_a_tenant_over_its_limit_gets_the_clients_own_error(api: Api) -> None:
    token = make_token(api.settings, "hasty", "answer", "retrieve")
    base_url = f"{api.settings.http_url}/v1"
    with (
        openai.OpenAI(base_url=base_url, api_key=token, max_retries=0) as hasty,
        pytest.raises(openai.RateLimitError, match="may use 20 requests in 20 s") as refused,
    ):
        for _ in range(200):
            hasty.models.list()
    assert int(refused.value.response.headers["retry-after"]) > 0
