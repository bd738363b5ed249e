"""What a PUT and a PATCH make of an object that is there, whatever its kind.

Both are read against what there is, in the transaction that changes it, so that nothing is lost of what
somebody else has just changed.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

from polyvox.errors import BadRequestError
from polyvox.gateway.web.bodies import value_of

__all__ = ["Change", "patched", "replaced"]

_T = TypeVar("_T", bound=msgspec.Struct)

Change: TypeAlias = Callable[[_T, Collection[str]], _T]
"""Makes something else of an object, but for these fields, which stay. Raises ``BadRequestError``."""


def replaced(said: Mapping[str, Any], before: _T, stays: Collection[str]) -> _T:
    """The object that is ``said``: all of it, lest what was forgotten became what a new one has (PUT)."""
    now = msgspec.to_builtins(before)
    lacks = [name for name in now if name not in said]
    if lacks:
        raise BadRequestError(
            f"the body lacks {', '.join(lacks)}: PUT says all that GET gives",
            hint="PATCH changes only what it names.",
        )
    return _kept(said, before, stays)


def patched(said: Mapping[str, Any], before: _T, stays: Collection[str]) -> _T:
    """The object with what is ``said`` of it (PATCH). Source: "JSON Merge Patch", RFC 7396.

    A null leaves a field without anything. What would then be everything, as ``models``, must be named.
    """
    now = msgspec.to_builtins(before)
    try:
        wanted = _merged(now, said)
    except RecursionError:
        raise BadRequestError("the body is nested too deeply") from None
    for field in msgspec.structs.fields(before):
        is_empty = field.default is msgspec.NODEFAULT or not field.default
        if field.name not in wanted and (field.required or not is_empty):
            raise BadRequestError(
                f"{field.name} can't be null", hint="Say what it is to be, or leave it out."
            )
    unknown = {name: None for name in said if name not in now}  # which is then told
    return _kept({**unknown, **wanted}, before, stays)


def _kept(wanted: Any, before: _T, stays: Collection[str]) -> _T:
    after = value_of(wanted, type(before))
    for name in stays:
        if getattr(after, name) != getattr(before, name):
            raise BadRequestError(f"{name} can't be changed", hint="Leave it out.")
    return after


def _merged(target: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(cast("dict[str, Any]", target)) if isinstance(target, dict) else {}
    for name, value in said.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, dict):
            found[name] = _merged(found.get(name), cast("dict[str, Any]", value))
        else:
            found[name] = value
    return found
