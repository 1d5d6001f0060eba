"""A writer waits for the readers that were there before it, and for no other."""

from contextlib import suppress
from threading import Event, Thread

from include.quarry.stores.readers import Readers


def test_a_writer_without_readers_goes_on_at_once() -> None:
    Readers().wait_for_earlier()


def test_a_writer_waits_for_who_reads_already_and_not_for_who_comes_later() -> None:
    readers, first, waited = Readers(), Event(), Event()
    began = Event()

    def read() -> None:
        with readers.reading():
            began.set()
            first.wait()

    def write() -> None:
        readers.wait_for_earlier()
        waited.set()

    reader = Thread(target=read)
    reader.start()
    began.wait()
    writer = Thread(target=write)
    writer.start()
    assert not waited.wait(0.05)
    with readers.reading():
        first.set()
        assert waited.wait(10)
    reader.join()
    writer.join()


def test_a_reader_that_fails_holds_nobody_up() -> None:
    readers = Readers()
    with suppress(ValueError), readers.reading():
        raise ValueError
    readers.wait_for_earlier()
