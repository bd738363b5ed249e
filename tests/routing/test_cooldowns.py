"""The circuit breaker: which error rests a deployment, for how long, and how it comes back."""

import logging

import pytest

from polyvox import errors
from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ConfigurationError,
    ContentFilterError,
    ContextWindowExceededError,
    InvalidAnswerError,
    MissingKeyError,
    NetworkError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.model import Call
from polyvox.routing import COOLDOWNS, Cooldown, Deployment, Pool
from polyvox.routing.breaker import Breaker
from polyvox.routing.pool import Busy, Seat

from .rig import Clock, Voice, request

# How many failures in a row it takes, and how long the first and the second rest are.
TABLE = {
    RateLimitError: (1, 5, 10),
    OverloadedError: (1, 5, 10),
    ServerError: (3, 10, 20),
    ProtocolError: (3, 10, 20),
    PolyvoxError: (3, 10, 20),
    NetworkError: (2, 5, 10),
    RequestTimeoutError: (2, 10, 20),
    AuthenticationError: (1, 300, 600),
    MissingKeyError: (1, 300, 600),
    PermissionDeniedError: (1, 300, 600),
    NotFoundError: (1, 300, 600),
    BudgetExceededError: (1, 60, 120),
}
NEVER = [
    AbortedError,
    BadRequestError,
    ConfigurationError,
    ContentFilterError,
    ContextWindowExceededError,
    InvalidAnswerError,
]


class One:
    """A pool of one deployment, and a clock to turn."""

    def __init__(self, **settings: object) -> None:
        self.clock = Clock()
        self.pool = Pool([Deployment(Voice(), **settings)], clock=self.clock)

    def seat(self) -> Seat:
        seat = self.pool.take(request(), Call())
        assert isinstance(seat, Seat)
        return seat

    def fail(self, error: PolyvoxError) -> None:
        with self.seat() as seat:
            seat.failed(error)

    def answer(self) -> None:
        with self.seat() as seat:
            seat.answered()

    def rest(self) -> float:
        """How long it is left alone from now on."""
        seat = self.pool.take(request(), Call())
        if isinstance(seat, Busy):
            return seat.due - self.clock.now
        seat.__exit__(None, None, None)
        return 0

    @property
    def state(self) -> str:
        return self.pool.status()[0].state


@pytest.mark.parametrize("kind", TABLE)
def test_so_many_failures_of_a_kind_mean_a_rest(kind: type[PolyvoxError]):
    after, first, second = TABLE[kind]
    one = One()
    for _ in range(after):
        assert one.rest() == 0
        one.fail(kind("x"))
    assert (one.rest(), one.state) == (first, "cooling")
    one.clock.now += first
    one.fail(kind("x"))
    assert one.rest() == second


@pytest.mark.parametrize("kind", NEVER)
def test_a_request_at_fault_never_means_a_rest(kind: type[PolyvoxError]):
    one = One()
    for _ in range(50):
        one.fail(kind("x"))
    assert (one.rest(), one.state) == (0, "ready")


def test_every_kind_of_error_is_in_the_table_or_says_nothing_about_a_deployment():
    kinds = {
        cls.kind
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, PolyvoxError)
    }
    assert kinds - COOLDOWNS.keys() == {"aborted", "run_limit"}
    assert COOLDOWNS.keys() - kinds == {"out_of_quota"}


def test_an_answer_in_between_begins_the_count_anew():
    one = One()
    for _ in range(10):
        one.fail(ServerError("x"))
        one.fail(ServerError("x"))
        one.answer()
    assert one.state == "ready"


def test_what_retry_after_asks_for_is_kept_be_it_shorter_or_longer():
    for seconds in (0.5, 47.0):
        one = One()
        one.fail(RateLimitError("x", retry_after=seconds))
        assert one.rest() == seconds


def test_a_provider_that_always_asks_for_little_is_rested_longer_and_longer():
    one = One()
    rests: list[float] = []
    for _ in range(7):
        one.fail(RateLimitError("x", retry_after=1))
        rests.append(one.rest())
        one.clock.now += rests[-1]
    assert rests == [1, 10, 20, 40, 80, 120, 120]


def test_nothing_rests_for_ever():
    one = One()
    one.fail(RateLimitError("x", retry_after=1e12))
    assert one.rest() == 86_400
    breaker = Breaker(COOLDOWNS)
    for _ in range(5_000):
        breaker.failed(ServerError("x"), 0.0, probe=True)
    assert breaker.until == 300


