"""A promotion while clients ask: no request fails, and each is answered by one version."""

import threading
from functools import partial

import httpx
import pytest

from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote
from include.quarry.specs import IndexSpec, StoreSpec
from tests.serve.conftest import Api, poll

pytestmark = pytest.mark.serve
_CLIENTS = 4
_BOUND_S = 60.0


def test_no_request_fails_while_versions_change_places(api: Api, word: str) -> None:
    api.put("promoted", f"The {word} archive is kept in the north wing.")
    poll(lambda: "promoted" in api.found(word), "the document to be found", _BOUND_S)
    spec = api.settings.index_spec()
    other = IndexSpec(spec.chunker, spec.embedding, StoreSpec(kind="flat"), spec.lexical)
    before = str(api.status()["live_version"])
    build_version("second", "main", other, api.settings)
    proof = check_completeness("second", api.settings)
    assert proof["digest"] == proof["log_digest"]

    stopped = threading.Event()
    seen: list[tuple[int, str, set[str]]] = []
    clients = [threading.Thread(target=_ask, args=(api, word, stopped, seen)) for _ in range(_CLIENTS)]
    for client in clients:
        client.start()
    for version in ("second", before, "second"):
        promote(version, api.settings)
        under_way = len(seen) + _CLIENTS  # may still be answered by the version before
        poll(partial(_answers, version, seen, under_way), f"{version} to answer", _BOUND_S)
    stopped.set()
    for client in clients:
        client.join()

    print(f"{len(seen)} requests over 3 promotions")
    assert [row for row in seen if row[0] != httpx.codes.OK] == []
    assert {row[1] for row in seen} == {before, "second"}
    assert [row for row in seen if "promoted" not in row[2]] == []


def _ask(api: Api, word: str, stopped: threading.Event, seen: list[tuple[int, str, set[str]]]) -> None:
    headers = api.showing("default")
    with httpx.Client(base_url=api.settings.http_url, headers=headers, timeout=60, trust_env=False) as http:
        while not stopped.is_set():
            response = http.post("/v1/retrieve", json={"query": word})
            body = response.json()
            seen.append((response.status_code, body.get("index_version", ""), {h["doc_id"] for h in body["hits"]}))


def _answers(version: str, seen: list[tuple[int, str, set[str]]], since: int) -> bool:
    return any(row[1] == version for row in seen[since:])
