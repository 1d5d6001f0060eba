"""Both ways in, plain retrieval's own and the gateway's, leave records that administrators find."""

from functools import partial

from tests.serve.conftest import Api, poll

_BOUND_S = 30.0


def test_what_both_ways_in_answered_is_on_record(api: Api, word: str) -> None:
    retrieved = api.retrieve(word).raise_for_status().json()["query_id"]
    question = {"question": f"What is {word}?"}
    answered = api.http.post("/v1/answer", json=question).raise_for_status().json()["query_id"]
    for query_id, action in ((retrieved, "POST /v1/retrieve"), (answered, "POST /v1/answer")):
        poll(partial(_recorded, api, query_id), "the record", _BOUND_S)
        (record,) = _records(api, query_id)
        assert (record["action"], record["status"], record["tenant"]) == (action, 200, "default")
        assert record["facts"]["index_version"]
        assert word not in str(record)


def _recorded(api: Api, query_id: str) -> bool:
    return bool(_records(api, query_id))


def _records(api: Api, query_id: str) -> list[dict]:
    return api.http.get("/v1/audit", params={"query_id": query_id}).raise_for_status().json()["records"]
