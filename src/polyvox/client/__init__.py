"""The client: names become models, arguments become requests, errors become exceptions.

Belongs here: what people type: ``ask``, ``embed``, ``Client``, ``AsyncClient`` and their streams.
Does not belong here: how a provider is spoken to, and any policy (retries, budgets, caches).
"""

from polyvox.client.async_client import AsyncClient, TokenCount
from polyvox.client.async_stream import AsyncStream
from polyvox.client.embedding import EmbedSettings, make_embedding_request
from polyvox.client.settings import CommonSettings, Settings, make_request
from polyvox.client.structured import Parsed, parse
from polyvox.client.sync_client import Client, ask, embed
from polyvox.client.sync_stream import Stream

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "Client",
    "CommonSettings",
    "EmbedSettings",
    "Parsed",
    "Settings",
    "Stream",
    "TokenCount",
    "ask",
    "embed",
    "make_embedding_request",
    "make_request",
    "parse",
]
