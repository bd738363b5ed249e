"""A chat while it goes on: read, ask, show, keep."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from polyvox.cli.answering import View, answer, has_usage, remarks, usage_line
from polyvox.cli.ask_once import client_for, model_name, model_named
from polyvox.cli.call_log import call_log
from polyvox.cli.chat_commands import completions, run_command
from polyvox.cli.chat_input import Lines, open_lines, read_message
from polyvox.cli.configured import logs_here, provider_of
from polyvox.cli.conversation import Conversation
from polyvox.cli.exit_codes import exit_code
from polyvox.cli.names import model_names
from polyvox.cli.request_options import fields_text, settings_of
from polyvox.cli.terminal import note, report_error, unechoed, warn
from polyvox.cli.views import TextView
from polyvox.client import AsyncClient, make_request
from polyvox.errors import PolyvoxError
from polyvox.ledger import CallLog, Logged
from polyvox.messages import UserMessage, user

if TYPE_CHECKING:
    from polyvox.cli.chat import ChatOptions

__all__ = ["ChatSession", "run_chat"]


class ChatSession:
    """One chat.

    ``unanswered`` is the last message if nothing came back for it; ``vendor`` holds the fields of the
    provider's own that go with every message. ``id`` is the session of its calls in the log.
    """

    def __init__(
        self,
        client: AsyncClient,
        options: "ChatOptions",
        conversation: Conversation,
        lines: Lines,
        log: CallLog,
    ) -> None:
        self.client = client
        self.options = options
        self.conversation = conversation
        self.lines = lines
        self.log = log
        self.id = uuid4().hex
        self.saved: set[Path] = set()
        self.unanswered: UserMessage | None = None
        provider = provider_of(client, conversation.model) if options.vendor else ""
        self._settings = settings_of(options, provider)
        self.vendor = self._settings.pop("options", {}).get(provider, {})
        self._code = 0

    def use(self, model: str) -> None:
        """Go on with another model; what was meant for the old one alone is dropped, and told.

        Raises ``PolyvoxError`` if it can't be asked.
        """
        model_named(self.client, model)
        before, self.conversation.model = self.conversation.model, model
        if self.vendor and model != before:
            warn(f"dropped, as set for {before}: {fields_text(self.vendor)}")
            note("/option NAME=VALUE sets one for this model.")
            self.vendor = {}

    async def run(self) -> int:
        """Talk until the end of the input. The exit code: of the last failure, if nobody sat there."""
        while True:
            try:
                text = await read_message(self.lines)
                await self._heed(text)
            except EOFError:
                return 0 if self.lines.interactive else self._code
            except KeyboardInterrupt:
                if not self.lines.interactive:
                    raise
                note("Ctrl-D or /exit leaves.")
            except PolyvoxError as error:
                self._report(error)

    async def _heed(self, text: str) -> None:
        line = text.strip()
        if line.startswith("/") and "\n" not in line:
            asked = run_command(self, line)
        else:
            asked = user(text) if line else None
        if asked is not None:
            await self._ask(asked)

    async def _ask(self, asked: UserMessage) -> None:
        self.unanswered = asked
        talk = self.conversation
        model = Logged(model_named(self.client, talk.model), self.log)
        settings = self._settings.copy()
        settings.pop("system", None)
        if talk.system:
            settings["system"] = talk.system
        if self.vendor:
            settings["options"] = {provider_of(self.client, talk.model): self.vendor}
        request = make_request([*talk.messages, asked], settings)
        with self._screen() as view:
            outcome = await answer(
                model, request, view, timeout=self.options.timeout, session=self.id
            )
        if talk.keep(asked, outcome):
            self.unanswered = None
        for remark in remarks(outcome.message):
            warn(remark)
        if self.lines.interactive and not self.options.quiet and has_usage(outcome):
            note(usage_line(outcome))
        if outcome.error is not None:
            self._report(outcome.error)
        if outcome.interrupted and not self.lines.interactive:
            raise KeyboardInterrupt  # it was meant for the whole run, not for one answer

    @contextmanager
    def _screen(self) -> Generator[View]:
        """How an answer is shown here; the terminal is in order again afterwards."""
        if not self.lines.interactive:
            yield TextView(thinking=self.options.thinking)
            return
        from polyvox.cli.markdown_view import MarkdownView

        view = MarkdownView(thinking=self.options.thinking)
        with unechoed():
            try:
                yield view
            finally:
                view.close()

    def _report(self, error: PolyvoxError) -> None:
        report_error(error)
        self._code = exit_code(error)
        if self.lines.interactive and self.unanswered is not None and error.retryable:
            note("/retry asks again.")


async def run_chat(options: "ChatOptions") -> int:
    """Hold a chat with these options."""
    async with client_for(options) as client:
        own_log = logs_here(client, wanted=options.log)
        conversation = await _conversation(client, options)
        model_named(client, conversation.model)  # better now than after the first message
        lines = open_lines(completions(), model_names)
        if lines.interactive and not options.quiet:
            note(f"Talking with {conversation.model}. /help lists the commands, Ctrl-D leaves.")
            _recall(conversation)
        with call_log(own_log) as log:
            return await ChatSession(client, options, conversation, lines, log).run()


def _recall(conversation: Conversation) -> None:
    """Say where a chat that is gone on with stands: how much was said, and what last."""
    if count := conversation.questions:
        note(f"{count} question{'' if count == 1 else 's'} so far")
        if conversation.last_answer:
            note(conversation.last_answer)


async def _conversation(client: AsyncClient, options: "ChatOptions") -> Conversation:
    if options.continued is None:
        name = await model_name(client, options, quiet=options.quiet)
        return Conversation(name, options.system)
    conversation = Conversation.load(options.continued)
    if options.model or options.base_url:
        conversation.model = await model_name(client, options, quiet=options.quiet)
    if options.system is not None:
        conversation.system = options.system
    return conversation