def test_of_several_failures_at_once_the_longest_rest_counts_and_only_one_level():
    one = One()
    seats = [one.seat() for _ in range(3)]
    for seat, seconds in zip(seats, (30, 60, 2), strict=True):
        seat.failed(RateLimitError("x", retry_after=seconds))
        seat.__exit__(None, None, None)
    assert one.rest() == 60
    one.clock.now += 60
    one.fail(RateLimitError("x"))
    assert one.rest() == 10


def test_after_a_rest_a_single_call_tries_it_out():
    one = One()
    one.fail(RateLimitError("x"))
    one.clock.now += 5
    with one.seat() as probe:
        assert one.state == "trying"
        assert one.pool.take(request(), Call()) == Busy(float("inf"))
        probe.answered()
        with one.seat() as second, one.seat() as third:
            second.answered()
            third.answered()
    assert one.state == "ready"
    one.fail(RateLimitError("x"))
    assert one.rest() == 5, "all is forgotten"


@pytest.mark.parametrize("kind", [BadRequestError, ContextWindowExceededError, ContentFilterError])
def test_a_refusal_of_the_request_shows_that_it_works_again(kind: type[PolyvoxError]):
    one = One()
    one.fail(OverloadedError("x"))
    one.clock.now += 5
    one.fail(kind("x"))
    assert one.state == "ready"


@pytest.mark.parametrize("end", ["left", "aborted"])
def test_a_trial_that_says_nothing_is_followed_by_another(end: str):
    one = One()
    one.fail(OverloadedError("x"))
    one.clock.now += 5
    with one.seat() as seat:
        if end == "aborted":
            seat.failed(AbortedError("enough"))
    with one.seat():
        assert one.state == "trying"


def test_an_old_call_that_is_answered_late_does_not_end_a_rest():
    one = One()
    old = one.seat()
    one.fail(RateLimitError("x"))
    old.answered()
    old.__exit__(None, None, None)
    assert one.rest() == 5


def test_one_that_breaks_off_after_it_has_begun_is_rested_too():
    one = One()
    for _ in range(2):
        assert one.rest() == 0
        with one.seat() as seat:
            seat.answered()
            seat.failed(NetworkError("cut"))
    assert one.rest() == 5
    status = one.pool.status()[0]
    assert (status.answered, status.failed) == (2, 2)


def test_a_trial_that_breaks_off_leads_to_another_rest():
    one = One()
    for _ in range(2):
        one.fail(NetworkError("x"))
    one.clock.now += 5
    with one.seat() as probe:
        probe.answered()
        probe.failed(NetworkError("cut"))
    assert one.rest() == 5


def test_an_answer_in_between_makes_the_next_failure_the_first():
    one = One()
    one.fail(NetworkError("x"))
    one.answer()
    one.fail(NetworkError("x"))
    assert one.rest() == 0


def test_a_deployment_may_have_a_table_of_its_own():
    one = One(cooldowns={"server": Cooldown(1, 2, 3)})
    one.fail(ServerError("x"))
    assert one.rest() == 2
    one.clock.now += 2
    one.fail(ServerError("x"))
    assert one.rest() == 3


def test_a_call_that_was_interrupted_is_no_failure():
    one = One()
    one.fail(AbortedError("enough"))
    assert (one.pool.status()[0].asked, one.pool.status()[0].failed) == (1, 0)


def test_nobody_is_blamed_for_the_callers_own_deadline():
    one = One()
    for _ in range(5):
        seat = one.pool.take(request(), Call(deadline=1e-9))
        assert isinstance(seat, Seat)
        with seat:
            seat.failed(RequestTimeoutError("late"))
    assert one.state == "ready"


@pytest.mark.parametrize("well", [None, BadRequestError("at fault")])
def test_the_log_is_told_once_that_one_rests_and_once_that_it_answers_again(
    caplog: pytest.LogCaptureFixture, well: PolyvoxError | None
):
    one = One(name="east")
    one.fail(OverloadedError("full of what was asked", status=503))
    one.clock.now += 5
    one.fail(OverloadedError("full"))
    assert one.pool.status()[0].rests
    one.clock.now += 10
    if well is None:
        one.answer()
    else:
        one.fail(well)
    one.answer()
    assert not one.pool.status()[0].rests
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "east (test/voice) is not asked for 5 s: overloaded (503)"),
        ("WARNING", "east (test/voice) answers again"),
    ]


def test_a_program_without_a_log_finds_nothing_of_it_among_its_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(logging.getLogger("polyvox"), "propagate", False)
    One().fail(OverloadedError("full"))
    assert capfd.readouterr() == ("", "")
