"""Sources that change at random, a topic or a table, and what the catalog must hold in the end.

Keys are drawn by Zipf's law, so that few documents change again and again. Every change has a text of its own, so each
must be in the log exactly once.
"""

import json
from collections import Counter
from random import Random
from typing import Any

import psycopg2
from confluent_kafka import Producer

TENANTS = ("red", "blue", "green")
TABLE = "notes"
_FAMILIES = 40
_DELETED, _RENAMED = 0.15, 0.25
Name = tuple[str, str]


class Truth:
    """The texts that must be there, by (tenant, doc_id), and how many changes each document must have in the log."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._number = 0
        self._names: dict[Name, str] = {}
        self.texts: dict[Name, str] = {}
        self.changes: Counter[Name] = Counter()

    def next(self) -> tuple[str, Name, str, str]:
        """One more change: what is done, to whom, the name afterwards, and the text."""
        self._number += 1
        rank = min(int(self._dice.paretovariate(1.0)), _FAMILIES)
        family = (self._dice.choice(TENANTS), f"f{rank}")
        name = self._names.get(family, family[1] + "-0")
        here, text = (family[0], name), f"Change {self._number} of {family[1]} for {family[0]}."
        roll = self._dice.random() if here in self.texts else 1.0
        self.changes[here] += 1
        if roll < _DELETED:
            del self.texts[here]
            return "delete", here, name, ""
        if roll < _RENAMED:
            self._names[family] = renamed = f"{family[1]}-{self._number}"
            del self.texts[here]
            self.texts[family[0], renamed] = text
            self.changes[family[0], renamed] += 1
            return "rename", here, renamed, text
        self.texts[here] = text
        return "upsert", here, name, text


def next_event(truth: Truth) -> tuple[str, bytes]:
    """One more change as an event, and the key that all changes of its document share, later names included."""
    what, (tenant, doc_id), name, text = truth.next()
    event: dict[str, Any] = {"op": "upsert", "tenant": tenant, "doc_id": name, "text": text}
    if what == "delete":
        event = {"op": "delete", "tenant": tenant, "doc_id": doc_id}
    elif what == "rename":
        event["replaces"] = doc_id
    return f"{tenant}/{doc_id.partition('-')[0]}", json.dumps(event).encode()


class TopicSource:
    """A producer of events to Kafka."""

    def __init__(self, broker: str, topic: str, dice: Random) -> None:
        self._producer = Producer({"bootstrap.servers": broker, "enable.idempotence": True})
        self._topic = topic
        self.truth = Truth(dice)

    def change(self) -> None:
        """Send one more event."""
        key, value = next_event(self.truth)
        self._producer.produce(self._topic, key=key, value=value)
        self._producer.poll(0)

    def flush(self) -> None:
        """Return when the broker has all."""
        assert self._producer.flush(60) == 0


class TableSource:
    """A user's table."""

    def __init__(self, dsn: str, dice: Random) -> None:
        self._connection = psycopg2.connect(dsn, application_name="user")
        self._connection.autocommit = True
        self.truth = Truth(dice)
        self.do(f"CREATE TABLE {TABLE} (shop text, id text, body text, PRIMARY KEY (shop, id))")
        self.do(f"ALTER TABLE {TABLE} REPLICA IDENTITY FULL")

    def do(self, statement: str, *values: str) -> None:
        """Execute and commit."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)

    def change(self) -> None:
        """Commit one more change."""
        what, (shop, doc_id), name, text = self.truth.next()
        where = "WHERE shop = %s AND id = %s"
        if what == "delete":
            self.do(f"DELETE FROM {TABLE} {where}", shop, doc_id)
        elif what == "rename":
            self.do(f"UPDATE {TABLE} SET id = %s, body = %s {where}", name, text, shop, doc_id)
        else:
            upsert = "ON CONFLICT (shop, id) DO UPDATE SET body = excluded.body"
            self.do(f"INSERT INTO {TABLE} VALUES (%s, %s, %s) {upsert}", shop, doc_id, text)

    def cut_off(self) -> None:
        """End every session of ours at the server, as a failover would."""
        self.do(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> 'user' "
            "AND pid <> pg_backend_pid() AND backend_type IN ('client backend', 'walsender')"
        )

    def close(self) -> None:
        """End the session."""
        self._connection.close()
