"""A request's id and its line in the log."""

import asyncio
import io
import json
import re
import threading
from typing import Any

import pytest

from polyvox.attempt import Attempt
from polyvox.errors import BadRequestError, BudgetExceededError
from polyvox.gateway.journal.reasons import Reasons
from polyvox.gateway.operations.access_log import AccessLog
from polyvox.gateway.operations.log_lines import LogLines, Repeats
from polyvox.gateway.operations.loop_lag import LoopLag
from polyvox.gateway.operations.metrics import Metrics
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.door import ACCESS, CALL, FAILURE, REQUEST_ID

CANARY = "sk-ant-api03-canarycanarycanarycanarycanary"


class Rig:
    """An application within an access log, asked without a server."""

    def __init__(self, status: int = 200, error: Exception | None = None, **settings: Any) -> None:
        self.stream = io.StringIO()
        self.lines = LogLines(
            settings.pop("form", "json"), self.stream, clock=lambda: 1_700_000_000
        )
        self.status, self.error = status, error
        self.noted: dict[str, Any] = {}
        self.sent: list[dict[str, Any]] = []
        self.seen = ""
        self.app = AccessLog(self.answer, self.lines, Metrics(), **settings)

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen = scope[REQUEST_ID]
        scope.update(self.noted)
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"12345"})

    async def ask(self, path: str = "/v1/models", **headers: str) -> dict[str, str]:
        """The headers of the answer."""
        self.sent.clear()

        async def send(message: Any) -> None:
            self.sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": f"key={CANARY}".encode(),
            "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
            "client": ("10.0.0.7", 1234),
        }
        await self.app(scope, None, send)
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    def logged(self) -> list[dict[str, Any]]:
        self.lines.close()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


async def test_a_request_has_one_line_with_what_became_of_it():
    rig = Rig()
    await rig.ask()
    (line,) = rig.logged()
    assert line["about"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/models", 200)
    assert (line["bytes"], line["client"]) == (5, "10.0.0.7")
    assert line["id"] == rig.seen
    assert line["at"] == "2023-11-14T22:13:20.000Z"


def asked(model: str, error: str | None = None) -> Attempt:
    return Attempt(provider="lab", model=model, started=0.0, seconds=0.1, error=error)


async def test_a_call_has_whose_it_is_and_who_answered():
    rig = Rig()
    access = Access(key="key_1", name="ci", organisation="acme", team="core")
    attempts = [asked("a", "network"), asked("b")]
    rig.noted = {ACCESS: access, CALL: ("call_1", "chat", attempts)}
    await rig.ask()
    (line,) = rig.logged()
    assert (line["key"], line["organisation"], line["team"]) == ("ci", "acme", "core")
    assert (line["call"], line["model"], line["by"]) == ("call_1", "chat", "lab/b")
    assert line["attempts"] == 2
    assert "error" not in line


async def test_a_refusal_has_its_kind_and_why():
    rig = Rig(402)
    rig.noted = {FAILURE: BudgetExceededError("it is spent", status=402)}
    await rig.ask()
    (line,) = rig.logged()
    assert (line["error"], line["reason"]) == ("budget_exceeded", "it is spent")


@pytest.mark.parametrize(
    ("reasons", "told"), [(Reasons(), None), (Reasons(quoting=True), "you said: Hi")]
)
async def test_what_a_provider_says_is_in_the_log_only_where_that_is_allowed(
    reasons: Reasons, told: str | None
):
    error = BadRequestError("you said: Hi", status=400)
    error.provider = "lab"
    rig = Rig(400, reasons=reasons)
    rig.noted = {FAILURE: error}
    await rig.ask()
    (line,) = rig.logged()
    assert line["error"] == "bad_request"
    assert line.get("reason") == told


async def test_keys_are_nowhere_in_the_log():
    rig = Rig(error=RuntimeError(f"refused: Bearer {CANARY}"))
    await rig.ask(authorization=f"Bearer {CANARY}")
    rig.logged()
    assert "refused" in rig.stream.getvalue()
    assert CANARY not in rig.stream.getvalue()


async def test_the_callers_id_is_taken_and_returned():
    rig = Rig()
    assert (await rig.ask(x_request_id="trace-7"))["x-request-id"] == "trace-7"
    assert rig.seen == "trace-7"


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, 'a"b', "a\tb", "é", "-x", "${jndi:ldap}"])
async def test_an_id_that_might_harm_a_log_is_replaced(bad: str):
    rig = Rig()
    given = (await rig.ask(x_request_id=bad))["x-request-id"]
    assert given.startswith("req_")
    assert given == rig.seen


