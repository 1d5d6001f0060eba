"""Messages of a topic: whatever they hold, the stream goes on."""

import pytest

from include.quarry.errors import InvalidInput
from include.quarry.feeds.messages import MessageReader


def test_what_nobody_thought_of_is_a_message_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_message: object) -> None:
        raise ZeroDivisionError("what nobody thought of")

    monkeypatch.setattr("include.quarry.feeds.messages.read_event", breaks)
    with pytest.raises(InvalidInput, match="ZeroDivisionError: what nobody thought of"):
        MessageReader("event", "main", None).read(b"{}", None)
