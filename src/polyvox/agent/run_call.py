"""What a run asks through: its books, its interrupt, and when it must be over."""

import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, cast

from polyvox.agent.limits import RunLimits
from polyvox.client.settings import CallSettings, make_call
from polyvox.model import Call, Interrupt

if TYPE_CHECKING:
    from polyvox.agent.agent import RunSettings

__all__ = ["call_of"]

_CALL_SETTINGS = ("tenant", "tags", "fallbacks", "caching")


def call_of(settings: "RunSettings", limits: RunLimits) -> Call:
    """The call of a run with these settings: a child of the one that it is part of, or its own."""
    around = settings.get("call")
    if around is not None:
        call = around.child()
    else:
        named = {key: value for key, value in settings.items() if key in _CALL_SETTINGS}
        call = make_call(cast("CallSettings", named))
        kept = settings.get("session")
        call.session = kept if isinstance(kept, str) or kept is None else kept.id
    own = Interrupt()
    for outside in (call.interrupt, settings.get("interrupt")):
        if outside is not None:
            forget = outside.listen(partial(_passed_on, outside, weakref.ref(own)))
            weakref.finalize(own, forget)  # it may be there for many runs
    call.interrupt = own
    if limits.seconds is not None:
        deadline = time.monotonic() + limits.seconds
        call.deadline = deadline if call.deadline is None else min(deadline, call.deadline)
    return call


def _passed_on(outside: Interrupt, inside: weakref.ref[Interrupt]) -> None:
    own = inside()
    if own is not None:
        own.set(outside.reason or "interrupted by the caller")
