"""Making a conversation shorter before it no longer fits.

What the model reads is measured by what it said it read: the last answer's usage, and an estimate of
what has come since. So a turn costs the same however long the conversation is.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from polyvox.agent.cutting import place_to_cut, without_results
from polyvox.agent.events import Compacted
from polyvox.agent.summary import INSTRUCTIONS, is_summary, summary_message, summary_of
from polyvox.client import AsyncClient
from polyvox.errors import ConfigurationError, InvalidAnswerError, PolyvoxError
from polyvox.estimate import message_tokens, request_tokens
from polyvox.messages import AssistantMessage, Message, SystemMessage, UserMessage, user
from polyvox.model import Call, Model
from polyvox.request import Request

if TYPE_CHECKING:
    from polyvox.agent.role import Role

__all__ = ["Compacting", "Compaction", "KeepLast", "TrimToolResults"]

SHORT = 1_000
"""A first message of at most so many tokens is the task, and stays as it is."""


class Compacting(Protocol):
    """Decides when a conversation is too long, and makes it shorter."""

    def due(self, messages: Sequence[Message], role: "Role") -> bool:
        """Whether it is time; asked before each turn."""
        ...

    async def compact(
        self, messages: Sequence[Message], role: "Role", call: Call
    ) -> Compacted | None:
        """What stands in the place of the older part; None if nothing can be made shorter.

        Raises ``PolyvoxError``.
        """
        ...


class Older(NamedTuple):
    """The part of a conversation that is to become shorter; ``task`` is what it must keep of it."""

    messages: list[Message]
    task: list[Message]
    tokens: int
    window: int | None


class _Shortening(ABC):
    """When it is time, and where the older part ends; how that becomes shorter is its children's."""

    def __init__(
        self, *, at: float = 0.8, keep: int | None = None, window: int | None = None
    ) -> None:
        if not 0 < at <= 1:
            raise ConfigurationError(f"at is {at}; it is a share of the window, such as 0.8")
        for field, value in (("keep", keep), ("window", window)):
            if value is not None and value < 1:
                raise ConfigurationError(f"{field} is {value}; it is a number of tokens")
        self.at = at
        self.keep = keep
        self.window = window
        self._measures: WeakKeyDictionary[Role, _Measure] = WeakKeyDictionary()

    def due(self, messages: Sequence[Message], role: "Role") -> bool:
        """Whether what the model reads comes near its window."""
        measure = self._measure(role)
        if measure.window is None:
            return False
        tokens = measure.read(messages, role.request)
        return tokens >= max(self.at * measure.window, measure.rest_until)

    async def compact(
        self, messages: Sequence[Message], role: "Role", call: Call
    ) -> Compacted | None:
        """What stands in the place of the older part; None if there is none, or it can't be shorter."""
        measure = self._measure(role)
        before = measure.read(messages, role.request)
        costs = [message_tokens(each) for each in messages]
        keep = self.keep or (measure.window or before) // 4
        keep = min(keep, sum(costs) // 2)
        cut = place_to_cut(messages, costs, keep)
        done: Compacted | None = None
        if cut:
            older = Older(
                list(messages[:cut]), _task(messages[:cut], keep), sum(costs[:cut]), measure.window
            )
            shorter, detail = await self._shorter(older, role, call)
            done = _event(older, shorter, before, detail)
            if done is not None:
                less = older.tokens - sum(map(message_tokens, shorter)) if done.replaced else 0
                whole = _overhead(role.request) + sum(costs)
                done.tokens_after = before * (whole - less) // whole
        measure.note(messages, done, before)
        return done

    @abstractmethod
    async def _shorter(self, older: Older, role: "Role", call: Call) -> tuple[list[Message], str]:
        """What shall stand in its place, and what there is to tell about it."""

    def _measure(self, role: "Role") -> "_Measure":
        found = self._measures.get(role)
        if found is None:
            asked = role.agent.model
            names = [asked] if isinstance(asked, str) else []
            window = self.window or _window(role.agent.client, role.model, names)
            found = self._measures[role] = _Measure(window)
        return found


class Compaction(_Shortening):
    """Have the older part summarised by a model; the newest turns stay, a short first message, instructions.

        agent = Agent("openai/gpt-5-mini", compaction=Compaction("openai/gpt-5-nano"))

    Args:
        model: who writes the summary: a name or a ``Model``; the agent's own by default.
        instructions: what is asked of it, in place of our own words.
        at, keep, window: see ``TrimToolResults``.

    A summary that fails costs nothing of the conversation: the older results of tools give way then, and
    ``Compacted.detail`` says why. What summaries cost is on the run's books.
    """

    def __init__(
        self,
        model: str | Model | None = None,
        *,
        at: float = 0.8,
        keep: int | None = None,
        window: int | None = None,
        instructions: str | None = None,
    ) -> None:
        super().__init__(at=at, keep=keep, window=window)
        self.model = model
        self.instructions = instructions or INSTRUCTIONS

    async def _shorter(self, older: Older, role: "Role", call: Call) -> tuple[list[Message], str]:
        try:
            return [*older.task, await self._summary(older, role, call)], ""
        except PolyvoxError as error:
            if call.interrupt is not None and call.interrupt.is_set:
                return older.messages, ""  # the run is over, and says so itself
            why = f"not summarised, only results of tools were taken out: {error.text}"
            return without_results(older.messages), why

    async def _summary(self, older: Older, role: "Role", call: Call) -> UserMessage:
        """Raises ``PolyvoxError``, also for one that would make nothing shorter."""
        model, window = role.model, older.window
        if self.model is not None:
            client = role.agent.client
            named = isinstance(self.model, str)
            model = client.model(self.model) if isinstance(self.model, str) else self.model
            window = _window(client, model, [str(self.model)] if named else [])
        text = await summary_of(older.messages, model, window, self.instructions, call)
        message = summary_message(text)
        if sum(map(message_tokens, [*older.task, message])) >= older.tokens:
            raise InvalidAnswerError("the summary is no shorter than what it is a summary of")
        return message


class TrimToolResults(_Shortening):
    """Take the results of tools out of the older part: "[removed: 12,345 characters]". Asks no model.

    Args:
        at: the share of the model's context window at which it is time.
        keep: how many tokens of the newest turns stay as they are; by default a quarter of the window
            (of the conversation, if the window is not known), and never more than half of the conversation.
        window: the context window in tokens; by default what the catalog knows of the agent's model.
            When nobody knows, it is time when the model says that the conversation is too long.
    """

    async def _shorter(self, older: Older, role: "Role", call: Call) -> tuple[list[Message], str]:
        return without_results(older.messages), ""


class KeepLast(_Shortening):
    """Leave the older part out, but for a short first message and instructions. Asks no model.

    The arguments are those of ``TrimToolResults``.
    """

    async def _shorter(self, older: Older, role: "Role", call: Call) -> tuple[list[Message], str]:
        return [*older.task, user("[The earlier part of this conversation is left out.]")], ""


class _Measure:
    """How much the model reads, kept up to date as the conversation grows."""

    def __init__(self, window: int | None) -> None:
        self.window = window
        self.rest_until = 0
        self._seen = 0
        self._tokens = 0

    def read(self, messages: Sequence[Message], request: Request) -> int:
        """The tokens of the conversation; only messages not seen before are looked at."""
        since = 0
        for place in range(len(messages) - 1, self._seen - 1, -1):
            message = messages[place]
            if reported := _reported(message):
                self._tokens = reported
                break
            since += message_tokens(message)
        else:
            self._tokens = self._tokens if self._seen else _overhead(request)
        self._tokens += since
        self._seen = len(messages)
        return self._tokens

    def note(self, messages: Sequence[Message], done: Compacted | None, before: int) -> None:
        """The conversation has become shorter, or could not; then it is not tried again at once."""
        self._tokens = done.tokens_after if done else before
        self._seen = len(messages) + (len(done.messages) - done.replaced if done else 0)
        self.rest_until = self._tokens + (self.window or 0) // 20


def _reported(message: Message) -> int:
    """How many tokens the model says it has read and written with this answer; 0 if it does not."""
    if not isinstance(message, AssistantMessage) or message.stop_reason in ("error", "aborted"):
        return 0
    usage = message.usage
    whole = usage.basis in ("reported", "estimated") and usage.input_tokens
    return usage.total_tokens if whole else 0


def _overhead(request: Request) -> int:
    """The tokens of instructions and tools."""
    return request_tokens(replace(request, messages=[]))


def _task(older: Sequence[Message], keep: int) -> list[Message]:
    """What stays of the older part: the first message of the user, if it is short, and instructions.

    An earlier summary is no such message; of instructions the newest stay, as far as there is room.
    """
    first = next((place for place, each in enumerate(older) if isinstance(each, UserMessage)), None)
    wanted = [place for place, each in enumerate(older) if isinstance(each, SystemMessage)][::-1]
    if first is not None and _is_task(older[first]):
        wanted.insert(0, first)
    room, places = keep // 2, list[int]()
    for place in wanted:
        tokens = message_tokens(older[place])
        if tokens <= room:
            places.append(place)
            room -= tokens
    return [older[place] for place in sorted(places)]


def _is_task(message: Message) -> bool:
    return message_tokens(message) <= SHORT and not is_summary(message)


def _event(older: Older, shorter: Sequence[Message], before: int, detail: str) -> Compacted | None:
    """What became of the older part; messages at its end that have stayed are no part of it."""
    was, new = list(older.messages), list(shorter)
    while was and new and was[-1] is new[-1]:
        was.pop()
        new.pop()
    if sum(map(message_tokens, new)) >= sum(map(message_tokens, was)):
        return Compacted(0, [], before, before, detail) if detail else None
    return Compacted(len(was), new, before, before, detail)


def _window(client: AsyncClient, model: Model, names: Sequence[str]) -> int | None:
    """The context window of the first of these names, or of the model inside these layers."""
    facts = (client.facts(name) for name in (*names, *_names(model)))
    return next((each.context_window for each in facts if each and each.context_window), None)


def _names(model: Any) -> Iterator[str]:
    """What a model is called, and what those inside it are."""
    while hasattr(model, "stream"):
        yield model.name
        model = getattr(model, "model", None)
