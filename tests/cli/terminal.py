"""A process in a pseudo-terminal of its own, driven as a person would."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

PATIENCE_SECONDS = 20.0

# Makes the terminal the controlling one, so that Ctrl-C becomes a signal; then becomes the command.
_LAUNCH = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)
_READY = "\x1b[?2004h"  # prompt_toolkit asks for bracketed paste whenever it begins to read
_ESCAPES = re.compile(r"\x1b\[[0-9;?<>=]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78]|\x1b\][^\x07]*\x07")


class Terminal:
    """``expect`` waits for output, ``type`` sends keys. ``seen`` is all output without its escapes."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=env,
            cwd=cwd,
        )
        os.close(slave)
        self.raw = ""
        self._place = 0
        self._prompts = 0

    @property
    def seen(self) -> str:
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def expect(self, text: str) -> str:
        """Wait until ``text`` comes after what was expected before; gives what came up to it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.seen[self._place :]:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} did not come after:\n{self.seen}")
        begin = self._place
        self._place = self.seen.index(text, begin) + len(text)
        return self.seen[begin : self._place]

    def expect_prompt(self) -> None:
        """Wait until the next line can be typed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.raw.count(_READY) <= self._prompts:
            if not self._read(deadline):
                raise AssertionError(f"no prompt came after:\n{self.seen}")
        self._prompts += 1
        self._place = len(self.seen)

    def wait(self) -> int:
        """Read to the end, and give the exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # the other side is closed: how Linux tells the end
            return False
        self.raw += piece.decode(errors="replace")
        return bool(piece)
