"""``simulated/scripted``: what was written beforehand."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from polyvox.assembly import failed, unfold
from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.events import Done, Event, Start
from polyvox.messages import AssistantMessage
from polyvox.providers.simulated.script import Script, Turn, TurnLike, load_script
from polyvox.providers.simulated.stage import Options, SimulatedModel
from polyvox.providers.simulated.tokens import pieces, with_usage
from polyvox.request import Request


class ScriptedOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pace, and ``script``: a list of turns, see ``polyvox.providers.simulated.script``."""

    script: list[Any] | None = None


class ScriptedModel(SimulatedModel[ScriptedOptions]):
    """Play a script: each call gets the next turn.

    Args:
        script: what ``load_script`` takes. Without it each request brings its own in
            ``options["simulated"]["script"]``; then the turn played is the one whose number is the
            count of answers already in the conversation.
        name: the name the model goes by.

    Attributes:
        requests: every request to a model with a script of its own, in order.

    Raises ``ConfigurationError`` when the script is wrong; a call after the last turn ends with it.

    >>> model = ScriptedModel(["Hello.", {"error": {"kind": "overloaded", "text": "full"}}])
    """

    def __init__(
        self,
        script: bytes | str | Path | Sequence[TurnLike] | Script | None = None,
        *,
        name: str = "simulated/scripted",
    ) -> None:
        super().__init__(name, ScriptedOptions)
        self.requests: list[Request] = []
        self._script = None if script is None else load_script(script)

    def compose(self, request: Request, options: ScriptedOptions) -> Iterable[Event]:
        """The next turn, as events."""
        if self._script is not None:
            self.requests.append(request)
            return self._play(self._script.turn(len(self.requests) - 1), request)
        script = _brought_along(options)
        answers = sum(isinstance(message, AssistantMessage) for message in request.messages)
        return self._play(script.turn(answers), request)

    def _play(self, turn: Turn, request: Request) -> Iterable[Event]:
        match turn.form:
            case "message":
                return unfold(self._signed(turn.message(), request), pieces)
            case "events":
                return [self._completed(event, request) for event in turn.events()]
            case "error":
                return [failed(turn.error())]

    def _signed(self, message: AssistantMessage, request: Request) -> AssistantMessage:
        frame = self.say(request, [])
        message.provider = message.provider or frame.provider
        message.model = message.model or frame.model
        message.id = message.id or frame.id
        return with_usage(request, message)

    def _completed(self, event: Event, request: Request) -> Event:
        if isinstance(event, Done):
            return Done(self._signed(event.message, request))
        if isinstance(event, Start) and not event.model:
            frame = self.say(request, [])
            return Start(frame.provider, frame.model, event.id or frame.id)
        return event


def _brought_along(options: ScriptedOptions) -> Script:
    if options.script is None:
        raise BadRequestError(
            "simulated/scripted has no script",
            hint='Give one: options={"simulated": {"script": ["Hello."]}}, or ScriptedModel(script).',
        )
    try:
        return load_script(options.script)
    except ConfigurationError as error:
        raise BadRequestError(error.text, hint=error.hint) from None
