"""``AsyncClient.stream``, every event of it, over the wheel polyvox-native."""

import os

# Before a client is made: all other contenders of ours are told to do without the wheel.
os.environ["POLYVOX_TRANSPORT"] = "native"

from bench.contenders.polyvox_async import VERSIONS, connect

__all__ = ["VERSIONS", "connect"]
