"""Documents over HTTP: searchable soon after they are accepted, gone soon after a delete, each to its tenant."""

from functools import partial

import pytest

from tests.serve.conftest import Api, poll

pytestmark = pytest.mark.serve
_BOUND_S = 30.0  # the aim is 3 s on an idle machine; the figures are printed


def test_an_accepted_document_is_searchable_soon_and_a_deleted_one_is_gone_soon(api: Api, word: str) -> None:
    for round_ in range(3):
        doc_id, query = f"notes/{word}-{round_}.md", f"how often does the {word}{round_} password rotate"
        text = f"# Passwords\n\nThe {word}{round_} password rotates every {round_ + 7} days."
        accepted = api.put(doc_id, text, content_type="text/markdown")
        assert (accepted.status_code, accepted.json()["changed"]) == (202, True)
        searchable_s = poll(partial(_finds, api, query, doc_id), "the document to be found", _BOUND_S)
        (best, *_) = api.retrieve(query).json()["hits"]
        assert api.http.get(f"/v1/documents/{doc_id}").json()["text"][best["start"] : best["end"]] == best["text"]
        assert api.delete(doc_id).status_code == 202
        gone_s = poll(partial(_misses, api, query, doc_id), "the document to be gone", _BOUND_S)
        assert api.http.get(f"/v1/documents/{doc_id}").status_code == 404
        print(f"searchable after {searchable_s:.2f} s, gone after {gone_s:.2f} s")


def test_an_update_replaces_what_was_found_before(api: Api, word: str) -> None:
    api.put("updated", f"The {word} valve is made of bronze.")
    poll(lambda: "updated" in api.found(word), "the first text to be found", _BOUND_S)
    api.put("updated", f"The {word} valve is made of nickel.")

    def texts() -> set[str]:
        hits = api.retrieve(word, top_k=100).raise_for_status().json()["hits"]
        return {hit["text"] for hit in hits if hit["doc_id"] == "updated"}

    poll(lambda: texts() == {f"The {word} valve is made of nickel."}, "only the second text to be found", _BOUND_S)


def test_who_knows_the_seq_of_a_change_reads_it_at_once_and_never_reads_what_it_deleted(api: Api, word: str) -> None:
    question = {"question": f"What is the {word} anchor made of?"}
    for round_ in range(5):
        doc_id = f"anchor-{round_}"
        seq = api.put(doc_id, f"The {word} anchor is made of bronze.").json()["seq"]
        fresh = api.retrieve(word, min_seq=seq).raise_for_status().json()
        assert doc_id in {hit["doc_id"] for hit in fresh["hits"]}
        assert fresh["watermark"] >= seq
        answered = api.http.post("/v1/answer", json={**question, "min_seq": seq}, headers=api.showing("default"))
        assert "bronze" in answered.raise_for_status().json()["answer"]
        gone = api.delete(doc_id).json()["seq"]
        assert doc_id not in api.found(word, min_seq=gone)


def test_a_seq_that_the_log_does_not_have_is_refused_at_once(api: Api, word: str) -> None:
    seq = api.put("last", f"The {word} is new.").json()["seq"]
    for wrong in (seq + 10**6, -1, "soon", 1.5, True):
        refused = api.retrieve(word, min_seq=wrong)
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
        assert "PUT or DELETE" in refused.text


def test_tenants_never_see_each_other(api: Api, word: str) -> None:
    for tenant, metal in (("acme", "cobalt"), ("umbra", "osmium")):
        api.put("secret", f"The {word} vault of {tenant} is lined with {metal}.", tenant)
    for tenant, own, foreign in (("acme", "cobalt", "osmium"), ("umbra", "osmium", "cobalt")):
        poll(partial(_finds, api, word, "secret", tenant), "each tenant's own document", _BOUND_S)
        for query in (word, foreign, f"what is the {word} vault lined with"):
            texts = [hit["text"] for hit in api.retrieve(query, tenant, top_k=100).json()["hits"]]
            assert not [text for text in texts if foreign in text]
        assert own in api.http.get("/v1/documents/secret", headers=api.showing(tenant)).json()["text"]
        question = {"question": f"What is the {word} vault lined with?"}
        answered = api.http.post("/v1/answer", json=question, headers=api.showing(tenant))
        assert foreign not in answered.raise_for_status().text
    assert "secret" not in api.found(word, "default", top_k=100)
    assert api.http.get("/v1/documents/secret").status_code == 404
    assert api.delete("secret").status_code == 404


def _finds(api: Api, query: str, doc_id: str, tenant: str = "default") -> bool:
    return doc_id in api.found(query, tenant)


def _misses(api: Api, query: str, doc_id: str) -> bool:
    return doc_id not in api.found(query)
