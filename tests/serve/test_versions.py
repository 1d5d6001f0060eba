"""Index versions through the real ingress: what answers is listed, and proven again inside the gateway's replica."""

from tests.serve.conftest import Api, poll


def test_the_live_version_is_listed_shown_and_proven_while_documents_are_uploaded(api: Api, word: str) -> None:
    live = api.http.get("/v1/status").raise_for_status().json()["live_version"]
    api.put(f"note-{word}", f"The word is {word}.").raise_for_status()
    poll(lambda: f"note-{word}" in api.found(word), "the upload", 30)
    listed = api.http.get("/v1/versions", params={"corpus": "main"}).raise_for_status().json()["versions"]
    assert {version["version_id"]: version["state"] for version in listed}[live] == "live"
    assert api.http.get(f"/v1/versions/{live}").raise_for_status().json()["parts"]["store"]["adapter"] == "faiss"
    promoted = api.http.post(f"/v1/versions/{live}/promote").raise_for_status().json()
    assert promoted["route"]["live_version"] == live
    assert promoted["proof"]["digest"] == promoted["proof"]["log_digest"]
    assert promoted["proof"]["chunks"] > 0


def test_without_an_airflow_a_build_is_refused_for_now(api: Api) -> None:
    response = api.http.post("/v1/versions", json={"spec": "int8_faiss"})
    assert response.status_code == 503, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert "Airflow" in response.json()["detail"]
