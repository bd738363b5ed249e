"""Where Gemini's API is asked, and how a model is named there."""

from urllib.parse import quote

from polyvox import jsontext
from polyvox.dialects.base import Target, auth_headers
from polyvox.dialects.gemini.wire import Json
from polyvox.http import HttpRequest

__all__ = ["base", "post", "resource"]

_KINDS = ("models/", "tunedModels/", "projects/", "publishers/")
_VERSIONS = ("/v1beta", "/v1", "/v1alpha")


def resource(model: str) -> str:
    """The model's full name, such as "models/gemini-2.5-flash"."""
    return model if model.startswith(_KINDS) else f"models/{model}"


def base(target: Target) -> str:
    """The base URL with a version."""
    url = target.base_url.rstrip("/")
    return url if url.endswith(_VERSIONS) else f"{url}/v1beta"


def post(target: Target, method: str, body: Json) -> HttpRequest:
    """A call of one of the model's methods, such as "generateContent"."""
    url = f"{base(target)}/{quote(resource(target.model), safe='/')}:{method}"
    headers = {"content-type": "application/json", **auth_headers(target)}
    return HttpRequest("POST", url, headers, jsontext.encode(body))
