"""Shards of one version: together they answer as one index would, and hold every document once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.errors import IncompleteIndex, InvalidInput, NotFound, Unavailable
from include.quarry.records import Chunk, DocumentUpdate, Scope, Scored, Vectors, WordCounts
from include.quarry.retrieval.digest import digest
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.placement import shard_of, shards_in
from include.quarry.retrieval.protocol import Found, Lists, Proposed
from include.quarry.retrieval.ranking import merge
from include.quarry.retrieval.scatter import Scatter
from include.quarry.retrieval.sharded import ShardedIndex, load_index, seal, shard_name
from include.quarry.specs import IndexSpec, ShardSpec
from tests.unit.retrieval.conftest import SPEC, WORDS, embed, make_update

T1 = Scope("t1")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
HASHED = replace(SPEC, shards=ShardSpec(count=3))
WAYS = [ShardSpec(3), ShardSpec(2, "tenant"), ShardSpec(4, "time"), ShardSpec(3, "time", "day")]


def dated(update: DocumentUpdate) -> DocumentUpdate:
    """First accepted on a day that the document's name decides."""
    days = sum(map(ord, update.key.doc_id)) * 7 % 400
    return replace(update, first_accepted_at=FIRST + timedelta(days=days))


@contextmanager
def both(spec: ShardSpec, log: Sequence[DocumentUpdate], batch: int) -> Iterator[tuple[Index, ShardedIndex]]:
    """One index and its shards, after the same log."""
    with TemporaryDirectory() as scratch:
        whole = Index.create(SPEC, "whole", Path(scratch, "whole"))
        sharded = ShardedIndex.create(replace(SPEC, shards=spec), "sharded", Path(scratch, "sharded"))
        for index in (whole, sharded):
            for start in range(0, len(log), batch):
                index.apply(log[start : start + batch], log[start : start + batch][-1].seq)
        yield whole, sharded


texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join), max_size=3)
changes = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["t1", "t2"]), texts), min_size=1, max_size=14
)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(WAYS), changes, st.integers(1, 5), st.integers(1, 8), st.sampled_from(WORDS))
def test_shards_find_the_same_dense_list_and_hold_the_same_as_one_index(
    way: ShardSpec, made: list[tuple[str, str, list[str]]], batch: int, k: int, word: str
) -> None:
    log = [dated(make_update(doc, seq, held, tenant=tenant)) for seq, (doc, tenant, held) in enumerate(made, 1)]
    with both(way, log, batch) as (whole, sharded):
        assert digest(sharded.contents()) == digest(whole.contents())
        assert sharded.watermark == whole.watermark == len(log)
        for tenant in ("t1", "t2", "t3"):
            scope = Scope(tenant)
            found = sharded.find(["-"], embed([word]), k, scope).hits[0]  # no word to look for: dense alone
            assert found == whole.find(["-"], embed([word]), k, scope).hits[0]
            lexical = [
                {hit.chunk_id for hit in lists.lexical}
                for lists in whole.propose([word], embed([word]), 99, scope).lists
            ]
            ranked = sharded.find([word], embed([word]), 99, scope).hits[0]
            assert {hit.chunk.chunk_id for hit in ranked if "lexical" in hit.ranks} == lexical[0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=3, max_size=3).map(" ".join), min_size=1, max_size=20))
def test_words_weigh_the_same_in_every_shard_and_as_in_one_index(passages: list[str]) -> None:
    """With passages of one length nothing of BM25 is left to the shard alone."""
    log = [make_update(f"d{seq}", seq, [text]) for seq, text in enumerate(passages, 1)]
    with both(ShardSpec(3), log, 5) as (whole, sharded):
        asked = [" ".join(WORDS)], embed(["wing"]), 99, T1
        (whole_counts,) = counts = whole.counts(asked[0])
        parts = [shard.propose(*asked, counts).lists[0] for shard in sharded._shards]
        found, expected = (dict(lists.lexical) for lists in (merge(parts, 99), whole.propose(*asked).lists[0]))
        assert found == pytest.approx(expected, abs=2e-4)
        summed = [shard.counts(asked[0])[0] for shard in sharded._shards]
        assert sum(each.chunks for each in summed) == whole_counts.chunks == len(passages)
        for word, containing in whole_counts.containing.items():
            assert sum(each.containing[word] for each in summed) == containing


