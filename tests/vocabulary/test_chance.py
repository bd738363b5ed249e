"""Ids made of a block of random bytes."""

import os
import threading

import pytest

from polyvox.chance import random_hex


@pytest.mark.parametrize("n_bytes", [1, 6, 8, 16])
def test_an_id_has_as_many_digits_as_asked_for(n_bytes):
    digits = random_hex(n_bytes)
    assert len(digits) == 2 * n_bytes
    assert len(bytes.fromhex(digits)) == n_bytes


def test_no_id_comes_twice_whatever_thread_asks():
    made: list[str] = []

    def make() -> None:
        made.extend([random_hex(16) for _ in range(2000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 8000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_makes_other_ids_than_its_parent():
    random_hex(16)  # so that there is a block to go on with
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(random_hex(16) for _ in range(20)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        theirs = answer.read()
    os.waitpid(child, 0)
    assert len(theirs) == 20 * 32
    ours = {random_hex(16) for _ in range(600)}
    assert ours.isdisjoint(theirs[at : at + 32] for at in range(0, len(theirs), 32))
