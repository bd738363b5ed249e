"""A whole gateway as a process of its own, as ``polyvox serve`` makes one; for tests that kill it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unwatched import unwatched

ADMIN_KEY = "pv-admin000-1lKq8Zt5rXw3yV7bN2mC4dF6gH8jP0sQ9uT1oE3iA5c"


class Running:
    """A gateway on a folder of its own, which may be stopped, killed and started again.

    ``config`` is its polyvox.toml. ``url`` is where it serves since it was last started. Coverage
    sees what it does, unless ``watched`` is False.
    """

    def __init__(
        self,
        folder: Path,
        config: str = "",
        *,
        arguments: Sequence[str] = (),
        environ: dict[str, str] | None = None,
        watched: bool = True,
    ) -> None:
        self.folder = folder
        self.key = ADMIN_KEY
        self.url = ""
        self.about: dict[str, Any] = {}
        self._file = folder / "polyvox.toml"
        self._file.write_text(config, encoding="utf-8")
        self._arguments = arguments
        ours = os.environ if watched else unwatched()
        self._environ = {
            **{name: value for name, value in ours.items() if not name.endswith("_API_KEY")},
            "POLYVOX_GATEWAY__ADMIN_KEY": ADMIN_KEY,
            **(environ or {}),
        }
        self._log = (folder / "log").open("ab")
        self.process: subprocess.Popen[str]

    def start(self) -> "Running":
        """Start it, and wait until it serves."""
        command = [sys.executable, "-m", "polyvox.cli", "serve", "--json", "--port", "0"]
        command += ["--config", str(self._file), "--data", str(self.folder / "data")]
        self.process = subprocess.Popen(
            [*command, *self._arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=self._environ,
            cwd=self.folder,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log
        self.about = json.loads(line)
        self.url = str(self.about["url"])
        return self

    @property
    def log(self) -> str:
        """What it wrote to its log so far."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def stop(self, seconds: float = 60.0) -> int:
        """Ask it to stop, and wait until it has; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._ended(seconds)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self._ended(30.0)

    def close(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()

    def _ended(self, seconds: float) -> int:
        code = self.process.wait(seconds)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code
