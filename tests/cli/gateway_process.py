"""A whole gateway in a process of its own, for commands that ask its rooms."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

ADMIN_KEY = "pv-admin000-1lKq8Zt5rXw3yV7bN2mC4dF6gH8jP0sQ9uT1oE3iA5c"


class Gateway(msgspec.Struct):
    """Where it is."""

    url: str

    @property
    def env(self) -> dict[str, str]:
        return {"POLYVOX_GATEWAY_URL": self.url, "POLYVOX_GATEWAY_KEY": ADMIN_KEY}


@contextmanager
def gateway(folder: Path) -> Iterator[Gateway]:
    """``polyvox serve`` on a free port and a new database, until the block is left."""
    (folder / "polyvox.toml").write_text("")
    command = [sys.executable, "-m", "polyvox.cli", "serve", "--json", "--port", "0"]
    command += ["--config", str(folder / "polyvox.toml"), "--data", str(folder / "data")]
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environ | {"POLYVOX_GATEWAY__ADMIN_KEY": ADMIN_KEY},
            cwd=folder,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (folder / "log").read_text()
            yield Gateway(url=json.loads(line)["url"])
        finally:
            process.terminate()
