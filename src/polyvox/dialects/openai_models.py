"""The list of models, as OpenAI and its likes serve it, read and written.

Source: "List models" in OpenAI's API reference.
"""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.base import Target, auth_headers
from polyvox.dialects.errors import snippet
from polyvox.errors import ProtocolError
from polyvox.http import HttpRequest


def models_request(target: Target) -> HttpRequest | None:
    """The request for the list, or None if the provider has none."""
    if not target.quirks.models_path:
        return None
    url = target.base_url.rstrip("/") + target.quirks.models_path
    return HttpRequest("GET", url, auth_headers(target))


def decode_models(body: bytes) -> list[str]:
    """The names, in the provider's order. Together sends a bare list, some say ``models``.

    Raises ``ProtocolError`` when it is no such list.

    >>> decode_models(b'{"object": "list", "data": [{"id": "gpt-5-mini", "object": "model"}]}')
    ['gpt-5-mini']
    """
    entries: Any
    try:
        entries = jsontext.decode(body)  # pyright: ignore[reportUnknownVariableType]
    except (msgspec.DecodeError, RecursionError):
        raise ProtocolError(f"the list of models is no JSON: {snippet(body)}") from None
    if isinstance(entries, dict):
        fields: dict[str, Any] = entries  # pyright: ignore[reportUnknownVariableType]
        entries = fields.get("data", fields.get("models"))
    if not isinstance(entries, list):
        raise ProtocolError(f"this is no list of models: {snippet(body)}")
    return [name for entry in entries if (name := _name(entry))]  # pyright: ignore[reportUnknownVariableType]


def _name(entry: Any) -> str:
    match entry:
        case str(name) | {"id": str(name)} | {"name": str(name)}:
            return name
        case _:
            return ""


def encode_models(names: list[str]) -> bytes:
    """The list, as OpenAI writes it; nobody here knows when a model was created."""
    entries = [
        {"id": name, "object": "model", "created": 0, "owned_by": name.partition("/")[0]}
        for name in names
    ]
    return jsontext.encode({"object": "list", "data": entries})
