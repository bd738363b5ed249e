"""What ``polyvox mock`` does: serve until told to stop, and tell what comes."""

import asyncio
import signal
from contextlib import AsyncExitStack
from types import FrameType
from typing import TYPE_CHECKING

import click

from polyvox.cli.terminal import note
from polyvox.errors import ConfigurationError
from polyvox.providers import load_providers
from polyvox.providers.simulated import simulated_model
from polyvox.testing import Knobs, MockProvider, ReceivedRequest, SentAnswer

if TYPE_CHECKING:
    from polyvox.cli.mock import MockOptions

__all__ = ["serve"]


async def serve(options: "MockOptions") -> int:
    """Serve until Ctrl-C or SIGTERM. Raises ``ConfigurationError`` for a wrong script or knob."""
    mock = MockProvider(
        options.dialect,
        options.script,
        model=simulated_model(options.model) if options.model else None,
        knobs=Knobs().but(options.knobs),
        models=options.models or ("mock-model",),
        expect_key=options.expect_key,
        port=options.port,
    )
    stop = _stop_signal()
    async with AsyncExitStack() as stack:
        await _listen(mock, stack)
        tellers = [asyncio.create_task(tell(mock)) for tell in (_tell_requests, _tell_hangups)]
        for teller in tellers:
            stack.callback(teller.cancel)
        _announce(mock, options)
        await stop.wait()
    click.echo(mock.summary())
    return 0


async def _listen(mock: MockProvider, stack: AsyncExitStack) -> None:
    try:
        await stack.enter_async_context(mock)
    except OSError as error:
        raise ConfigurationError(
            f"can't listen there: {error.strerror}",
            hint="Leave --port away to find a free port.",
        ) from None


def _announce(mock: MockProvider, options: "MockOptions") -> None:
    """The address on stdout's first line, and how to use it on the second."""
    click.echo(mock.url)
    click.echo(_export_line(options.dialect, mock.url, options.expect_key or "mock"))
    if options.ready_file is not None:
        # Written aside and moved, so that whoever waits for the file never reads half of it.
        aside = options.ready_file.with_name(f"{options.ready_file.name}.part")
        try:
            aside.write_text(f"{mock.url}\n", encoding="utf-8")
            aside.replace(options.ready_file)
        except OSError as error:
            problem = f"can't write {options.ready_file}: {error.strerror}"
            raise ConfigurationError(problem) from None


def _export_line(dialect: str, url: str, key: str) -> str:
    for row in load_providers().values():
        if row.dialect == dialect and row.base_url_env and row.key_env:
            return f"export {row.base_url_env[0]}={url} {row.key_env[0]}={key}"
    return f"polyvox ask --base-url {url} --dialect {dialect} -m mock-model"


async def _tell_requests(mock: MockProvider) -> None:
    while True:
        note(_described(*await mock.record.next_answer()))


async def _tell_hangups(mock: MockProvider) -> None:
    while True:
        answer = await mock.wait_for_hangup()
        note(f"the client left after {answer.bytes_sent:,} bytes of the answer")


def _described(received: ReceivedRequest, answer: SentAnswer) -> str:
    line = f"{answer.status or '---'} {received.method} {received.path}"
    request = received.request
    if request is None:
        return line
    how = "streamed" if request.stream else "whole"
    count = len(request.messages)
    return f"{line}  {request.model}  {count} message{'' if count == 1 else 's'}, {how}"


def _stop_signal() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stopped(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stopped)
    return stop
