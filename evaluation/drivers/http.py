"""Asks over HTTP, as a user does: network, queueing and serialisation are in the latency."""

import httpx

from evaluation.drivers.protocol import Retrieved
from include.quarry.errors import InvalidInput, NotFound, Unavailable
from include.quarry.gateway.composition import bearer


class HttpDriver:
    """`POST /v1/retrieve` over kept-alive connections, `connections` of them at most, past the cache: what is measured
    is the index, and measuring it leaves no trace.

    `token` speaks for the tenant whose documents are asked. With `index_version`, that version is asked instead of the
    route's choice: then the token needs the scope `admin` too.
    """

    name = "http"

    def __init__(
        self,
        url: str,
        *,
        corpus: str,
        token: str,
        connections: int,
        index_version: str | None = None,
        timeout_s: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._asked: dict[str, object] = {"corpus": corpus, "filters": {}}
        if index_version is not None:
            self._asked["index_version"] = index_version
        self._url = url
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={**bearer(token), "Cache-Control": "no-store"},
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            transport=transport,
            trust_env=False,
        )

    async def retrieve(self, query: str, *, top_k: int) -> Retrieved:
        body = {"query": query, "top_k": top_k, **self._asked}
        try:
            response = await self._client.post("/v1/retrieve", json=body)
        except httpx.TransportError as error:
            raise Unavailable(
                f"{self._url} does not answer ({type(error).__name__}: {error}); start it with `make up`, or name "
                "another address with --url"
            ) from error
        if response.is_error:
            raise _refusal(response, query)
        try:
            found = response.json()
            passages = tuple((str(hit["doc_id"]), float(hit["score"])) for hit in found["hits"])
            return Retrieved(passages, str(found["index_version"]), int(found["watermark"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"{response.url} answered something else than hits, index_version and watermark ({error!r}); "
                "is --url Quarry's gateway?"
            ) from error

    async def close(self) -> None:
        await self._client.aclose()


def _refusal(response: httpx.Response, query: str) -> InvalidInput | NotFound | Unavailable:
    """The answer's problem body, as the error it stands for."""
    message = f"{response.url} answered {response.status_code} to {query!r}: {response.text[:500]}"
    if response.status_code == 404:
        return NotFound(message)
    if response.is_client_error and response.status_code != 429:
        return InvalidInput(message)
    return Unavailable(message)
