"""The client: names become models, arguments become requests, errors become exceptions.

Belongs here: what people type: ``ask``, ``Client``, ``AsyncClient`` and their streams.
Does not belong here: how a provider is spoken to, and any policy (retries, budgets, caches).
"""

from polyvox.client.async_client import AsyncClient, TokenCount
from polyvox.client.async_stream import AsyncStream
from polyvox.client.settings import CommonSettings, Settings, make_request
from polyvox.client.structured import Parsed, parse
from polyvox.client.sync_client import Client, ask
from polyvox.client.sync_stream import Stream

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "Client",
    "CommonSettings",
    "Parsed",
    "Settings",
    "Stream",
    "TokenCount",
    "ask",
    "make_request",
    "parse",
]
