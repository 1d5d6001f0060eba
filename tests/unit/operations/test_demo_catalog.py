from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.schema import documents
from include.quarry.operations import demo_catalog
from include.quarry.operations.demo_answers import questions_about


def catalog_with(tmp_path: Path, *uris: str) -> Database:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrate(url)
    database = Database(url)
    rows = [
        {
            "corpus": "main", "tenant": "default", "doc_id": uri, "seq": seq, "version": 1,
            "deleted": uri.endswith("gone"),
            "feed": "f", "uri": uri, "title": f"title of {uri}", "content_type": "text/plain", "content_hash": "",
            "metadata": {}, "text": "", "outline": [], "accepted_at": datetime.now(UTC),
            "first_accepted_at": datetime.now(UTC),
        }
        for seq, uri in enumerate(uris, start=1)
    ]  # fmt: skip
    with database.write() as connection:
        connection.execute(sa.insert(documents), rows)
    return database


def test_titles_come_from_the_folder_alone_and_the_newest_first(tmp_path):
    database = catalog_with(
        tmp_path, "file:///mine/a", "file:///mine/b", "file:///mine2/c", "pkg:pypi/d", "file:///mine/gone"
    )
    assert demo_catalog.titles(database, "main", "/mine") == ["title of file:///mine/b", "title of file:///mine/a"]
    database.close()


def test_deleted_documents_are_not_counted(tmp_path):
    database = catalog_with(tmp_path, "a", "b", "gone")
    assert demo_catalog.documents(database, "main") == 2
    assert demo_catalog.documents(database, "another") == 0
    database.close()


def test_an_empty_catalog_has_no_live_version(tmp_path):
    database = catalog_with(tmp_path, "a")
    assert demo_catalog.live_version(database, "main") is None
    assert demo_catalog.building(database, "main") == "no version yet"
    database.close()


def test_a_folder_offers_its_files_at_any_depth(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("a.md", "deep/b.md", "deep/er/c.md"):
        (tmp_path / name).touch()
    assert demo_catalog.offered(str(tmp_path)) == 3


def test_questions_are_about_three_different_titles():
    assert len(questions_about(["A", "A", " ", "B", "C", "D"])) == 3
    assert questions_about(["A"]) == ["What is A about?"]
