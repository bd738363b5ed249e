"""What ``polyvox agent run`` and ``resume`` do: run, show, ask, and go on."""

import shlex
import sys
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    redirect_stdout,
)
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from polyvox.agent import Agent, AgentResult, AgentStream, Approval, MessageUpdate, RunState
from polyvox.agent.sessions import Sessions, StoredSession
from polyvox.cli import exit_codes
from polyvox.cli.agent_asking import Person
from polyvox.cli.agent_decisions import decisions
from polyvox.cli.agent_loading import everyone, load, make_ready
from polyvox.cli.agent_sessions import existing, last_of, open_sessions
from polyvox.cli.agent_views import AgentView, EventLines, PlainLines, run_line
from polyvox.cli.answering import interrupt_on_ctrl_c, remarks, usage_text
from polyvox.cli.attachments import gather_prompt
from polyvox.cli.call_log import call_log
from polyvox.cli.chat_input import open_lines, read_message
from polyvox.cli.configured import configured_client, logs_here
from polyvox.cli.terminal import is_terminal, note, report_error, say_error, unechoed, visible, warn
from polyvox.cli.views import tool_call_line
from polyvox.errors import ConfigurationError, PolyvoxError
from polyvox.events import Warned
from polyvox.messages import UserMessage, user
from polyvox.model import Interrupt
from polyvox.usage import ZERO_USAGE

if TYPE_CHECKING:
    from polyvox.cli.agent import AgentOptions, ResumeOptions, RunOptions

__all__ = ["AgentTalk", "resume_agent", "run_agent"]

_COMMANDS = ("/cost", "/exit")
_KNOWN = "There are " + " and ".join(_COMMANDS) + "."


class AgentTalk:
    """A conversation with an agent: one run after the other, in a session or, without one, in memory."""

    def __init__(
        self, agent: Agent[Any], options: "AgentOptions", session: StoredSession | None
    ) -> None:
        self.agent = agent
        self.options = options
        self.state = RunState() if session is None else session.state
        self._session = session
        self._id = uuid4().hex if session is None else session.id
        self._usage = ZERO_USAGE
        seen = is_terminal(sys.stdin) and is_terminal(sys.stdout) and not options.as_json
        self._person = Person() if seen else None
        if self._person is not None:
            for each in everyone(agent):
                each.approve = each.approve or self._person.approve

    async def once(
        self, prompt: UserMessage | None, approvals: Mapping[str, Approval] | None = None
    ) -> int:
        """Run until the agent is done; who presses Ctrl-C may say something, and it goes on.

        The exit code. Raises the ``PolyvoxError`` with which the run ended.
        """
        result = await self._run(prompt, approvals or {})
        while result.outcome == "aborted" and self._person is not None:
            note("Stopped. Say something to the agent; Enter alone goes on, Ctrl-C leaves.")
            try:
                said = await self._person.line("> ")
            except (EOFError, KeyboardInterrupt):
                self._tell_kept()
                return exit_codes.INTERRUPTED
            result = await self._run(user(said) if said.strip() else None, {})
        if result.outcome == "suspended":
            self._tell_waiting(result)
            return exit_codes.SUSPENDED
        if result.error is not None:
            raise result.error
        return 0

    async def chat(self) -> int:
        """Talk until Ctrl-D."""
        lines = open_lines(_COMMANDS, list[str])
        if not self.options.quiet:
            note(f"Talking with {self.agent.name}. /cost says what it cost, Ctrl-D leaves.")
        while True:
            try:
                text = (await read_message(lines)).strip()
                if text == "/exit":
                    return 0
                if text == "/cost":
                    note(usage_text(self._usage))
                elif text.startswith("/"):
                    raise ConfigurationError(f"there is no command {text.split()[0]}", hint=_KNOWN)
                elif text and await self.once(user(text)) == exit_codes.INTERRUPTED:
                    return exit_codes.INTERRUPTED
            except EOFError:
                return 0
            except KeyboardInterrupt:
                note("Ctrl-D or /exit leaves.")
            except PolyvoxError as error:
                report_error(error)

    async def _run(
        self, prompt: UserMessage | None, approvals: Mapping[str, Approval]
    ) -> AgentResult[Any]:
        began = time.monotonic()
        with interrupt_on_ctrl_c() as interrupt, self._screen() as view:
            if self._person is not None:
                self._person.pause, self._person.interrupt = view.pause, interrupt
            async with self._stream(prompt, approvals, interrupt) as run:
                async for event in run:
                    if isinstance(event, MessageUpdate) and isinstance(event.event, Warned):
                        warn(": ".join(filter(None, (event.event.field, event.event.text))))
                    view.event(event)
            result = run.result
            view.end(result)
        for remark in remarks(result.message) if result.message is not None else ():
            warn(remark)
        if result.outcome == "done" and result.detail and not self.options.quiet:
            note(result.detail)
        self._usage += result.usage
        if not self.options.quiet and not self.options.as_json:
            note(run_line(result, view.tools.count, time.monotonic() - began))
        return result

    def _stream(
        self, prompt: UserMessage | None, approvals: Mapping[str, Approval], interrupt: Interrupt
    ) -> AgentStream[Any]:
        if self._session is not None:
            if prompt is None:
                return self.agent.resume_stream(self._session, approvals, interrupt=interrupt)
            return self.agent.stream(prompt, session=self._session, interrupt=interrupt)
        if prompt is None:
            return self.agent.resume_stream(
                self.state, approvals, session=self._id, interrupt=interrupt
            )
        return self.agent.stream(prompt, state=self.state, session=self._id, interrupt=interrupt)

    @contextmanager
    def _screen(self) -> Generator[AgentView]:
        """How a run is shown here; the terminal is in order again afterwards."""
        if self.options.as_json or not is_terminal(sys.stdout):
            plain = EventLines() if self.options.as_json else PlainLines(quiet=self.options.quiet)
            with redirect_stdout(sys.stderr):  # what tools print is none of the answer
                yield plain
        else:
            from polyvox.cli.agent_live import LiveView

            view = LiveView(thinking=self.options.thinking)
            with unechoed() if is_terminal(sys.stdin) else nullcontext():
                try:
                    yield view
                finally:
                    view.pause()

    def _tell_kept(self) -> None:
        if self._session is not None and not self.options.quiet:
            named = shlex.join([self.options.agent, "--session", self._session.id])
            note(f"Kept: 'polyvox agent run {named}' goes on.")

    def _tell_waiting(self, result: AgentResult[Any]) -> None:
        waiting = result.pending
        calls = visible(", ".join(f"{tool_call_line(call)[2:]} (ID {call.id})" for call in waiting))
        hint = "Nothing of it is kept; on a terminal you would be asked."
        if self._session is not None:
            named = shlex.join([self.options.agent, self._session.id, "--approve", waiting[0].id])
            hint = f"polyvox agent resume {named}; or --deny ID, or --edit ID=JSON"
        say_error(f"the run waits for an approval: {calls}", hint)


