"""What an index holds of a tenant has a name: the same one exactly where the same is held."""

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.quarry.records import DocumentUpdate
from include.quarry.retrieval.holdings import Holdings, together
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.passages import PassageTable
from include.quarry.retrieval.protocol import Holding

TENANTS = ("t1", "t2")


class Replica:
    """Passages with their names, and what they hold, kept in the plainest way."""

    def __init__(self) -> None:
        self.table = PassageTable()
        self.holdings = Holdings(self.table)
        self.held: dict[tuple[str, str], DocumentUpdate] = {}

    def apply(self, updates: list[DocumentUpdate]) -> None:
        with self.holdings.changing(updates):
            self.table.apply(updates)
        for each in updates:
            key = each.key.tenant, each.key.doc_id
            if key not in self.held or each.seq > self.held[key].seq:
                self.held[key] = each

    def reload(self, folder: Path) -> None:
        self.table.save(folder)
        self.table = PassageTable.load(folder)
        self.holdings = Holdings(self.table)

    def of(self, tenant: str) -> frozenset[tuple[str, int]]:
        held = (each for (owner, _), each in self.held.items() if owner == tenant and each.chunks)
        return frozenset((each.key.doc_id, each.seq) for each in held)


changes = st.tuples(st.sampled_from("abc"), st.sampled_from(TENANTS), st.integers(1, 6), st.integers(0, 2))
steps = st.lists(st.one_of(st.just("reload"), st.lists(changes, min_size=1, max_size=4)), max_size=5)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories=st.lists(steps, min_size=2, max_size=3))
def test_replicas_give_a_tenant_the_same_name_exactly_when_they_hold_the_same_of_it(update, histories: list) -> None:
    """Whatever came first, in whatever batches, ahead of whatever, and from a snapshot or not. A `seq` is of one
    change, so here too the document and the `seq` decide how many chunks there are."""
    chunks_of: dict[tuple[str, str, int], int] = {}
    names: dict[tuple[str, frozenset], str] = {}
    with TemporaryDirectory() as folder:
        for number, history in enumerate(histories):
            replica = Replica()
            for place, step in enumerate(history):
                if step == "reload":
                    replica.reload(Path(folder) / f"{number}-{place}")
                else:
                    replica.apply(
                        [
                            update(d, seq, ["wing"] * chunks_of.setdefault((d, t, seq), n), tenant=t)
                            for d, t, seq, n in step
                        ]
                    )
                for tenant in TENANTS:
                    holding = replica.holdings.of(tenant)
                    assert holding is not None
                    assert names.setdefault((tenant, replica.of(tenant)), holding.name) == holding.name
    by_name = defaultdict(set)
    for (tenant, held), name in names.items():
        by_name[tenant, name].add(held)
    assert all(len(held) == 1 for held in by_name.values())


@pytest.fixture
def index(spec, tmp_path: Path) -> Index:
    return Index.create(spec, "v1", tmp_path / "scratch")


def test_the_newest_change_and_the_watermark_do_not_say_what_is_held(spec, update, tmp_path: Path) -> None:
    """`a` waits for vectors, `b` is applied ahead of it: two states with the same newest `seq` and watermark."""
    early, late = (Index.create(spec, "v1", tmp_path / name) for name in ("early", "late"))
    for index in (early, late):
        index.apply([update("a", 1, ["wing"])], 1)
        index.apply([update("b", 3, ["tail"])], 1)
    late.apply([update("a", 2, ["rudder"])], 1)
    assert early.watermark == late.watermark
    assert early.holding("t1").name != late.holding("t1").name


def test_the_changes_of_one_tenant_leave_the_holding_of_another_as_it_is(index: Index, update) -> None:
    index.apply([update("a", 1, ["wing"])], 1)
    before = index.holding("t1")
    index.apply([update("a", 2, ["wing"], tenant="t2"), update("b", 3, tenant="t2")], 3)
    assert index.holding("t1") == before
    assert index.holding("t2") != index.holding("t3")


def test_what_came_and_went_leaves_the_name_but_not_the_holding(index: Index, update) -> None:
    index.apply([update("a", 1, ["wing"])], 1)
    before = index.holding("t1")
    index.apply([update("b", 2, ["tail"])], 2)
    index.apply([update("b", 3)], 3)
    after = index.holding("t1")
    assert after.name == before.name
    assert after != before


def test_a_snapshot_has_the_names_of_what_it_was_taken_of(index: Index, update, tmp_path: Path) -> None:
    index.apply([update("a", 1, ["wing"]), update("b", 2, ["tail"]), update("c", 3, ["tail"], tenant="t2")], 3)
    index.apply([update("b", 4)], 4)
    index.save(tmp_path / "snapshot")
    loaded = Index.load(tmp_path / "snapshot", tmp_path / "loaded")
    assert [loaded.holding(tenant).name for tenant in TENANTS] == [index.holding(tenant).name for tenant in TENANTS]


def test_there_is_no_name_while_a_change_is_applied(index: Index, update, monkeypatch) -> None:
    index.apply([update("a", 1, ["wing"])], 1)
    seen = []
    apply = index._lexical.apply
    monkeypatch.setattr(
        index._lexical,
        "apply",
        lambda updates: (seen.append((index.holding("t1"), index.holding("t2"))), apply(updates)),
    )
    other = index.holding("t2")
    index.apply([update("a", 2, ["tail"])], 2)
    assert seen == [(None, other)]
    assert index.holding("t1") is not None


def test_after_an_apply_that_failed_there_is_no_name_until_its_documents_were_applied(
    index: Index, update, monkeypatch
) -> None:
    index.apply([update("a", 1, ["wing"]), update("a", 2, ["wing"], tenant="t2")], 2)
    other = index.holding("t2")
    with monkeypatch.context() as patch:
        patch.setattr(index._store, "apply", lambda updates: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            index.apply([update("a", 3, ["tail"])], 3)
    index.apply([update("b", 4, ["rudder"])], 2)
    assert index.holding("t1") is None
    assert index.holding("t2") == other
    index.apply([update("a", 3, ["tail"])], 4)
    whole = Replica()
    whole.apply([update("a", 3, ["tail"]), update("b", 4, ["rudder"])])
    assert index.holding("t1").name == whole.holdings.of("t1").name


def test_shards_together_hold_what_one_index_would(spec, update, tmp_path: Path) -> None:
    updates = [update(doc, seq, ["wing"]) for seq, doc in enumerate("abcd", 1)]
    whole, *shards = (Index.create(spec, "v1", tmp_path / name) for name in ("whole", "one", "two"))
    whole.apply(updates, 4)
    for shard, some in zip(shards, (updates[::2], updates[1::2]), strict=True):
        shard.apply(some, 4)
    holding = together(shard.holding("t1") for shard in shards)
    assert holding.name == whole.holding("t1").name
    shards[1].apply([update("e", 5, ["wing"])], 5)
    shards[1].apply([update("e", 6)], 6)
    again = together(shard.holding("t1") for shard in shards)
    assert (again.name, again.moves) == (holding.name, (1, 3))
    assert together([Holding("00", (1,)), None]) is None
