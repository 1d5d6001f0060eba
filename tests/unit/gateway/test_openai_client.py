"""The unmodified openai client against the real application: what it calls, what it reads, what it raises."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

import numpy as np
import openai
import pytest

from include.quarry.errors import InvalidInput, NotFound, QuarryError, Unavailable
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.chat_routes import chat_routes
from include.quarry.gateway.embedding_routes import embedding_routes
from include.quarry.gateway.model_routes import model_routes
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import Answer, AnswerEvent, Citation, VerifiedSentence
from include.quarry.generation.protocol import Usage, Wish
from include.quarry.operations.health import wait_until
from include.quarry.records import Chunk, DocumentKey, Hit, Passage, Scope, Vectors
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.routing.live_embedding import Embedded
from tests.door import open_test_door, token
from tests.servers.asgi import serving

TEXT = "The lamp burns oil. It was lit in 1871."
CHUNK = Chunk("c1", DocumentKey("main", "red", "a.md"), 1, 0, "file:///a.md", "A", Passage(TEXT, "", 100, 139, 9), {})
LAMP, LIT = (Citation(1, "c1", "a.md", "file:///a.md", 100, 119), Citation(2, "c1", "a.md", "file:///a.md", 120, 139))
SAID = "The lamp burns oil [1]. It was lit in 1871 [2]. It burns oil [1]."
ASK: list[Any] = [{"role": "user", "content": "What burns?"}]
VECTORS = np.eye(3, dtype=np.float32)[:2]


class Platform:
    """Fake ports that remember what they were asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int, Scope, Wish]] = []
        self.min_seqs: list[int] = []
        self.fails: QuarryError | None = None
        self.fails_late = self.knows = False
        self.waits = asyncio.Event()
        self.ended = 0

    async def retrieve(
        self,
        corpus: str,
        query: str,
        top_k: int,
        scope: Scope,
        visit: Visit,
        *,
        index_version: str | None = None,
        min_seq: int = 0,
    ) -> Retrieval:
        if self.fails:
            raise self.fails
        self.min_seqs.append(min_seq)
        self.asked.append((corpus, query, top_k, scope, Wish()))
        return Retrieval([Hit(CHUNK, 0.5, {"dense": 1})], "v1", 7, {"total": 1.0})

    async def answer(self, question: str, hits: Sequence[Hit], wish: Wish, visit: Visit) -> AsyncGenerator[AnswerEvent]:
        self.asked[-1] = (*self.asked[-1][:4], wish)
        try:
            if question == "unknown":
                yield Answer("I don't know.", (), False, "none", Usage(), {"total": 2.0})
                return
            if question == "slow":
                await asyncio.sleep(30)
            yield VerifiedSentence("The lamp burns oil [1].", (LAMP,))
            if question == "fail late":
                raise Unavailable("the model is gone")
            yield VerifiedSentence("It was lit in 1871 [2].", (LIT,))
            yield VerifiedSentence("It burns oil [1].", ())
            yield Answer(SAID, (LAMP, LIT), True, "fast", Usage(30, 12), {"total": 2.0})
        finally:
            self.ended += 1

    async def embed(self, corpus: str, model: str, texts: list[str], visit: Visit) -> Embedded:
        if model != "tiny":
            raise NotFound(f"model {model!r} does not embed")
        if "long" in texts:
            raise InvalidInput("input 0 has 999 tokens")
        return Embedded(Vectors("space", VECTORS[: len(texts)]), 5 * len(texts))

    async def embedding_model(self, corpus: str) -> str:
        if corpus != "main":
            raise NotFound("nothing is live")
        return "tiny"


@pytest.fixture(scope="module")
def platform() -> Platform:
    return Platform()


@pytest.fixture(scope="module")
def url(platform: Platform) -> Iterator[str]:
    door = open_test_door()
    asking = Asking(platform.retrieve, platform.answer)
    routers = (
        chat_routes(asking, door),
        embedding_routes(platform.embed, door),
        model_routes(platform.embedding_model, door),
    )
    with serving(build_http_app(routers, door, max_document_bytes=100_000)) as address:
        yield f"{address}/v1"


@pytest.fixture
def client(url: str, platform: Platform) -> Iterator[openai.OpenAI]:
    platform.fails = None
    with openai.OpenAI(base_url=url, api_key=token("red"), max_retries=0, timeout=20) as made:
        yield made


def test_a_completion_carries_the_answer_its_citations_and_its_cost(client: openai.OpenAI, platform: Platform) -> None:
    completion = client.chat.completions.create(model="quarry-fast", messages=ASK, temperature=0.3, user="ada")
    (choice,) = completion.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", SAID, "stop")
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens, completion.usage.total_tokens) == (
        30,
        12,
        42,
    )
    assert (completion.object, completion.model) == ("chat.completion", "quarry-fast")
    assert platform.asked[-1] == ("main", "What burns?", 4, Scope("red"), Wish("fast"))
    more = completion.model_extra["quarry"]
    assert (more["grounded"], more["tier"], more["index_version"]) == (True, "fast", "v1")
    assert completion.id == f"chatcmpl-{more['query_id']}"


