"""A document is one by corpus, tenant and name, wherever tables are joined."""

from itertools import product

import sqlalchemy as sa

from include.quarry.catalog.columns import document_key_columns, key_of, same_document
from include.quarry.records import DocumentKey


def test_a_document_is_not_the_one_of_its_name_in_another_tenant_or_corpus() -> None:
    metadata, engine = sa.MetaData(), sa.create_engine("sqlite://")
    left, right = (sa.Table(name, metadata, *document_key_columns()) for name in ("left", "right"))
    metadata.create_all(engine)
    keys = [DocumentKey(*parts) for parts in product("ab", repeat=3)]
    with engine.connect() as connection:
        for table in (left, right):
            connection.execute(sa.insert(table), [key._asdict() for key in keys])
        joined = connection.execute(
            sa.select(*key_of(left), *key_of(right)).select_from(left).join(right, same_document(left, right))
        ).all()
    engine.dispose()
    assert sorted(joined) == [key + key for key in keys]