@pytest.mark.parametrize("before", [[], [b""], [b"a b", b"\xff"]])
async def test_of_several_ids_the_first_good_one_is_taken(before: list[bytes]):
    rig = Rig()
    scope = {
        "type": "http",
        "path": "/v1/models",
        "headers": [(b"x-request-id", each) for each in (*before, b"trace-7", b"trace-8")],
    }

    async def send(message: Any) -> None: ...

    await rig.app(scope, None, send)
    assert rig.seen == "trace-7"


async def test_two_requests_without_ids_have_different_ones():
    rig = Rig()
    assert (await rig.ask())["x-request-id"] != (await rig.ask())["x-request-id"]


async def test_what_nobody_foresaw_is_a_500_that_says_nothing_of_it():
    rig = Rig(error=KeyError("internal"))
    await rig.ask()
    assert rig.sent[0]["status"] == 500
    assert b"internal" not in rig.sent[1]["body"]
    assert rig.seen.encode() in rig.sent[1]["body"]
    (line,) = rig.logged()
    assert (line["status"], line["error"]) == (500, "KeyError: 'internal'")
    assert line["where"].startswith("gateway/operations/") or ".py:" in line["where"]


async def test_failures_of_one_kind_are_written_so_many_times_and_then_counted():
    now = [0.0]
    rig = Rig(status=503, repeats=Repeats(3, 60, clock=lambda: now[0]))
    for _ in range(100):
        await rig.ask()
    now[0] = 61.0
    await rig.ask()
    lines = rig.logged()
    assert len(lines) == 4
    assert lines[3]["held_back"] == 97


async def test_successes_are_never_held_back():
    rig = Rig(repeats=Repeats(1, 60))
    for _ in range(20):
        await rig.ask()
    assert len(rig.logged()) == 20


async def test_health_checks_stay_out_of_the_log_while_all_is_well():
    rig = Rig()
    await rig.ask("/health")
    rig.status = 503
    await rig.ask("/ready")
    assert [line["path"] for line in rig.logged()] == ["/ready"]


async def test_plain_lines_are_for_people_and_can_not_be_forged():
    rig = Rig(form="plain")
    await rig.ask("/v1/\x1b[31m\nx status=200")
    rig.lines.close()
    text = rig.stream.getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert 'path="/v1/' in text


def test_a_reader_that_is_too_slow_costs_lines_and_not_time():
    class Stuck(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.entered, self.go = threading.Event(), threading.Event()

        def write(self, text: str) -> int:
            self.entered.set()
            self.go.wait()
            return super().write(text)

    stream = Stuck()
    lines = LogLines("json", stream, most=5)
    lines.write("first")
    stream.entered.wait()
    for number in range(20):
        lines.write("more", number=number)
    assert lines.dropped == 15
    stream.go.set()
    lines.close()
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(told) == 7
    assert told[-1]["dropped"] == 15


@pytest.mark.parametrize("form", ["json", "plain"])
def test_a_great_many_lines_are_written_in_their_order(form: Any):
    stream = io.StringIO()
    with LogLines(form, stream) as lines:
        for number in range(2_500):
            lines.write("one", number=number, of=None)
    numbers = [int(each) for each in re.findall(r"number\W+(\d+)", stream.getvalue())]
    assert numbers == list(range(2_500))
    assert "of" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "plain"])
def test_what_is_no_text_costs_neither_its_line_nor_those_around_it(form: Any):
    stream = io.StringIO()
    with LogLines(form, stream) as lines:
        lines.write("one", of="a")
        lines.write("two", of="half an emoji \ud83d", more=["\udcff"])
        lines.write("three", of="c")
    assert lines.dropped == 0
    one, two, three = stream.getvalue().splitlines()
    assert ("one" in one, "half an emoji \ufffd" in two, "three" in three) == (True, True, True)


def test_nothing_is_written_when_it_is_off():
    stream = io.StringIO()
    with LogLines("off", stream) as lines:
        lines.write("request")
    assert stream.getvalue() == ""


def test_a_reader_that_is_gone_ends_nothing():
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    lines = LogLines("json", Gone())
    lines.write("request")
    lines.close()
    assert lines.dropped == 1


async def test_the_lag_is_what_the_loop_came_too_late():
    times = iter([0.0, 0.25, 1.0, 1.75])
    told: list[float] = []
    rounds = [None, None]

    async def sleep(seconds: float) -> None:
        if not rounds:
            raise asyncio.CancelledError
        rounds.pop()

    lag = LoopLag(told.append, clock=lambda: next(times, 2.0), sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await lag.run()
    assert told == [0.0, 0.5]
