"""Programs that whole gateways need beside them."""

from redis_server import *  # noqa: F403
