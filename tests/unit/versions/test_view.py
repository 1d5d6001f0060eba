"""What people see of versions that share a route."""

from include.quarry.catalog.observations import Observation, record_observation
from include.quarry.catalog.routes import put_in_canary, put_in_shadow
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from include.quarry.specs import EmbeddingSpec, IndexSpec
from include.quarry.versions.view import view_version, view_versions
from tests.unit.routing.corpus import SPEC, Corpus


def shares(corpus: Corpus, settings: Settings) -> dict[str, tuple[float, float, bool]]:
    with corpus.database.read() as connection:
        views = view_versions(connection, "main", settings)
    return {view.version_id: (view.share, view.shadow_share, view.previous) for view in views}


def test_shares_follow_the_route(corpus: Corpus, versions_settings: Settings) -> None:
    for version_id in ("v1", "v2"):
        build_version(version_id, "main", SPEC, versions_settings, patience_s=0)
    assert shares(corpus, versions_settings) == {"v1": (0, 0, False), "v2": (0, 0, False)}
    promote("v1", versions_settings)
    with corpus.database.write() as connection:
        put_in_shadow(connection, "v2", 0.5)
    assert shares(corpus, versions_settings) == {"v1": (1, 0, False), "v2": (0, 0.5, False)}
    with corpus.database.write() as connection:
        put_in_canary(connection, "v2", 0.25)
    assert shares(corpus, versions_settings) == {"v1": (0.75, 0, False), "v2": (0.25, 0, False)}
    promote("v2", versions_settings)
    assert shares(corpus, versions_settings) == {"v1": (0, 0, True), "v2": (1, 0, False)}


def test_a_version_shows_what_was_seen_of_it_beside_the_live_one(corpus: Corpus, versions_settings: Settings) -> None:
    build_version("v1", "main", SPEC, versions_settings, patience_s=0)
    with corpus.database.write() as connection:
        record_observation(connection, "v1", Observation(4, 1, 3.0, 2.0, [1.0], [2.0]))
    with corpus.database.read() as connection:
        view = view_version(connection, "v1", versions_settings)
    assert view["seen"] == {"queries": 4, "failures": 1, "overlap": 0.75, "correlation": 0.5}
    assert view["parts"]["embedding"]["model"] == "hash"


def test_a_spec_has_the_name_of_its_file_under_the_present_precision(corpus: Corpus, tmp_path) -> None:
    from include.quarry.catalog.versions import create_version

    spec = IndexSpec(embedding=EmbeddingSpec(dtype="fp32"))
    with corpus.database.write() as connection:
        create_version(connection, "v1", "main", spec)
        for dtype, name in (("fp32", "default"), ("bf16", spec.fingerprint)):
            (view,) = view_versions(connection, "main", Settings(home=tmp_path, embedding_dtype=dtype))
            assert view.spec == name
            assert view.lag_changes is None
