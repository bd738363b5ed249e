"""What a call of LiteLLM says: of the composite, and of the request that it is asked.

LiteLLM gives a handler its own arguments apart (``api_key``, ``timeout``, ...), those of OpenAI's API
among ``optional_params``, and there, too, whatever else was said: ours. They may also be said in a
dict of that name, ``optional_params={...}``, in which ``timeout`` and ``seed`` are the composite's.

Source: "Custom API Server (Custom Format)" and "Input Params" in LiteLLM's documentation.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, cast

import msgspec
from msgspec import Meta

from polyvox import jsontext
from polyvox.dialects import get_dialect
from polyvox.errors import BadRequestError
from polyvox.integrations.litellm.members import Access
from polyvox.providers.litellm import load
from polyvox.request import Request
from polyvox.secret import Secret
from polyvox.suggestions import did_you_mean

__all__ = [
    "ACCESS",
    "ROLES",
    "SETTINGS",
    "Said",
    "access_of",
    "check_client",
    "openais",
    "request_of",
    "split",
]

ROLES = {
    "proposers": "proposers",
    "aggregator": "aggregator",
    "members": "members",
    "council": "members",
    "council_models": "members",
    "reviewers": "reviewers",
    "review_models": "reviewers",
    "chairman": "chairman",
    "chairman_model": "chairman",
}
"""Who takes part: the words for them, and ours."""
SETTINGS = ("layers", "quorum", "window_tokens", "exclude_own", "timeout", "seed")
_BESIDES = (
    "samples",
    "max_council_size",
    "tool_executor",
    "max_tool_iterations",
    "include_stage_summaries_in_reasoning",
    "config_file_path",
)
_OWN = frozenset((*ROLES, *SETTINGS, *_BESIDES))
_ALSO_OPENAIS = ("timeout", "seed")
_NOT_THE_CLIENTS = _OWN - {*_ALSO_OPENAIS, "include_stage_summaries_in_reasoning"} | {
    "optional_params",
    "headers",
    "extra_headers",
}
_FALLBACKS = "fallbacks"
"""How the names of arguments end that say who is asked instead, in a dict with arguments of theirs."""

_NOT_ASKED = frozenset(
    {
        "model",
        "messages",
        "metadata",
        "stream",
        "stream_options",
        "custom_llm_provider",
        "api_version",
        "drop_params",
        "additional_drop_params",
        "allowed_openai_params",
        "max_retries",
        "extra_headers",
    }
)
"""Arguments that are LiteLLM's own business, or come another way."""


class Said(NamedTuple):
    """The arguments of a call: the composite's own, and OpenAI's."""

    own: dict[str, Any]
    asked: dict[str, Any]


def split(optional_params: Mapping[str, Any]) -> Said:
    """Ours and OpenAI's apart. Raises ``BadRequestError`` for what is neither."""
    outer = {name: value for name, value in optional_params.items() if value is not None}
    inner: Any = outer.pop("optional_params", {})
    if not isinstance(inner, dict):
        raise BadRequestError("optional_params is no dict")
    given = cast("dict[str, Any]", inner)
    own = {name: outer.pop(name) for name in list(outer) if name in _OWN - {*_ALSO_OPENAIS}}
    own |= {name: value for name, value in given.items() if name in _OWN and value is not None}
    asked = outer | {name: value for name, value in given.items() if name not in _OWN}
    known = openais()
    for name in asked:
        if name not in known:
            raise BadRequestError(
                f"there is no parameter {name!r}{did_you_mean(str(name), _OWN | known)}",
                hint="A provider's own fields go into extra_body={...}.",
            )
    return Said(own, {name: value for name, value in asked.items() if name not in _NOT_ASKED})


def check_client(litellm_params: Mapping[str, Any]) -> None:
    """Raises ``BadRequestError`` when a client of LiteLLM's proxy says who is to be asked, and how.

    That is for the proxy's configuration: another address would be sent the proxy's keys, and who has
    headers of their own is asked without what our configuration puts around them.
    """
    received: dict[str, Any] = litellm_params.get("proxy_server_request") or {}
    body: dict[str, Any] = received.get("body") or {}
    for name in (*body, *_names_within([body[name] for name in body if name.endswith(_FALLBACKS)])):
        if name in _NOT_THE_CLIENTS:
            raise BadRequestError(
                f"{name} is not for the clients of a proxy to say",
                hint="It stands in the proxy's config.yaml, in the model's litellm_params.",
            )


def _names_within(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from cast("dict[str, Any]", value)
        value = list(cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _names_within(each)


class _Access(msgspec.Struct):
    """Arguments of LiteLLM that say how to ask."""

    api_key: str | None = None
    api_base: str | None = None
    base_url: str | None = None
    headers: dict[str, Any] | None = None
    extra_headers: dict[str, Any] | None = None
    max_retries: Annotated[int, Meta(ge=0)] | None = None


ACCESS = _Access.__struct_fields__
"""What LiteLLM is told of how to ask."""


def access_of(said: Mapping[str, Any], whose: str = "the call") -> Access:
    """How members are asked, from arguments of LiteLLM. Raises ``BadRequestError``."""
    try:
        told = msgspec.convert({name: said.get(name) for name in ACCESS}, _Access)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"an argument of {whose} is not right: {error}") from None
    headers = {**(told.headers or {}), **(told.extra_headers or {})}
    return Access(
        key=Secret(told.api_key) if told.api_key else None,
        base_url=told.api_base or told.base_url or None,
        headers={name: str(value) for name, value in headers.items()},
        retries=told.max_retries or 0,
    )


def request_of(messages: Sequence[Any], asked: Mapping[str, Any]) -> Request:
    """The request in our words. Raises ``BadRequestError`` naming the field that is wrong."""
    body = _thinking(asked)
    body |= {"model": "-", "stream": True, "messages": [_message(each) for each in messages]}
    more: dict[str, Any] = body.pop("extra_body", {})
    try:
        return get_dialect("openai-chat").decode_request(jsontext.encode(body | more))
    except (TypeError, msgspec.MsgspecError) as error:
        raise BadRequestError(f"the request can't be written as JSON: {error}") from error


def openais() -> frozenset[str]:
    """The parameters that LiteLLM takes for OpenAI's."""
    return frozenset(load().constants.DEFAULT_CHAT_COMPLETION_PARAM_VALUES) | {"extra_body"}


def _thinking(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Anthropic's word for a budget of reasoning, which LiteLLM takes too, in that of others."""
    body: dict[str, Any] = dict(asked)
    match body.pop("thinking", None):
        case {"type": "enabled", "budget_tokens": int(budget)}:
            body["reasoning"] = {"max_tokens": budget}
        case {"type": "disabled"}:
            body["reasoning_effort"] = "none"
        case None:
            pass
        case other:
            body["thinking"] = other
    return body


def _message(message: Any) -> Any:
    """A message as it may be sent on.

    An assistant's reasoning that comes back this way has lost its signatures, and begins with a
    composite's summary: it is left out.
    """
    plain = getattr(message, "model_dump", None)
    fields: dict[str, Any] = message if plain is None else plain(exclude_none=True)
    return {key: fields[key] for key in fields if key != "reasoning_content"}
