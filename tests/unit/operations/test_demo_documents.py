"""Which documents the demonstration reads and asks about."""

import pytest

from include.quarry.errors import NotFound
from include.quarry.operations.demo import own_documents


def test_nothing_said_means_the_default_documents():
    assert own_documents(None, "environment:") == ("", "")


def test_a_folder_for_this_run_goes_before_the_setting(tmp_path):
    folder = str(tmp_path)
    assert own_documents(folder, "environment:") == (folder, folder)
    assert own_documents(folder, "/somewhere/else") == (folder, folder)


def test_documents_that_the_setting_names_are_asked_about_as_own_ones(tmp_path):
    assert own_documents(None, str(tmp_path)) == ("", str(tmp_path))


@pytest.mark.parametrize(
    ("docs", "setting", "named"), [("/no/x", "environment:", "^DOCS"), (None, "/no/x", "QUARRY_DOCS")]
)
def test_what_is_no_folder_is_refused_by_the_name_that_said_it(docs, setting, named):
    with pytest.raises(NotFound, match=named):
        own_documents(docs, setting)
