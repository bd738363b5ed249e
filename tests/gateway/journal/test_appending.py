"""Appending as ``os.write`` does it, and beside other threads that wait for the interpreter."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from polyvox.gateway.journal.appending import appender


@pytest.mark.parametrize("data", [b"", b"{}\n", b"a\0b\n" * 3, b"x" * 300_000])
def test_it_takes_what_os_write_takes(tmp_path: Path, data: bytes):
    path = tmp_path / "file"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    append = appender()
    assert [append(file, data), append(file, b"end")] == [len(data), 3]
    os.close(file)
    assert path.read_bytes() == data + b"end"


def test_a_failure_is_told_as_os_write_tells_it(tmp_path: Path):
    file = os.open(tmp_path / "file", os.O_RDONLY | os.O_CREAT)
    with pytest.raises(OSError, match="Bad file descriptor") as failed:
        appender()(file, b"line\n")
    os.close(file)
    assert failed.value.errno == errno.EBADF


@pytest.mark.skipif(os.name == "nt", reason="a Unix's limits")
def test_of_a_disk_that_is_nearly_full_it_tells_how_much_it_took(tmp_path: Path):
    code = """
import os, resource, signal, sys
from polyvox.gateway.journal.appending import appender
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
append = appender()
print(append(file, b"x" * 7), append(file, b"y" * 7))
try:
    append(file, b"z")
except OSError as error:
    print(error.errno)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert told == ["7", "3", str(errno.EFBIG)]
