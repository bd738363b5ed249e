"""The OpenAPI document, from the tables of endpoints and the paths of the dialects.

Source: "OpenAPI Specification", version 3.1.1.
"""

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from polyvox.dialects import Dialect, Route
from polyvox.gateway.asking.wishes import Wishes
from polyvox.gateway.openapi.spoken import answers_of, failure_of, takes_of
from polyvox.gateway.web.endpoints import Arrived, Endpoint

__all__ = ["Described", "described"]

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_HOLE = re.compile(r"\{(\w+)\}")
_FAILURES = {
    "400": "The request is not right; the message names the field and the fix.",
    "401": "There is no key in the request, or it is no good.",
    "402": "A budget is used up.",
    "403": "The key may not do this.",
    "404": "There is no such thing.",
    "405": "The path knows other methods.",
    "409": "Somebody else is at it.",
    "413": "The body is too long.",
    "431": "There are too many headers, or they are too long.",
    "429": "Too much at once; Retry-After says when to come again.",
    "499": "The call was ended.",
    "500": "The gateway failed.",
    "501": "This gateway does not do that.",
    "502": "A provider could not be asked, or its answer is no good.",
    "503": "No room just now, or the gateway's database is away; Retry-After says when to come again.",
    "504": "A deadline passed.",
}
_KEYS: list[Json] = [{"bearer": []}, {"x-api-key": []}]
_FORM: Json = {
    "type": "object",
    "required": ["purpose", "file"],
    "properties": {
        "purpose": {"const": "batch"},
        "file": {"type": "string", "contentMediaType": "application/octet-stream"},
    },
}
_SUMMARIES = {
    "answer": "Ask a model, in the dialect {dialect}.",
    "count": "Count the tokens of a prompt, in the dialect {dialect}.",
    "embed": "Turn texts into vectors, in the dialect {dialect}.",
    "models": "List the models, in the dialect {dialect}.",
}


class Error(msgspec.Struct):
    """What went wrong: in words, as a type and as a code."""

    message: str
    type: str
    code: str | None = None
    param: str | None = None


class Failure(msgspec.Struct):
    """The body of an answer with a status from 400 on."""

    error: Error


class Described:
    """Serves the document, made when it is first asked for."""

    def __init__(
        self, endpoints: Sequence[Endpoint], spoken: Sequence[tuple[Dialect, Route]], version: str
    ) -> None:
        self._endpoints = endpoints
        self._spoken = spoken
        self._version = version
        self._made: Json | None = None

    def endpoints(self) -> list[Endpoint]:
        """The endpoint of this room."""
        about = "Describe everything that can be asked, as OpenAPI 3.1."
        return [Endpoint("GET", "/openapi.json", about, self.document, who="anyone", gives=dict)]

    async def document(self, arrived: Arrived) -> Json:
        """The document."""
        if self._made is None:
            everything = [*self._endpoints, *self.endpoints()]
            self._made = described(everything, self._spoken, self._version)
        return self._made


def described(
    endpoints: Sequence[Endpoint], spoken: Iterable[tuple[Dialect, Route]], version: str
) -> Json:
    """The document of these endpoints and of these paths of dialects."""
    kinds = {kind for each in endpoints for kind in (each.takes, each.gives) if _is_described(kind)}
    known = sorted(kinds | {Failure, Wishes}, key=str)
    schemas, components = msgspec.json.schema_components(
        known, schema_hook=lambda kind: {"type": "string"}, ref_template=_REF
    )
    refs = dict(zip(known, schemas, strict=True))
    paths: dict[str, Json] = {}
    for endpoint in endpoints:
        path = paths.setdefault(endpoint.path, {})
        path[endpoint.method.lower()] = _operation(endpoint, refs)
    for dialect, route in spoken:
        path = paths.setdefault(dialect.base_path + route.path, {})
        path.setdefault(route.method.lower(), _asking(dialect, route, refs))
        if route.kind == "models":  # every list has its entries below it
            one = replace(route, path=f"{route.path}/{{model}}")
            path = paths.setdefault(dialect.base_path + one.path, {})
            path.setdefault("get", _asking(dialect, one, refs))
    return {
        "openapi": "3.1.1",
        "info": {"title": "Polyvox gateway", "version": version},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _operation(endpoint: Endpoint, refs: dict[Any, Json]) -> Json:
    named = re.sub(r"\W+", "_", endpoint.path).strip("_")
    operation: Json = {
        "summary": endpoint.summary,
        "operationId": f"{endpoint.method.lower()}_{named}",
        "security": [] if endpoint.who == "anyone" else _KEYS,
        "parameters": [*_in_path(endpoint.path), *_in_query(endpoint.query)],
        "responses": _responses(str(_status(endpoint)), _given(endpoint, refs), refs[Failure]),
    }
    if endpoint.takes is not None:
        needed = _is_described(endpoint.takes) and any(
            field.required for field in msgspec.structs.fields(endpoint.takes)
        )
        content = _content(endpoint.takes, refs)
        operation["requestBody"] = {"required": needed, "content": content}
    elif endpoint.reads:
        body = {endpoint.reads: {"schema": _FORM}}
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _asking(dialect: Dialect, route: Route, refs: dict[Any, Json]) -> Json:
    """An endpoint of a dialect."""
    path = dialect.base_path + route.path
    named = re.sub(r"\W+", "_", path).strip("_")
    failure = failure_of(dialect) or refs[Failure]
    operation: Json = {
        "summary": _SUMMARIES[route.kind].format(dialect=dialect.name),
        "operationId": f"{dialect.name}_{route.method.lower()}_{named}",
        "security": _KEYS,
        "parameters": _in_path(path),
        "responses": _responses("200", answers_of(dialect, route), failure),
    }
    if route.method == "POST":
        content = {"application/json": {"schema": takes_of(dialect, route, refs[Wishes])}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(status: str, content: Json, failure: Json) -> Json:
    answer: Json = {"description": "As asked for."}
    if content:
        answer["content"] = content
    told = {"application/json": {"schema": failure}}
    failures = {code: {"description": about, "content": told} for code, about in _FAILURES.items()}
    return {status: answer} | failures


def _given(endpoint: Endpoint, refs: dict[Any, Json]) -> Json:
    if endpoint.writes:
        return {media: {"schema": {}} for media in endpoint.writes}
    return _content(endpoint.gives, refs)


def _content(kind: Any, refs: dict[Any, Json]) -> Json:
    if kind is None:
        return {}
    schema = refs[kind] if _is_described(kind) else {"type": "object"}
    return {"application/json": {"schema": schema}}


def _status(endpoint: Endpoint) -> int:
    empty = endpoint.gives is None and not endpoint.writes
    return 204 if empty and endpoint.status == 200 else endpoint.status


def _in_path(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _HOLE.findall(path)
    ]


def _in_query(kind: Any) -> list[Json]:
    if kind is None:
        return []
    schema = msgspec.json.schema(kind)
    schema = schema.get("$defs", {}).get(schema.get("$ref", "").rpartition("/")[2], schema)
    about = inspect.getdoc(kind) or ""
    return [
        {"name": name, "in": "query", "required": False, "schema": of, "description": about}
        for name, of in schema.get("properties", {}).items()
    ]


def _is_described(kind: Any) -> bool:
    """Whether it is a struct, or a list of them: what else is given describes itself."""
    return kind is not None and kind is not dict
