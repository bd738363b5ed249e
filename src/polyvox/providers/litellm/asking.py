"""From a request to the arguments of ``litellm.acompletion``.

Source: "Input Params" (completion) and "Reasoning Content" in LiteLLM's documentation. Messages and
wishes are written by the openai-chat dialect, since LiteLLM takes that shape for every provider.
"""

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects import Quirks, Target, get_dialect
from polyvox.dialects.base import merge_options
from polyvox.dialects.kept import check_kept
from polyvox.http import Timeouts
from polyvox.providers.litellm.chunks import unwrap_message
from polyvox.request import Request

PROVIDER = "litellm"
_DIALECT = "openai-chat"

QUIRKS = Quirks(
    strict_tools=True,
    cache_control=True,  # LiteLLM takes the marks off for providers that don't know them
    reasoning_replay="reasoning_content",
    done_marker=False,
)

_WISHES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop",
    "seed": "seed",
    "parallel_tool_calls": "parallel_tool_calls",
    "reasoning_effort": "reasoning.effort",
}
"""Arguments that are left out, with a warning, where LiteLLM knows that the model lacks them."""


_NOT_FOR_OPTIONS = {
    *("model", "messages", "stream", "custom_llm_provider", "api_version", "extra_headers"),
    *("max_retries", "drop_params", "allowed_openai_params", "additional_drop_params"),
}
"""Arguments that LiteLLM counts among OpenAI's, and are about whom it asks, and how."""


class Question(msgspec.Struct):
    """What LiteLLM is asked. ``provider`` and ``model`` are its own names for who answers."""

    arguments: dict[str, Any]
    provider: str
    model: str
    dropped: list[tuple[str, str]]


def ask_with(litellm: ModuleType, request: Request, target: Target, timeouts: Timeouts) -> Question:
    """The arguments for this request; ``options["litellm"]`` is laid over them.

    Raises ``BadRequestError`` for what can't be carried, and what LiteLLM raises for a name that
    means nothing to it.
    """
    check_kept(request, _DIALECT)
    own = request.options.get(PROVIDER, {})
    options, foreign = _openais(litellm, request.options.get(_DIALECT, {}))
    plain = msgspec.structs.replace(request, options={_DIALECT: options}, stream=True)
    http = get_dialect(_DIALECT).encode_request(plain, target)
    arguments: dict[str, Any] = jsontext.decode(http.body)
    for message in arguments["messages"]:
        unwrap_message(message)
    model, provider, *_ = litellm.get_llm_provider(
        model=target.model,
        custom_llm_provider=own.get("custom_llm_provider"),
        api_base=own.get("api_base") or own.get("base_url"),
    )
    known = litellm.get_supported_openai_params(model=model, custom_llm_provider=provider)
    dropped = [*http.dropped, *foreign, *_drop_unknown(arguments, known)]
    dropped = list(_with_budget(arguments, request, known or [], dropped))
    arguments |= about_the_call(timeouts)
    # Without it LiteLLM imports the `mcp` package for every request with tools.
    arguments["_skip_mcp_handler"] = True
    merge_options(arguments, request, PROVIDER)
    arguments["stream"] = True
    return Question(arguments, provider, model, dropped)


def _openais(
    litellm: ModuleType, options: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Those of the dialect's options that are OpenAI's parameters.

    Others would be arguments of LiteLLM's: an address, to which it would send the key that it knows.
    """
    known = {*litellm.constants.DEFAULT_CHAT_COMPLETION_PARAM_VALUES} - _NOT_FOR_OPTIONS
    text = f"not sent: an argument of LiteLLM's is said in options[{PROVIDER!r}]"
    foreign = [(f"options.{_DIALECT}.{name}", text) for name in options if name not in known]
    return {name: options[name] for name in options if name in known}, foreign


def about_the_call(timeouts: Timeouts) -> dict[str, Any]:
    """Retrying is for whoever asks us. The longer deadlines are ours to keep, so LiteLLM's are off."""
    return {
        "num_retries": 0,
        "max_retries": 0,
        "timeout": import_module("httpx").Timeout(None, connect=timeouts.connect),
    }


def _drop_unknown(arguments: dict[str, Any], known: list[str] | None) -> Iterator[tuple[str, str]]:
    if known is None:
        return
    for argument, field in _WISHES.items():
        if argument in arguments and argument not in known:
            del arguments[argument]
            yield field, "not sent: LiteLLM says that this model does not take it"


def _with_budget(
    arguments: dict[str, Any],
    request: Request,
    known: list[str],
    dropped: list[tuple[str, str]],
) -> Iterator[tuple[str, str]]:
    """A budget for reasoning goes as ``thinking`` where the model takes that, in place of an effort."""
    budget = request.reasoning.budget_tokens if request.reasoning else None
    takes = budget is not None and "thinking" in known
    if takes:
        arguments.pop("reasoning_effort", None)
        arguments["thinking"] = {"type": "enabled", "budget_tokens": budget}
    for field, text in dropped:
        if not (takes and field == "reasoning.budget_tokens"):
            yield field, text
