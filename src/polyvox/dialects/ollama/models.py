"""The list of models, read and written ("List models" in Ollama's API documentation)."""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.answers import read_answer
from polyvox.dialects.base import Target, auth_headers
from polyvox.http import HttpRequest

TAGS = "/api/tags"


class _Listed(msgspec.Struct):
    name: str = ""
    model: str = ""


class _List(msgspec.Struct):
    models: list[_Listed] | None  # null where none is installed, in old versions


def models_request(target: Target) -> HttpRequest | None:
    """The request for the list, or None if the provider has none."""
    if not target.quirks.models_path:
        return None
    return HttpRequest("GET", target.base_url.rstrip("/") + TAGS, auth_headers(target))


def decode_models(body: bytes) -> list[str]:
    """The names, in the server's order. Raises ``ProtocolError`` when it is no such list.

    >>> decode_models(b'{"models": [{"name": "llama3.2:latest", "size": 2019393189}]}')
    ['llama3.2:latest']
    """
    listed = read_answer(body, _List, "this is no list of models").models or []
    return [name for each in listed if (name := each.model or each.name)]


def encode_models(names: list[str]) -> bytes:
    """The list, as Ollama writes it; what is not known of a file that isn't there is left out."""
    models: list[dict[str, Any]] = [
        {"name": name, "model": name, "size": 0, "digest": "", "details": {}} for name in names
    ]
    return jsontext.encode({"models": models})
