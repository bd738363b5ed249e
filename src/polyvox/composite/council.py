"""A council: each gives an opinion, all review them without knowing whose they are, one answers."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Unpack

from msgspec.structs import replace

from polyvox.composite.branches import interruption
from polyvox.composite.final import FinalStage
from polyvox.composite.labels import Labels
from polyvox.composite.members import (
    Member,
    as_members,
    check_quorum,
    one_or_more,
    request_for,
    seats,
)
from polyvox.composite.nodes import summary
from polyvox.composite.options import CompositeOptions, options_of
from polyvox.composite.plan import Plan, planned, planned_last
from polyvox.composite.quotes import as_long, in_all, last_stage
from polyvox.composite.ranking import Ballot, Standing, aggregate, parse_ranking
from polyvox.composite.reply import Reply, replied
from polyvox.composite.reviews import chairman_request, figures, review_request
from polyvox.composite.stage import Answer, Ask, Stage
from polyvox.errors import PolyvoxError, ProtocolError
from polyvox.events import Event, Warned
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.trace import TraceNode, beginning
from polyvox.usage import Usage

__all__ = ["Council"]


class Council:
    """Ask all members at once, have them review one another without names, and let one speak for all.

    Of n members that is 2 n + 1 calls in three stages, of which only the last is streamed. Who fails
    or is late is left out, neither reviewed nor reviewing. Reviews may all fail: the chairman then
    does without. Tools are for the chairman alone.

    Args:
        members: who gives an opinion: models, or ``Member`` for settings and samples.
        chairman: who makes the answer. Of several, the next when one fails; if none can, the answer
            that is ranked best stands in.
        reviewers: who reviews the answers, each ``samples`` times; by default the members, once each.
        exclude_own: whether nobody reviews what is their own, or that of a model of their name.
        seed: for the labels, that each reviewer gets in an order of their own; by default another one
            for each call.
        **options: see ``CompositeOptions``: ``quorum``, ``timeout``, ``tool_executor``, ``client``, ``name``.

    Raises ``ConfigurationError`` for a wrong argument.
    """

    def __init__(
        self,
        members: Sequence[Member | Model | str],
        *,
        chairman: Member | Model | str | Sequence[Member | Model | str],
        reviewers: Sequence[Member | Model | str] | None = None,
        exclude_own: bool = True,
        seed: int | None = None,
        **options: Unpack[CompositeOptions],
    ) -> None:
        quorum, self.timeout, self.tool_loop, client, name = options_of("a council", options)
        self.members = as_members(members, "members", client)
        chairmen = as_members(one_or_more(chairman), "chairman", client)
        self.chairmen = [replace(each, tools=True) for each in chairmen]
        self.name = name or f"composite/council/{self.chairmen[0].asked.name}"
        self.seats = seats(self.members)
        self.quorum = check_quorum(quorum, len(self.seats))
        self.seed = seed
        self._exclude_own = exclude_own
        if reviewers is None:
            chosen = self.members
        else:
            others = as_members(reviewers, "reviewers", client)
            chosen = [each for each in others for _ in range(each.samples)]
        self.reviewers = [replace(each, samples=1, tools=False) for each in chosen]
        self._own = [self._places_of(each, by_name=reviewers is not None) for each in chosen]

    def quote(self, request: Request) -> Usage:
        """The most that all calls together may use and cost, if every chairman has to be asked.

        What tools give back to the chairman is not known before, and not counted.
        """
        opinions = [
            quote_of(seat.member.asked, request_for(seat.member, request)) for seat in self.seats
        ]
        texts = {place: as_long(quote) for place, quote in enumerate(opinions)}
        reviews = [
            quote_of(
                reviewer.asked,
                review_request(request_for(reviewer, request), texts, labels),
            )
            for reviewer, labels in self.readers(texts, seed=0)
        ]
        told = [as_long(quote) for quote in reviews]
        labels = Labels(texts, seed=0, reader="chairman", numbered=True)
        places = list(texts)
        standings = aggregate([Ballot(places, places)], places)

        def asked(chairman: Member) -> Request:
            return chairman_request(request_for(chairman, request), texts, labels, standings, told)

        last = last_stage(self.chairmen, asked, self.tool_loop)
        return in_all([*opinions, *reviews, *last])

    def plan(self) -> Plan:
        """Who will be asked, stage by stage, if nothing fails."""
        readers = self.readers(dict.fromkeys(range(len(self.seats)), "-"), seed=0)
        stages = [planned("opinions", self.seats)]
        if readers:
            stages.append(planned("reviews", seats(each for each, _ in readers)))
        stages.append(planned_last("chairman", seats(self.chairmen)))
        return Plan(self.name, stages)

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The chairman's answer; the earlier stages come as nested events before it."""
        session = _Session(self, request, call.child())
        return replied(session.reply, session.events(), session.call)

    def readers(
        self, places: Mapping[int, str], *, seed: object
    ) -> list[tuple[Member, Labels[int]]]:
        """Who reviews when there are opinions at these places, and what they are called for each."""
        found: list[tuple[Member, Labels[int]]] = []
        for number, (reviewer, own) in enumerate(zip(self.reviewers, self._own, strict=True)):
            if own and own.isdisjoint(places):
                continue  # has failed to give one
            shown = [place for place in places if not (self._exclude_own and place in own)]
            if shown:
                found.append((reviewer, Labels(shown, seed=seed, reader=number)))
        return found

    def _places_of(self, reviewer: Member, *, by_name: bool) -> set[int]:
        """The places of a reviewer's own opinions."""
        return {
            place
            for place, seat in enumerate(self.seats)
            if seat.member is reviewer
            or (by_name and seat.member.asked.name == reviewer.asked.name)
        }