@given(st.sampled_from(WAYS), st.text(), st.text(), st.datetimes(timezones=st.just(UTC)))
def test_a_document_has_one_shard_for_good_and_its_scope_looks_there(
    way: ShardSpec, tenant: str, doc: str, accepted: datetime
) -> None:
    update = replace(make_update(doc, 1, tenant=tenant), first_accepted_at=accepted)
    place = shard_of(way, update)
    assert place == shard_of(way, replace(update, seq=9, doc_version=9, chunks=make_update(doc, 9, ["wing"]).chunks))
    assert place in shards_in(way, Scope(tenant))


@pytest.mark.parametrize("way", WAYS)
def test_documents_spread_over_all_shards(way: ShardSpec) -> None:
    updates = [dated(make_update(f"d{n}", 1, tenant=f"t{n}")) for n in range(300)]
    counts = np.bincount([shard_of(way, update) for update in updates], minlength=way.count)
    assert counts.min() > 300 / way.count / 2


def test_neighbouring_windows_lie_in_neighbouring_shards_and_undated_documents_are_refused() -> None:
    way, update = ShardSpec(3, "time"), make_update("a", 1, ["wing"])
    places = [shard_of(way, replace(update, first_accepted_at=datetime(2026, m, 28, tzinfo=UTC))) for m in range(1, 7)]
    assert places == [(places[0] + month) % 3 for month in range(6)]
    with pytest.raises(InvalidInput, match="first accepted"):
        shard_of(way, update)


def test_a_search_of_one_tenant_asks_its_shard_alone() -> None:
    assert len(shards_in(ShardSpec(8, "tenant"), T1)) == 1
    assert list(shards_in(ShardSpec(3), T1)) == [0, 1, 2]