def test_annotations_point_at_the_markers_and_at_the_passages(client: openai.OpenAI) -> None:
    message = client.chat.completions.create(model="quarry-deep", messages=ASK).choices[0].message
    assert message.annotations is not None
    places = [(each.url_citation.start_index, each.url_citation.end_index) for each in message.annotations]
    assert [SAID[start:end] for start, end in places] == ["[1]", "[2]", "[1]"]
    second = message.annotations[1]
    assert (second.type, second.url_citation.title, second.url_citation.url) == ("url_citation", "A", "file:///a.md")
    assert second.model_extra == {
        "index": 1,
        "doc_id": "a.md",
        "chunk_id": "c1",
        "start": 120,
        "end": 139,
        "passage": "It was lit in 1871.",
    }


def test_a_stream_adds_up_to_the_completion(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="quarry-fast", messages=ASK).choices[0].message
    options: Any = {"include_usage": True}
    with client.chat.completions.stream(model="quarry-fast", messages=ASK, stream_options=options) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    message = final.choices[0].message
    assert pieces == ["", "The lamp burns oil [1].", " It was lit in 1871 [2].", " It burns oil [1]."]
    assert (message.content, final.choices[0].finish_reason) == (SAID, "stop")
    assert message.annotations == whole.annotations
    assert final.usage is not None
    assert final.usage.total_tokens == 42


def test_without_asking_a_stream_tells_no_usage(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="quarry-fast", messages=ASK, stream=True))
    assert [chunk.choices[0].delta.role for chunk in chunks][:1] == ["assistant"]
    assert all(chunk.usage is None for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1


def test_not_knowing_is_streamed_too(client: openai.OpenAI) -> None:
    unknown: list[Any] = [{"role": "user", "content": "unknown"}]
    stream = client.chat.completions.create(model="quarry-fast", messages=unknown, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "I don't know."


def test_a_stream_that_fails_raises_what_went_wrong(client: openai.OpenAI) -> None:
    late: list[Any] = [{"role": "user", "content": "fail late"}]
    stream = client.chat.completions.create(model="quarry-fast", messages=late, stream=True)
    with pytest.raises(openai.APIError, match="the model is gone") as caught:
        list(stream)
    assert caught.value.type == "server_error"


def test_the_last_user_message_is_the_question(client: openai.OpenAI, platform: Platform) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Earlier?"},
        client.chat.completions.create(model="quarry-fast", messages=ASK).choices[0].message,
        {"role": "user", "content": [{"type": "text", "text": "Which lamp?"}]},
    ]
    client.chat.completions.create(model="quarry-fast", messages=messages)
    assert platform.asked[-1][1] == "Which lamp?"


@pytest.mark.parametrize(("sent", "bound"), [(30, 30), (100_000, None)])
def test_a_length_that_a_tier_could_exceed_bounds_the_answer(
    client: openai.OpenAI, platform: Platform, sent: int, bound: int | None
) -> None:
    client.chat.completions.create(model="quarry-auto", messages=ASK, max_completion_tokens=sent)
    assert platform.asked[-1][4] == Wish("auto", bound)
    client.chat.completions.create(model="quarry-auto", messages=ASK, max_tokens=sent)
    assert platform.asked[-1][4] == Wish("auto", bound)


def test_our_own_fields_go_in_the_extra_body(client: openai.OpenAI, platform: Platform) -> None:
    extra = {"corpus": "other", "top_k": 7, "filters": {"uri": "file:///a.md"}}
    client.chat.completions.create(model="quarry-fast", messages=ASK, extra_body=extra)
    assert platform.asked[-1][:4] == ("other", "What burns?", 7, Scope("red", {"uri": "file:///a.md"}))


def test_who_wrote_reads_it_in_a_chat_too(client: openai.OpenAI, platform: Platform) -> None:
    chat(client, extra_body={"min_seq": 7})
    list(chat(client, extra_body={"min_seq": 8}, stream=True))
    chat(client)
    assert platform.min_seqs[-3:] == [7, 8, 0]
    for wrong in (-1, 1.5, "7", True, None):
        with pytest.raises(openai.UnprocessableEntityError, match="send the seq that PUT or DELETE returned") as caught:
            chat(client, extra_body={"min_seq": wrong})
        assert caught.value.param == "min_seq"


async def test_the_async_client_works_too(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key=token("red"), max_retries=0) as client:
        completion = await client.chat.completions.create(model="quarry-fast", messages=ASK)
        stream = await client.chat.completions.create(model="quarry-fast", messages=ASK, stream=True)
        streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        vectors = await client.embeddings.create(model="tiny", input="x")
        models = [model.id async for model in client.models.list()]
    assert completion.choices[0].message.content == streamed == SAID
    assert len(vectors.data) == 1
    assert "quarry-deep" in models


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}])
def test_embeddings_come_as_numbers_in_the_order_of_the_texts(client: openai.OpenAI, encoding: Any) -> None:
    found = client.embeddings.create(model="tiny", input=["one", "two"], **encoding)
    assert [each.index for each in found.data] == [0, 1]
    assert np.array_equal([each.embedding for each in found.data], VECTORS)
    assert (found.model, found.usage.prompt_tokens, found.usage.total_tokens) == ("tiny", 10, 10)


