"""How a command ends early: Ctrl-C, a reader that goes away, a terminal that is no more."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from polyvox.cli.answering import interrupt_on_ctrl_c
from polyvox.testing import Knobs

from .conftest import COMMAND

Start = Callable[..., "subprocess.Popen[str]"]

SLOW = ("-m", "simulated/lorem", "-o", "tokens=100000", "-o", "tokens_per_second=200")


def read_until(process: subprocess.Popen[str], text: str) -> str:
    seen = ""
    assert process.stdout is not None
    while text not in seen:
        piece = process.stdout.read(1)
        assert piece, f"ended before {text!r}: {seen!r}"
        seen += piece
    return seen


def test_text_is_there_as_soon_as_it_is_said(start: Start):
    process = start("ask", "hi", *SLOW)
    process.stdin.close()
    assert read_until(process, "ipsum ").startswith("Lorem ipsum")
    assert process.poll() is None


def test_ctrl_c_keeps_what_came_and_ends_with_130(start: Start):
    process = start("ask", "hi", *SLOW)
    process.stdin.close()
    seen = read_until(process, "ipsum ")
    process.send_signal(signal.SIGINT)
    rest, complaint = process.stdout.read(), process.stderr.read()
    assert process.wait(30) == 130
    assert (seen + rest).startswith("Lorem ipsum")
    assert rest.endswith("\n")
    assert complaint == "interrupted by Ctrl-C\n"


def test_ctrl_c_hangs_up_on_the_provider(start: Start, polyvox_mock):
    server = polyvox_mock(
        "anthropic-messages", ["word " * 1000], knobs=Knobs(text_piece=5, delay_chunks=0.02)
    )
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    process = start("ask", "-m", "anthropic/claude-sonnet-4-5", "hi", env=env)
    process.stdin.close()
    read_until(process, "word word")
    process.send_signal(signal.SIGINT)
    assert server.wait_for_hangup().hung_up == "client"
    assert process.wait(30) == 130


def test_ctrl_c_before_the_first_byte_hangs_up_too(start: Start, polyvox_mock):
    server = polyvox_mock("anthropic-messages", ["late"], knobs=Knobs(delay_headers=600))
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    process = start("ask", "--json", "-m", "anthropic/claude-sonnet-4-5", "hi", env=env)
    process.stdin.close()
    server.wait_for_request()
    process.send_signal(signal.SIGINT)
    assert server.wait_for_hangup().hung_up == "client"
    assert process.wait(30) == 130
    assert '"kind":"aborted"' in process.stdout.read()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are no thread's there")
async def test_ctrl_c_wakes_a_loop_that_waits_also_when_another_thread_gets_it():
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def press() -> None:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()  # then the loop waits
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with interrupt_on_ctrl_c() as interrupt:
        interrupt.listen(lambda: loop.call_soon_threadsafe(stopped.set))
        thread = threading.Thread(target=press)
        thread.start()
        async with asyncio.timeout(20):
            await stopped.wait()
        thread.join()
    assert interrupt.reason == "interrupted by Ctrl-C"


def test_a_reader_that_goes_away_ends_it_silently(start: Start, polyvox_mock):
    server = polyvox_mock(
        "anthropic-messages", ["word " * 1000], knobs=Knobs(text_piece=5, delay_chunks=0.01)
    )
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    process = start("ask", "-m", "anthropic/claude-sonnet-4-5", "hi", env=env)
    process.stdin.close()
    read_until(process, "word word")
    process.stdout.close()
    assert server.wait_for_hangup().hung_up == "client"
    assert process.wait(30) == 141
    assert process.stderr.read() == ""


def test_a_list_into_head_ends_silently(environment: dict[str, str]):
    listing = subprocess.Popen(
        [*COMMAND, "models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    head = [sys.executable, "-c", "import sys; print(sys.stdin.readline().split()[0])"]
    done = subprocess.run(
        head, check=False, stdin=listing.stdout, capture_output=True, text=True, timeout=60
    )
    with listing:
        listing.stdout.close()
        assert done.stdout == "MODEL\n"
        assert listing.stderr.read() == b""
        assert listing.wait(30) in (0, 141)


def test_a_job_in_the_background_is_not_stopped_by_ctrl_c(environment: dict[str, str]):
    # As a shell does it for "command &" in a script.
    launch = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        " os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [*COMMAND, "ask", "hi", "-m", "simulated/lorem", "-o", "tokens=60"]
    process = subprocess.Popen(
        [sys.executable, "-c", launch, *command, "-o", "tokens_per_second=60"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with process:
        read_until(process, "ipsum ")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(30) == 0
        assert rest.endswith(".\n")


def test_ctrl_c_ends_a_chat_that_waits_for_a_line(start: Start):
    process = start("chat", "-m", "simulated/echo")
    process.stdin.write("hello\n")
    process.stdin.flush()
    assert read_until(process, "hello\n") == "hello\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert "Traceback" not in process.stderr.read()


def test_ctrl_c_in_an_answer_ends_a_chat_in_a_pipe(start: Start):
    process = start("chat", *SLOW)
    process.stdin.write("one\ntwo\n")
    process.stdin.flush()
    read_until(process, "ipsum ")
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(30) == 130
    assert "Lorem" not in rest


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "-m", "simulated/echo", "hi"),
        ("ask", "-m", "simulated/echo", "--json", "hi"),
        ("chat", "-m", "simulated/echo"),
        ("models",),
        ("ask", "--help"),
    ],
)
def test_output_that_cannot_be_written_is_an_error_of_one_line(
    environment: dict[str, str], arguments: tuple[str, ...]
):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            check=False,
            input="hi\n",
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
    assert done.stderr == "error: can't write to stdout: No space left on device\n"
    assert done.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_notes_that_cannot_be_written_do_no_harm(environment: dict[str, str]):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "ask", "hi"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=full,
            env=environment,
            text=True,
        )
    assert (done.stdout, done.returncode) == ("hi\n", 0)
