"""``AsyncClient.stream`` over the other dialect."""

from functools import partial

from bench.contenders import polyvox_async

VERSIONS = polyvox_async.VERSIONS
connect = partial(polyvox_async.connect, model="anthropic/claude-sonnet-4-5")
