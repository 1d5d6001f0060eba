"""Feeds are described in a file that is checked before anything is opened."""

import json
from pathlib import Path

import pytest

from include.quarry.errors import Misconfigured
from include.quarry.feeds.feed_specs import FolderSpec, KafkaSpec, PostgresSpec, PubSubSpec, load_feed_specs

EXAMPLE = Path(__file__).parents[3] / "include/feeds/example.yaml"
VARIABLES = {"KAFKA_PASSWORD": "secret", "ARTICLES_DSN": "postgresql://x"}


def test_the_example_is_what_it_shows() -> None:
    events, debezium, subscription, folder, table = load_feed_specs(EXAMPLE, VARIABLES)
    assert isinstance(events, KafkaSpec) and events.options["sasl.password"] == "secret"
    assert isinstance(debezium, KafkaSpec) and debezium.rows is not None and debezium.rows.key == ("id",)
    assert isinstance(subscription, PubSubSpec)
    assert subscription.feed == "stream:pubsub:my-project:documents-quarry"
    assert isinstance(folder, FolderSpec) and folder.path == "/srv/handbook"
    assert isinstance(table, PostgresSpec) and table.dsn == "postgresql://x"
    assert "postgresql://x" not in repr(table)


def test_a_secret_that_is_not_set_is_named() -> None:
    with pytest.raises(Misconfigured, match="ARTICLES_DSN"):
        load_feed_specs(EXAMPLE, {"KAFKA_PASSWORD": "secret"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("feeds: [{kind: carrier pigeon}]", "carrier pigeon"),
        ("feeds: [{kind: kafka, servers: x}]", "feeds.0.kafka.topic"),
        ("feeds: [{kind: kafka, servers: x, topic: y, more: z}]", "feeds.0.kafka.more"),
        ("feeds: [{kind: postgres, dsn: x, table: t, rows: {key: [], text: [b]}}]", "rows.key"),
        ("feeds: [{kind: postgres, dsn: x, table: t, slot: 'a; b', rows: {key: [a], text: [b]}}]", "slot"),
        ("feeds: [{kind: folder, path: handbook}]", "feeds.0.folder.path"),
        ("feeds: 7", "feeds"),
        ("{", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "feeds.yaml"
    path.write_text(text)
    with pytest.raises(Misconfigured, match=said):
        load_feed_specs(path, {})


@pytest.mark.parametrize("other", ["postgresql://me@DB:5432/archive", "host=db dbname=archive user=me"])
def test_two_tables_never_share_a_slot_of_one_server(tmp_path: Path, other: str) -> None:
    path = tmp_path / "feeds.yaml"
    feeds = [
        {"kind": "postgres", "dsn": "postgresql://db/shop", "table": "notes", "rows": {"key": ["id"], "text": ["b"]}},
        {"kind": "postgres", "dsn": other, "table": "old.notes", "rows": {"key": ["id"], "text": ["b"]}},
    ]
    path.write_text(json.dumps({"feeds": feeds}))
    with pytest.raises(Misconfigured, match=r"public\.notes and old\.notes have the same slot 'quarry'"):
        load_feed_specs(path, {})
    feeds[1]["slot"] = "quarry_old"
    path.write_text(json.dumps({"feeds": feeds}))
    assert len(load_feed_specs(path, {})) == 2
    feeds[1] |= {"slot": "quarry", "dsn": other.replace("5432", "5433").replace("host=db", "host=db2")}
    path.write_text(json.dumps({"feeds": feeds}))
    assert len(load_feed_specs(path, {})) == 2


def test_a_file_that_is_not_there_is_the_operator_s_to_mend(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="QUARRY_FEEDS"):
        load_feed_specs(tmp_path / "none.yaml", {})


def test_an_error_shows_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "feeds.yaml"
    path.write_text("feeds: [{kind: postgres, dsn: '${DSN}', table: [1]}]")
    with pytest.raises(Misconfigured) as raised:
        load_feed_specs(path, {"DSN": "postgresql://user:hunter2@x"})
    assert "hunter2" not in str(raised.value)