def test_embeddings_come_as_base64_where_that_is_asked_for(client: openai.OpenAI) -> None:
    found: Any = client.embeddings.create(model="tiny", input="one", encoding_format="base64")
    assert np.array_equal(np.frombuffer(base64.b64decode(found.data[0].embedding), "<f4"), VECTORS[0])


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["quarry-auto", "quarry-fast", "quarry-deep", "tiny"]
    assert client.models.retrieve("quarry-fast").owned_by == "quarry"
    assert "tiny" not in [model.id for model in client.models.list(extra_query={"corpus": "empty"})]


def chat(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(**({"model": "quarry-fast", "messages": ASK} | more))


REFUSED = {
    "no message": lambda c: chat(c, messages=[]),
    "no user message": lambda c: chat(c, messages=[{"role": "system", "content": "x"}]),
    "an empty question": lambda c: chat(c, messages=[{"role": "user", "content": "  "}]),
    "a question too long": lambda c: chat(c, messages=[{"role": "user", "content": "x" * 9000}]),
    "an image": lambda c: chat(c, messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
    "tools": lambda c: chat(c, tools=[{"type": "function", "function": {"name": "f"}}]),
    "several choices": lambda c: chat(c, n=2),
    "JSON": lambda c: chat(c, response_format={"type": "json_object"}),
    "an unknown field": lambda c: chat(c, extra_body={"topk": 3}),
    "other dimensions": lambda c: c.embeddings.create(model="tiny", input="x", dimensions=2),
    "tokens instead of text": lambda c: c.embeddings.create(model="tiny", input=[1, 2, 3]),
    "nothing to embed": lambda c: c.embeddings.create(model="tiny", input=[]),
    "a text too long to embed": lambda c: c.embeddings.create(model="tiny", input="long"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_done_here_is_refused_with_a_reason(client: openai.OpenAI, what: str) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        REFUSED[what](client)
    assert caught.value.code == "invalid_input"
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id


def test_a_refused_field_is_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        chat(client, n=2)
    assert caught.value.param == "n"


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: chat(c, model="gpt-4o"),
        lambda c: c.embeddings.create(model="text-embedding-3-small", input="x"),
        lambda c: c.models.retrieve("gpt-4o"),
    ],
)
def test_an_unknown_model_is_not_found(client: openai.OpenAI, ask: Any) -> None:
    with pytest.raises(openai.NotFoundError):
        ask(client)


def test_without_a_token_the_client_is_not_authenticated(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="nonsense", max_retries=0) as client:
        for ask in (chat, lambda c: list(c.models.list()), lambda c: c.embeddings.create(model="tiny", input="x")):
            with pytest.raises(openai.AuthenticationError) as caught:
                ask(client)
            assert caught.value.type == "invalid_request_error"


def test_a_token_without_the_scope_is_denied(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key=token("red", "retrieve"), max_retries=0) as client:
        assert list(client.models.list())
        with pytest.raises(openai.PermissionDeniedError):
            chat(client)


def test_a_busy_platform_is_asked_again_when_it_said_so(client: openai.OpenAI, platform: Platform) -> None:
    platform.fails = Unavailable("the queue is full", retry_after_s=1)
    with pytest.raises(openai.InternalServerError) as caught:
        chat(client)
    assert caught.value.response.headers["retry-after"] == "1"


def test_a_client_that_waits_no_longer_ends_the_generation(client: openai.OpenAI, platform: Platform) -> None:
    ended, slow = platform.ended, [{"role": "user", "content": "slow"}]
    with pytest.raises(openai.APITimeoutError):
        chat(client, messages=slow, timeout=2)
    with pytest.raises(openai.APITimeoutError):
        list(chat(client, messages=slow, timeout=0.5, stream=True))
    wait_until(lambda: platform.ended == ended + 2, "the generations to end", timeout_s=20, tick=lambda _: None)


def test_what_clients_leave_empty_is_not_asked_for(client: openai.OpenAI) -> None:
    empty: Any = {"stop": None, "tools": [], "tool_choice": "none", "functions": [], "logit_bias": {}, "audio": None}
    more: Any = {"parallel_tool_calls": True, "top_logprobs": None, "prediction": None, "function_call": None}
    assert chat(client, extra_body=empty | more).choices[0].message.content == SAID
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        chat(client, stop=["\n"])
    assert caught.value.param == "stop"
