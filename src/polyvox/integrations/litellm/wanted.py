"""The composite that a call of LiteLLM asks: a name, and what the call says of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec.structs import replace

from polyvox import jsontext
from polyvox.composite import ToolLoop
from polyvox.composite.names import PREFIX, profile_of
from polyvox.composite.profile import MemberProfile, Profile
from polyvox.errors import BadRequestError, ConfigurationError, NotFoundError
from polyvox.integrations.litellm.members import Members
from polyvox.integrations.litellm.parameters import (
    ACCESS,
    ROLES,
    SETTINGS,
    access_of,
    openais,
    request_of,
)
from polyvox.messages import ToolCall
from polyvox.model import Model
from polyvox.request import Request
from polyvox.suggestions import did_you_mean

if TYPE_CHECKING:
    from polyvox.composite.members import Models

__all__ = ["composite_of"]

_ALONE = ("aggregator", "chairman")
_MEMBER = ("label", "samples", "system", "timeout")
_SAMPLING = ("max_tokens", "temperature", "top_p", "seed")
_OF_A_MEMBER = frozenset(
    (*_SAMPLING, "stop", "reasoning_effort", "thinking", "extra_body", "max_completion_tokens")
)


def composite_of(model: str, own: Mapping[str, Any], members: Members, request: Request) -> Model:
    """The composite of that name, with what the call says of it.

    Raises ``NotFoundError`` for a name that means nothing, ``BadRequestError`` for a wrong parameter.
    """
    name = PREFIX + model.removeprefix(PREFIX)
    try:
        profile = profile_of(name, members.profiles)
    except ConfigurationError as error:
        raise NotFoundError(error.text, hint=error.hint) from error
    described, tools = _laid_over(profile, own, members, request), _tools(own)
    if described is profile and tools is None and members.are_usual:
        return members.configured(name)

    def make(members: "Models") -> Model:
        composite = described.model(name, members)
        composite.tool_loop = tools
        return composite

    return members.composite(name, make)


def _laid_over(
    profile: Profile, own: Mapping[str, Any], members: Members, request: Request
) -> Profile:
    """The profile with what the call says in place of its own."""
    changes: dict[str, Any] = {name: own[name] for name in SETTINGS if name in own}
    for word, role in ROLES.items():
        if word in own:
            changes[role] = _who(word, role, own[word], members, request)
    if "members" in changes:  # who reviews for a preset's members, would not for others
        changes = {"reviewers": (), "exclude_own": None, **changes}
        changes["members"] = changes["members"][: _count("max_council_size", own)]
    if samples := _count("samples", own):
        role = profile.roles[0]
        asked = changes.get(role) or profile.of(role)
        changes[role] = tuple(replace(each, samples=samples) for each in asked)
    if not changes:
        return profile
    fields = {name: getattr(profile, name) for name in Profile.__struct_fields__} | changes
    told = {name: value for name, value in fields.items() if value not in (None, ())}
    try:
        return msgspec.convert(told, Profile)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"a parameter of the composite is not right: {error}") from None


def _count(name: str, own: Mapping[str, Any]) -> int | None:
    count = own.get(name)
    if count is not None and not (isinstance(count, int) and count > 0):
        raise BadRequestError(f"{name} is {count!r}; give 1 or more")
    return count


def _who(
    word: str, role: str, value: Any, members: Members, request: Request
) -> tuple[MemberProfile, ...] | MemberProfile:
    if role in _ALONE and isinstance(value, (str, dict)):
        return _member(word, cast("Any", value), members, request)
    if not isinstance(value, (list, tuple)) or not value:
        raise BadRequestError(f"{word} is no list of models, or an empty one")
    several: list[Any] = list(cast("Sequence[Any]", value))
    return tuple(
        _member(f"{word}[{place}]", each, members, request) for place, each in enumerate(several)
    )


def _member(word: str, value: Any, members: Members, request: Request) -> MemberProfile:
    """One who takes part: a name, or {"model": ..., "litellm_params": {...}}."""
    if isinstance(value, str):
        return MemberProfile(model=value)
    fields = dict(cast("dict[str, Any]", value)) if isinstance(value, dict) else {}
    params: Any = fields.pop("litellm_params", None) or {}
    if not isinstance(params, dict):
        raise BadRequestError(f"{word}: litellm_params is no dict")
    params = dict(cast("dict[str, Any]", params))
    name: Any = fields.pop("model", None) or params.pop("model", None)
    if not isinstance(name, str):
        raise BadRequestError(
            f"{word} names no model",
            hint='Give "provider/model", or {"model": "provider/model", "litellm_params": {...}}.',
        )
    for key in (*fields, *params):
        known = _MEMBER if key in fields else (*_OF_A_MEMBER, *ACCESS, *openais(), "timeout")
        if key not in known:
            raise BadRequestError(f"{word} has no {key!r}{did_you_mean(str(key), known)}")
    access = access_of({key: params.pop(key) for key in ACCESS if key in params}, word)
    if "timeout" in params:
        fields.setdefault("timeout", params.pop("timeout"))
    fields.setdefault("label", name)
    described = {
        **fields,
        **_wishes(word, params, request),
        "model": members.known_as(name, access),
    }
    try:
        return msgspec.convert(described, MemberProfile)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{word} is not right: {error}") from None


def _wishes(word: str, params: dict[str, Any], request: Request) -> dict[str, Any]:
    """OpenAI's parameters of one member, in the words of a profile."""
    if not params:
        return {}
    read = request_of([{"role": "user", "content": "-"}], params)
    for name in ("tools", "tool_choice", "parallel_tool_calls", "response_format"):
        if getattr(read, name):
            raise BadRequestError(f"{word}: {name} is for the call, and not for one member")
    wishes: dict[str, Any] = {
        name: value for name in _SAMPLING if (value := getattr(read, name)) is not None
    }
    if read.stop:
        wishes["stop"] = tuple(read.stop)
    if read.reasoning is not None:
        wishes["reasoning"] = read.reasoning.effort or read.reasoning.budget_tokens
    if read.options:
        wishes["options"] = {
            name: {**request.options.get(name, {}), **read.options.get(name, {})}
            for name in (*request.options, *read.options)
        }
    return wishes


def _tools(own: Mapping[str, Any]) -> ToolLoop | None:
    """Who runs the tools that the last stage calls; without anybody the calls are the caller's."""
    executor, rounds = own.get("tool_executor"), own.get("max_tool_iterations", 5)
    if executor is None:
        return None
    if not callable(executor) or not isinstance(rounds, int) or rounds < 0:
        raise BadRequestError(
            "tool_executor is no function, or max_tool_iterations less than 0",
            hint="tool_executor(name, arguments) is given the arguments as JSON.",
        )

    def run(wanted: ToolCall) -> object:
        return executor(wanted.name, jsontext.encode(wanted.arguments).decode())

    return ToolLoop(run, rounds)
