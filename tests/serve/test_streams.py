"""What a topic tells of can be found moments later, and what it takes back cannot."""

import json
import statistics

from confluent_kafka import Producer

from tests.serve.conftest import TOPIC, Api, poll

_PATIENCE_S = 60.0


def send(broker: str, tenant: str, doc_id: str, text: str | None) -> None:
    producer = Producer({"bootstrap.servers": broker})
    event = {"tenant": tenant, "doc_id": doc_id, "op": "delete"} if text is None else None
    event = event or {"tenant": tenant, "doc_id": doc_id, "op": "upsert", "text": text}
    producer.produce(TOPIC, json.dumps(event).encode(), f"{tenant}/{doc_id}".encode())
    assert producer.flush(30) == 0


def test_an_event_is_searchable_and_its_delete_is_gone(api: Api, broker: str, word: str) -> None:
    seconds = []
    for number in range(5):
        send(broker, "red", f"{word}-{number}", f"The {word} of number {number} stands in the yard.")
        seconds.append(poll(lambda n=number: f"{word}-{n}" in api.found(word, "red"), "the document", _PATIENCE_S))
    assert api.found(word, "blue") == set()
    send(broker, "red", f"{word}-0", None)
    gone_s = poll(lambda: f"{word}-0" not in api.found(word, "red"), "the delete", _PATIENCE_S)
    print(f"searchable after {statistics.median(seconds):.2f} s (median of 5), gone after {gone_s:.2f} s")


def test_a_file_is_found_at_each_moment_while_it_is_moved_and_gone_when_it_is_deleted(api: Api, word: str) -> None:
    watched = api.installation.settings.home / "watched"
    here, there = watched / f"{word}.txt", watched / f"moved-{word}.txt"
    here.write_text(f"The {word} stands in the yard.")
    poll(lambda: here.name in api.found(word, "red"), "the file", _PATIENCE_S)
    here.rename(there)
    seen = [api.found(word, "red") & {here.name, there.name}]
    while seen[-1] != {there.name}:
        assert seen[-1], f"the file is nowhere after {len(seen)} looks"
        seen.append(api.found(word, "red") & {here.name, there.name})
    there.unlink()
    poll(lambda: there.name not in api.found(word, "red"), "the delete", _PATIENCE_S)


def test_garbage_on_the_topic_stops_nothing(api: Api, broker: str, word: str) -> None:
    producer = Producer({"bootstrap.servers": broker})
    for value in (b"not JSON", b"{}", None):
        producer.produce(TOPIC, value, b"garbage")
    assert producer.flush(30) == 0
    send(broker, "red", word, f"After the garbage comes {word}.")
    poll(lambda: word in api.found(word, "red"), "the document after the garbage", _PATIENCE_S)
