"""Mixture of agents: several propose, layer upon layer, and one makes an answer of it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import accumulate, takewhile
from typing import Unpack

from msgspec.structs import replace

from polyvox import estimate
from polyvox.composite.final import FinalStage
from polyvox.composite.members import (
    Member,
    Models,
    as_members,
    check_quorum,
    one_or_more,
    request_for,
    seats,
)
from polyvox.composite.nodes import summary
from polyvox.composite.options import CompositeOptions, options_of
from polyvox.composite.plan import Plan, planned, planned_last
from polyvox.composite.prompts import numbered, with_references
from polyvox.composite.quotes import as_long, in_all, last_stage
from polyvox.composite.reply import Reply, replied
from polyvox.composite.stage import Answer, Stage
from polyvox.errors import AbortedError, ConfigurationError, PolyvoxError
from polyvox.events import Event, Warned
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.usage import Usage

__all__ = ["MixtureOfAgents"]

_OUTPUT_SHARE = 4
"""The part of a window, one in so many, that is kept for an answer whose limit nobody has said."""


class MixtureOfAgents:
    """Ask several models at the same time, let them see each other's answers, and one sum it all up.

    The answer of the aggregator is streamed as it comes; what happens before it are ``Nested`` events.
    A reply has the whole tree in ``message.trace``, its first block is a summary of it, and its usage
    is that of all calls together.

    Args:
        proposers: who is asked in each layer: models, or ``Member`` with samples and settings.
        aggregator: who makes the reply; of several, the next one when one fails. When all do, the
            longest proposal is the reply, and a warning says so.
        layers: the aggregator's included. From the second on, proposers see the proposals before.
        window_tokens: the aggregator's context window; that of an aggregator that is named is known.
            Proposals that don't fit are summed up some at a time first.
        **options: see ``CompositeOptions``: ``quorum``, ``timeout``, ``tool_executor``, ``client``, ``name``.

    Raises ``ConfigurationError`` for a wrong argument.
    """

    def __init__(
        self,
        proposers: Sequence[Member | Model | str],
        *,
        aggregator: Member | Model | str | Sequence[Member | Model | str],
        layers: int = 2,
        window_tokens: int | None = None,
        **options: Unpack[CompositeOptions],
    ) -> None:
        quorum, self.timeout, self.tool_loop, client, name = options_of("a mixture", options)
        if layers < 2:
            raise ConfigurationError(
                f"layers is {layers}; give 2 or more, the aggregator's included"
            )
        if window_tokens is not None and window_tokens < 1:
            raise ConfigurationError(f"window_tokens is {window_tokens}; give 1 or more, or None")
        several: list[Member | Model | str] = one_or_more(aggregator)
        aggregators = as_members(several, "aggregator", client)
        self.aggregators = [replace(member, tools=True) for member in aggregators]
        self.seats = seats(as_members(proposers, "proposers", client))
        self.layers = layers
        self.quorum = check_quorum(quorum, len(self.seats))
        self.window_tokens = window_tokens or _narrowest(several, client)
        self.name = name or f"composite/moa/{self.aggregators[0].asked.name}"

    def quote(self, request: Request) -> Usage:
        """The most that all calls together may use and cost, if every aggregator has to be asked.

        What tools give back to the aggregator is not known before, and not counted.
        """
        most: list[Usage] = []
        texts: list[str] = []
        for _ in range(1, self.layers):
            asked = with_references(request, texts)
            quotes = [
                quote_of(seat.member.asked, request_for(seat.member, asked)) for seat in self.seats
            ]
            most += quotes
            texts = [as_long(quote) for quote in quotes]
        while (count := self.fitting(request, texts)) < len(texts):
            window = with_references(request, texts[:count])
            quotes = [quote_of(each.asked, request_for(each, window)) for each in self.aggregators]
            most += quotes
            texts = [max(map(as_long, quotes), key=len), *texts[count:]]
        asked = with_references(request, texts)
        last = last_stage(
            self.aggregators, lambda member: request_for(member, asked), self.tool_loop
        )
        return in_all([*most, *last])

    def plan(self) -> Plan:
        """Who will be asked, stage by stage, if nothing fails."""
        layers = [planned(f"layer {number}", self.seats) for number in range(1, self.layers)]
        last = planned_last("aggregation", seats(self.aggregators))
        return Plan(self.name, [*layers, last])

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """What the members tell, nested; then the reply."""
        inner = call.child()
        reply = Reply(self.name, "moa", summary)
        return replied(reply, _Course(self, request, inner, reply).events(), inner)

    def fitting(self, request: Request, texts: Sequence[str]) -> int:
        """How many of the texts the aggregator can be shown at once; two at least."""
        if self.window_tokens is None:
            return len(texts)
        output = request.max_tokens or self.window_tokens // _OUTPUT_SHARE
        room = self.window_tokens - output
        room -= estimate.request_tokens(with_references(request, [""]))
        sizes = accumulate(estimate.text_tokens(f"\n\n{numbered([text])}") for text in texts)
        count = sum(1 for _ in takewhile(lambda size: size <= room, sizes))
        return min(max(count, 2), len(texts))


def _narrowest(models: Sequence[Member | Model | str], client: Models | None) -> int | None:
    """The smallest context window of those that go by a name; None if nobody knows of one."""
    names = [each.model if isinstance(each, Member) else each for each in models]
    facts = [client.facts(name) for name in names if client and isinstance(name, str)]
    windows = [each.context_window for each in facts if each and each.context_window]
    return min(windows, default=None)


class _Course:
    """One call: the proposals and the texts that are left of them."""

    def __init__(self, moa: MixtureOfAgents, request: Request, call: Call, reply: Reply) -> None:
        self._moa = moa
        self._request = request
        self._call = call
        self._reply = reply
        self._proposals: list[Answer] = []
        self._texts: list[str] = []

    async def events(self) -> AsyncGenerator[Event]:
        """All that happens, to the reply's last event. Raises ``PolyvoxError`` when there is none."""
        moa = self._moa
        for layer in range(1, moa.layers):
            async with aclosing(self._layer(f"layer {layer}")) as events:
                async for event in events:
                    yield event
        window = 0
        while (count := moa.fitting(self._request, self._texts)) < len(self._texts):
            window += 1
            async with aclosing(self._window(f"window {window}", count)) as events:
                async for event in events:
                    yield event
        asked = with_references(self._request, self._texts)
        final = FinalStage(moa.aggregators, "aggregation", self._reply, tools=moa.tool_loop)
        work = final.events(lambda member: request_for(member, asked), self._proposals, self._call)
        async with aclosing(work) as events:
            async for event in events:
                yield event

    async def _layer(self, label: str) -> AsyncGenerator[Event]:
        """The proposals of one layer; those of the one before have to do when it fails."""
        moa = self._moa
        asked = with_references(self._request, self._texts)
        asks = [(seat, request_for(seat.member, asked)) for seat in moa.seats]
        stage = self._stage(label, "proposal", "layer", moa.quorum)
        try:
            async with aclosing(stage.events(asks, self._call)) as events:
                async for event in events:
                    yield event
        except PolyvoxError as error:
            if not self._proposals or isinstance(error, AbortedError):
                raise
            failure = error
        else:
            self._proposals = stage.good
            self._texts = [each.text for each in stage.good if each.text.strip()]
            return
        yield Warned(f"the proposals before have to do: {failure.text}", label)

    async def _window(self, label: str, count: int) -> AsyncGenerator[Event]:
        """The first of the texts summed up in one; when nobody can, the longest of them is kept."""
        first, rest = self._texts[:count], self._texts[count:]
        asked = with_references(self._request, first)
        summed = max(first, key=len)
        for member in self._moa.aggregators:
            stage = self._stage(label, "aggregation", "window", 1)
            ask = seats([member])[0], request_for(replace(member, tools=False), asked)
            try:
                async with aclosing(stage.events([ask], self._call)) as events:
                    async for event in events:
                        yield event
            except PolyvoxError as error:
                if isinstance(error, AbortedError):
                    raise
                continue
            summed = stage.good[0].text or summed
            break
        self._texts = [summed, *rest]

    def _stage(self, label: str, kind: str, parent: str, quorum: int) -> Stage:
        stage = Stage(
            label,
            kind,
            self._reply.timeline,
            quorum=quorum,
            timeout=self._moa.timeout,
            parent=parent,
        )
        self._reply.root.children.append(stage.node)
        return stage
