"""Random bytes are given out once, to whoever asks, in whatever thread or process."""

import os
from concurrent.futures import ThreadPoolExecutor

from include.quarry.gateway.random_bytes import random_bytes


def test_no_bytes_are_given_out_twice() -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(random_bytes, [16] * 5000))
    assert {len(each) for each in taken} == {16}
    assert len(set(taken)) == 5000


def test_a_fork_takes_none_of_its_parents() -> None:
    random_bytes(16)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, random_bytes(16))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 16) != random_bytes(16)