async def run_agent(options: "RunOptions") -> int:
    """Run an agent with these options."""
    alone = not options.prompt and not options.files and not options.as_json
    chat = alone and is_terminal(sys.stdin) and is_terminal(sys.stdout)
    prompt = None if chat else UserMessage(gather_prompt(options.prompt, options.files))
    async with _opened(options) as (agent, sessions):
        name = options.session or f"{agent.name}-{uuid4().hex[:6]}"
        if options.continued:
            name = await last_of(sessions, everyone(agent))
        async with _kept(sessions, name) if options.keep else nullcontext() as session:
            talk = AgentTalk(agent, options, session)
            return await (talk.once(prompt) if prompt is not None else talk.chat())


async def resume_agent(options: "ResumeOptions") -> int:
    """Go on with a run, as these options say."""
    async with _opened(options) as (agent, sessions):
        name = options.session or await last_of(sessions, everyone(agent))
        session = await existing(sessions, name)
        approvals = decisions(options, session.state)
        return await AgentTalk(agent, options, session).once(None, approvals)


@asynccontextmanager
async def _opened(options: "AgentOptions") -> AsyncGenerator[tuple[Agent[Any], Sessions]]:
    """The agent, ready to be asked, and the sessions; all is closed in the end."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(configured_client(options.config))
        own_log = logs_here(client, wanted=options.log)
        agent = load(options.agent, client, options.model)
        for each in everyone(agent):
            stack.push_async_callback(each.aclose)
        log = stack.enter_context(call_log(own_log))
        make_ready(agent, client, options.model, log if own_log else None)
        yield agent, await stack.enter_async_context(open_sessions())


@asynccontextmanager
async def _kept(sessions: Sessions, name: str) -> AsyncGenerator[StoredSession]:
    """The session of that name, made if there is none; one in which nothing was said is not kept."""
    session = await sessions.open(name)
    try:
        yield session
    finally:
        await session.aclose()
        if not session.state.messages:
            await sessions.delete(name)
