"""The form of a session on disk: a header, then an entry for each event, each one line of JSON.

Of the events only those are written that make a state, and of those only what no other one holds: the
messages that ``turn_end`` and ``agent_end`` repeat are left out. Some entries also hold the session's
``info``, so that whoever lists sessions need not read them from their beginning.

Whatever a reader of version 1 could not understand (another event, another meaning) makes version 2.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from polyvox.agent.events import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    ApprovalNeeded,
    Compacted,
    HandedOver,
    MessageEnd,
    Queued,
    ToolExecutionEnd,
    TurnEnd,
    TurnStart,
    decode_agent_event,
    encode_agent_event,
)
from polyvox.agent.sessions.info import SessionInfo
from polyvox.agent.state import RunState
from polyvox.errors import ConfigurationError
from polyvox.messages import AssistantMessage
from polyvox.usage import ZERO_USAGE

__all__ = ["FORMAT", "INFO_MARK", "VERSION", "Entry", "Header", "Record", "entry_of", "read_header"]

FORMAT = "polyvox-session"
VERSION = 1
INFO_MARK = b'{"info":'
"""How an entry with an info begins, and no other line."""

_ALWAYS = (
    AgentStart,
    TurnStart,
    MessageEnd,
    ToolExecutionEnd,
    ApprovalNeeded,
    Compacted,
    HandedOver,
    Queued,
)
_ENDS_WITH_A_MESSAGE = (TurnEnd, HandedOver, AgentEnd)


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose entries follow, and in which version of the form."""

    format: str
    version: int
    id: str
    created: float
    parent: str = ""

    @property
    def info(self) -> SessionInfo:
        """What there is to tell while nothing has happened."""
        return SessionInfo(
            id=self.id, created=self.created, updated=self.created, parent=self.parent
        )


class _Versioned(msgspec.Struct):
    format: str
    version: int


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event, and when it was written; ``info`` is the session's after it."""

    info: SessionInfo | None = None  # the first field: see INFO_MARK
    time: float
    event: msgspec.Raw

    def decoded(self) -> AgentEvent:
        """The event. Raises ``msgspec.DecodeError``."""
        return decode_agent_event(bytes(self.event))


class Record(msgspec.Struct):
    """All that is kept of a session."""

    header: Header
    entries: list[Entry]

    def events(self) -> Iterator[tuple[float, AgentEvent]]:
        """The events with their times. Raises ``ConfigurationError`` for one that is none."""
        for number, entry in enumerate(self.entries, start=1):
            try:
                yield entry.time, entry.decoded()
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ConfigurationError(
                    f"session {self.header.id!r}: entry {number} is no event of a run: {error}"
                ) from error

    def state(self) -> RunState:
        """Where the session stands."""
        state = RunState()
        for _, event in self.events():
            state.apply(event)
        return state

    def info(self) -> SessionInfo:
        """The session in short."""
        return info_after(self.header.info, self.entries)

    def upto(self, at_message: int | None, header: Header) -> "Record":
        """A session of its own with the first messages of this one, and what ended with the last.

        Raises ``ConfigurationError`` when there are not so many.
        """
        entries: list[Entry] = []
        info = header.info
        for time, event in self.events():
            full = at_message is not None and info.messages >= at_message
            if full and not (entries and isinstance(event, _ENDS_WITH_A_MESSAGE)):
                break
            entries.append(Entry(time=time, event=self.entries[len(entries)].event))
            info = info.after(event, time)
        if at_message is not None and info.messages != at_message:
            there = self.info().messages
            raise ConfigurationError(
                f"at_message is {at_message}; session {self.header.id!r} has {there} messages"
            )
        if entries:  # what is copied was paid for once, and in the other session
            info = msgspec.structs.replace(info, usage=ZERO_USAGE)
            entries[-1] = msgspec.structs.replace(entries[-1], info=info)
        return Record(header, entries)


_VERSIONED = msgspec.json.Decoder(_Versioned)
_HEADER = msgspec.json.Decoder(Header)
_ENTRY = msgspec.json.Decoder(Entry)


def info_after(info: SessionInfo, entries: Sequence[Entry]) -> SessionInfo:
    """The session in short after these entries, the last of which may tell it already."""
    start = 0
    for place in range(len(entries) - 1, -1, -1):
        known = entries[place].info
        if known is not None:
            info, start = known, place + 1
            break
    for entry in entries[start:]:
        info = info.after(entry.decoded(), entry.time)
    return info


def entry_of(event: AgentEvent, time: float) -> Entry | None:
    """What is written of the event, or None."""
    if isinstance(event, TurnEnd):
        event = TurnEnd(AssistantMessage([]))
    elif isinstance(event, AgentEnd):
        event = msgspec.structs.replace(event, messages=[])
    elif not isinstance(event, _ALWAYS):
        return None
    return Entry(time=time, event=msgspec.Raw(_encoded(event)))


def _encoded(event: AgentEvent) -> bytes:
    """The event as JSON, whatever a tool may have put into its details."""
    try:
        return encode_agent_event(event)
    except (TypeError, ValueError, RecursionError):
        if not isinstance(event, ToolExecutionEnd):
            raise
        plain = msgspec.structs.replace(event.result, details=repr(event.result.details))
        return encode_agent_event(msgspec.structs.replace(event, result=plain))


def read_header(line: bytes, where: str) -> Header:
    """The header that the line is. Raises ``ConfigurationError`` if it is none that this version knows."""
    try:
        found = _VERSIONED.decode(line)
        if found.format == FORMAT and found.version > VERSION:
            raise ConfigurationError(
                f"{where} was written by a newer Polyvox: its format is {found.version}, "
                f"this version knows {VERSION}",
                hint="Install the newer Polyvox, or begin another session.",
            )
        if found.format == FORMAT:
            return _HEADER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    raise ConfigurationError(f"{where} is no session: it does not begin as one")


def read_entries(lines: Iterable[bytes], where: str, first: int = 1) -> list[Entry]:
    """The entries that the lines are. Raises ``ConfigurationError`` naming the line that is none."""
    entries: list[Entry] = []
    for number, line in enumerate(lines, start=first):
        try:
            entries.append(_ENTRY.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{where}: line {number} is damaged: {error}") from error
    return entries