class Held:
    """A shard that holds one chunk; one that is `down` for a verb raises there."""

    def __init__(self, chunk: Chunk, score: float, down: str = "") -> None:
        self._chunk, self._score, self._down = chunk, score, down
        self.others_down = False

    def counts(self, queries: Sequence[str]) -> list[WordCounts]:
        self._up("counts")
        return [WordCounts(3, {"wing": 2}) for _ in queries]

    def propose(
        self, queries: Sequence[str], vectors: Vectors, depth: int, scope: Scope, counts: Sequence[WordCounts] | None
    ) -> Proposed:
        self._up("propose")
        up = 2 if self.others_down else 3
        assert counts == [WordCounts(3 * up, {"wing": 2 * up})] * len(queries)
        hits = [Scored(self._chunk.chunk_id, self._score)]
        return Proposed(7 + int(10 * self._score), [Lists(hits, hits) for _ in queries])

    def chunks(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        self._up("chunks")
        assert list(chunk_ids) == [self._chunk.chunk_id]
        return [self._chunk]

    def standing(self) -> int:
        return 7

    def _up(self, verb: str) -> None:
        if self._down == verb:
            raise Unavailable("nobody at home")


@pytest.fixture(params=[False, True], ids=["in turn", "at once"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Found]:
    chunks = [make_update(doc, 1, ["wing"]).chunks[0] for doc in "abc"]

    def ask(*down: str, partial_results: str) -> Found:
        shards = [Held(chunk, 1 - n / 10, gone) for n, (chunk, gone) in enumerate(zip(chunks, down, strict=True))]
        for shard in shards:
            shard.others_down = "counts" in down
        scatter = Scatter(ShardSpec(3), shards, waits=request.param, partial_results=partial_results)
        return scatter.find(["wing", "tail"], embed(["wing", "tail"]), 5, T1, 10)

    return ask


@pytest.mark.parametrize("verb", ["counts", "propose", "chunks"])
def test_a_shard_that_is_down_marks_the_result_or_is_an_error(ask: Callable[..., Found], verb: str) -> None:
    found = ask("", verb, "", partial_results="mark")
    assert [[hit.chunk.key.doc_id for hit in hits] for hits in found.hits] == [["a", "c"], ["a", "c"]]
    assert found.missing == (1,)
    assert ask("", "", "", partial_results="mark").missing == ()
    with pytest.raises(Unavailable, match=r"1 of 3 shards .* shard 1 says: nobody at home"):
        ask("", verb, "", partial_results="error")


def test_with_every_shard_down_there_is_no_result_to_mark(ask: Callable[..., Found]) -> None:
    with pytest.raises(Unavailable, match="3 of 3"):
        ask("propose", "propose", "propose", partial_results="mark")


@pytest.fixture
def sharded(tmp_path: Path) -> ShardedIndex:
    return ShardedIndex.create(HASHED, "v1", tmp_path / "scratch")


def other_shard(sharded: ShardedIndex, update: DocumentUpdate) -> Index:
    return sharded._shards[(shard_of(HASHED.shards, update) + 1) % 3]


@pytest.mark.parametrize("twice", [True, False], ids=["twice", "astray"])
def test_a_document_in_two_shards_or_in_the_wrong_one_is_incomplete(sharded: ShardedIndex, twice: bool) -> None:
    update = make_update("a", 1, ["wing"])
    sharded.apply([update] if twice else [], 1)
    other_shard(sharded, update).apply([update], 1)
    with pytest.raises(IncompleteIndex, match="'a'"):
        list(sharded.contents())


def test_a_delete_reaches_the_shard_of_its_document(sharded: ShardedIndex) -> None:
    sharded.apply([make_update(doc, seq, ["wing"]) for seq, doc in enumerate("abcdef", 1)], 6)
    sharded.apply([make_update("c", 7)], 7)
    hits = sharded.find(["wing"], embed(["wing"]), 10, T1).hits[0]
    assert sorted(hit.chunk.key.doc_id for hit in hits) == list("abdef")


def test_sealed_shards_come_back_and_follow_from_the_earliest(sharded: ShardedIndex, tmp_path: Path) -> None:
    log = [make_update(doc, seq, ["wing", "tail rudder"]) for seq, doc in enumerate("abcdef", 1)]
    sharded.apply(log, 6)
    sharded._shards[2].apply([], 9)
    for number, shard in enumerate(sharded._shards):
        shard.save(tmp_path / "building" / shard_name(number))
    seal(tmp_path / "building", tmp_path / "snapshot", HASHED, "v1")
    loaded = load_index(tmp_path / "snapshot", tmp_path / "loaded")
    assert isinstance(loaded, ShardedIndex)
    assert (loaded.spec, loaded.version, loaded.watermark) == (HASHED, "v1", 6)
    query = ["wing"], embed(["wing"]), 10, T1
    assert loaded.find(*query) == sharded.find(*query)
    assert digest(loaded.contents()) == digest(sharded.contents())


def test_a_snapshot_that_lost_a_shard_is_damaged_and_one_that_is_whole_is_an_index(
    sharded: ShardedIndex, tmp_path: Path
) -> None:
    for number, shard in enumerate(sharded._shards):
        shard.save(tmp_path / "building" / shard_name(number))
    Index.create(SPEC, "v2", tmp_path / "two").save(tmp_path / "whole")
    assert isinstance(load_index(tmp_path / "whole", tmp_path / "three"), Index)
    seal(tmp_path / "building", tmp_path / "snapshot", HASHED, "v1")
    (tmp_path / "snapshot" / shard_name(1)).rename(tmp_path / "elsewhere")
    with pytest.raises(IncompleteIndex, match="damaged"):
        load_index(tmp_path / "snapshot", tmp_path / "loaded")
    with pytest.raises(NotFound):
        load_index(tmp_path / "nowhere", tmp_path / "loaded")


def test_specs_that_differ_in_shards_alone_are_two(sharded: ShardedIndex) -> None:
    assert IndexSpec.from_json(HASHED.to_json()) == HASHED != SPEC