class _Session:
    """One call of a council."""

    def __init__(self, council: Council, request: Request, call: Call) -> None:
        self.call = call
        self.reply = Reply(council.name, "council", summary)
        self._council = council
        self._request = request
        self._seed: object = call.id if council.seed is None else council.seed
        self._opinions: dict[int, Answer] = {}
        self._reviews: list[tuple[Labels[int], str]] = []
        self._standings: list[Standing[int]] = []

    async def events(self) -> AsyncGenerator[Event]:
        """The three stages. Raises ``PolyvoxError`` when there is no answer."""
        for stage in (self._ask_members, self._ask_reviewers, self._ask_chairman):
            async with aclosing(stage()) as events:
                async for event in events:
                    yield event

    @property
    def _texts(self) -> dict[int, str]:
        return {place: answer.text for place, answer in self._opinions.items()}

    def _stage(self, label: str, kind: str, quorum: int) -> Stage:
        stage = Stage(
            label, kind, self.reply.timeline, quorum=quorum, timeout=self._council.timeout
        )
        self.reply.root.children.append(stage.node)
        return stage

    async def _ask_members(self) -> AsyncGenerator[Event]:
        council = self._council
        stage = self._stage("opinions", "opinion", council.quorum)
        asks = [(seat, request_for(seat.member, self._request)) for seat in council.seats]
        async with aclosing(stage.events(asks, self.call)) as events:
            async for event in events:
                yield event
        self._opinions = {
            place: answer for place, answer in enumerate(stage.answers) if answer.text.strip()
        }
        if not self._opinions:
            raise ProtocolError("opinions: the members have called tools, and none said anything")

    async def _ask_reviewers(self) -> AsyncGenerator[Event]:
        """The reviews; without any the chairman still has the opinions."""
        readers = self._council.readers(self._texts, seed=self._seed)
        if not readers:
            return
        stage = self._stage("reviews", "review", 1)
        asks: list[Ask] = [
            (seat, review_request(request_for(seat.member, self._request), self._texts, labels))
            for seat, (_, labels) in zip(seats(each for each, _ in readers), readers, strict=True)
        ]
        try:
            async with aclosing(stage.events(asks, self.call)) as events:
                async for event in events:
                    yield event
        except PolyvoxError as error:
            if interruption(self.call):
                raise
            yield Warned(f"there is no review: {error.text}", "reviews")
        for warning in self._count(stage, [labels for _, labels in readers]):
            yield warning

    def _count(self, stage: Stage, readers: Sequence[Labels[int]]) -> list[Warned]:
        """Make one ranking of the reviews; the warnings are of those that have none."""
        warnings: list[Warned] = []
        ballots: list[Ballot[int]] = []
        names = {place: answer.seat.label for place, answer in self._opinions.items()}
        for answer, labels in zip(stage.answers, readers, strict=True):
            if not answer.text:
                continue
            self._reviews.append((labels, answer.text))
            answer.node.preview = beginning(labels.retold(answer.text, names))  # for people
            ranked = parse_ranking(answer.text, labels.letters)
            if not ranked and len(labels.authors) > 1:
                text = f"the review of {answer.seat.label} has no ranking that can be read"
                warnings.append(Warned(text, "reviews"))
            ballots.append(Ballot(labels.authors, [labels.author(letter) for letter in ranked]))
        self._standings = aggregate(ballots, list(self._opinions))
        self.reply.root.children.append(self._ranking())
        return warnings

    @property
    def _ranked(self) -> bool:
        return any(standing.votes for standing in self._standings)

    def _ranking(self) -> TraceNode:
        """The ranking in the trace: a node for each answer, the best first."""
        node = TraceNode(kind="ranking", label="ranking", started=self.reply.timeline.now())
        if not self._ranked:
            node.status = "left_out"
            return node
        for standing in self._standings:
            opinion = self._opinions[standing.candidate].node
            part = TraceNode(kind="standing", model=opinion.model, label=opinion.label)
            part.started, part.preview = node.started, figures(standing)
            node.children.append(part)
        node.preview = beginning(" > ".join(part.label for part in node.children))
        return node

    def _ask_chairman(self) -> AsyncGenerator[Event]:
        labels = Labels(self._opinions, seed=self._seed, reader="chairman", numbered=True)
        reviews = [own.retold(text, labels.names) for own, text in self._reviews]
        proposals = list(self._opinions.values())
        if self._ranked:
            proposals = [self._opinions[self._standings[0].candidate]]

        def asked(chairman: Member) -> Request:
            request = request_for(chairman, self._request)
            return chairman_request(request, self._texts, labels, self._standings, reviews)

        final = FinalStage(
            self._council.chairmen, "chairman", self.reply, tools=self._council.tool_loop
        )
        return final.events(asked, proposals, self.call)
