"""The bodies of the routes that OpenAI's clients call.

What would change the meaning of an answer and is not done here (tools, several choices, other formats than text) is
refused; what only steers sampling is accepted and has no effect, since answers are made greedily.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from include.quarry.gateway.min_seq import MinSeq
from include.quarry.gateway.schema import Body, Fields, Name, Printable

MAX_TEXTS = 256
Text = Annotated[str, Field(max_length=100_000)]
NotAsked = Annotated[list[Any], Field(max_length=0, description="null or empty")] | None
NoEffect = Annotated[Any, Field(description="accepted, without effect")]


class TextPart(Body):
    """A part of a message; images, sounds and files are refused."""

    type: Literal["text"]
    text: Text


class Turn(BaseModel):
    """A message of the conversation. What clients send back of our own answers, annotations say, is not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Field(max_length=64)] | None = None

    @property
    def text(self) -> str:
        """All of its text."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class PlainText(Body):
    """The only format of answers."""

    type: Literal["text"]


class StreamOptions(Body):
    """What a stream tells besides the text."""

    include_usage: bool = False
    include_obfuscation: NoEffect = None


class Chat(Body):
    """A conversation whose last user message is the question. `corpus`, `top_k`, `filters`, `min_seq` are our own."""

    model: Printable = Field(examples=["quarry-fast"])
    messages: Annotated[list[Turn], Field(min_length=1, max_length=500)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)

    corpus: Name = "main"
    top_k: int = Field(4, ge=1, le=20, description="passages to look at")
    filters: Fields = Field(default_factory=dict)
    min_seq: MinSeq = 0

    n: Literal[1] | None = 1
    response_format: PlainText | None = None
    logprobs: Literal[False] | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None
    stop: NotAsked = None
    tools: NotAsked = None
    functions: NotAsked = None
    tool_choice: Literal["none", "auto"] | None = None
    function_call: Literal["none", "auto"] | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    top_logprobs: Literal[0] | None = None
    audio: None = None
    prediction: None = None

    frequency_penalty: NoEffect = None
    metadata: NoEffect = None
    parallel_tool_calls: NoEffect = None
    presence_penalty: NoEffect = None
    prompt_cache_key: NoEffect = None
    reasoning_effort: NoEffect = None
    safety_identifier: NoEffect = None
    seed: NoEffect = None
    service_tier: NoEffect = None
    store: NoEffect = None
    temperature: NoEffect = None
    top_p: NoEffect = None
    user: NoEffect = None
    verbosity: NoEffect = None


class UrlCitation(BaseModel):
    """A stretch of the message, `content[start_index:end_index]`, and the document that it points to."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(BaseModel):
    """A marker of the message. `passage` is `text[start:end]` of the document, the words that bear the sentence out.

    `index` numbers the annotations of a message, as clients need that put a stream together.
    """

    type: Literal["url_citation"] = "url_citation"
    index: int
    url_citation: UrlCitation
    doc_id: str
    chunk_id: str
    start: int
    end: int
    passage: str


class TokenUsage(BaseModel):
    """Tokens of all models that were asked, each in its own."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AssistantMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    annotations: list[Annotation]


class Choice(BaseModel):
    """There is one."""

    index: Literal[0] = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class ChatCompletion(BaseModel):
    """An answer as OpenAI's clients read it. `quarry` is what `/v1/answer` tells besides."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage
    quarry: dict[str, Any]


class Embed(Body):
    """Texts to be embedded as the live version of the corpus does it."""

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)]
    model: Printable
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, description="only the model's own number")
    user: NoEffect = None
    corpus: Name = "main"


class EmbeddedText(BaseModel):
    """A vector of length one: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens as the model counts them."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """One vector a text, in their order."""

    object: Literal["list"] = "list"
    data: list[EmbeddedText]
    model: str
    usage: EmbeddingUsage


class Model(BaseModel):
    """A name that `model` may have."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "quarry"


class Models(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]
