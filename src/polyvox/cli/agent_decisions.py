"""What the command line says about calls that wait: ``--approve``, ``--deny``, ``--edit``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from polyvox.agent import Approval, RunState
from polyvox.cli.options import InputError
from polyvox.messages import ToolCall

if TYPE_CHECKING:
    from polyvox.cli.agent import ResumeOptions

__all__ = ["decisions"]

_ALL = "all"


def decisions(options: "ResumeOptions", state: RunState) -> dict[str, Approval]:
    """What is decided, by the ids of calls. Raises ``InputError`` for calls that don't wait."""
    decided: dict[str, Approval] = {}
    for text in options.approve:
        decided |= dict.fromkeys(_meant(text, state.pending), True)
    for text in options.deny:
        id, _, why = text.partition("=")
        answer = f"Not run: the user says: {why}" if why else False
        decided |= dict.fromkeys(_meant(id, state.pending), answer)
    for text in options.edit:
        id, _, arguments = text.partition("=")
        decided |= dict.fromkeys(_meant(id, state.pending), _arguments(arguments))
    return decided


def _meant(text: str, waiting: Sequence[ToolCall]) -> list[str]:
    """The calls of this id, of one that begins so, or of the tool of this name."""
    if text == _ALL:
        return [call.id for call in waiting]
    found = [call.id for call in waiting if call.name == text or call.id == text]
    found = found or [call.id for call in waiting if text and call.id.startswith(text)]
    if len(found) == 1:
        return found
    about = "several calls that wait are like" if found else "no call waits that is like"
    those = ", ".join(f"{call.id} ({call.name})" for call in waiting)
    raise InputError(f"{about} {text!r}", f"There are: {those}." if those else "None waits.")


def _arguments(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InputError(f"--edit takes ID=JSON: {error}") from None
