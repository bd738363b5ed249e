"""What looks at all of a long request does so in a thread, so that others are answered meanwhile."""

import threading
from collections.abc import AsyncGenerator

from polyvox import AsyncClient, estimate, verbatim
from polyvox.assembly import unfold
from polyvox.events import Event
from polyvox.gateway.tenants.access import Access, Level
from polyvox.limits import RateLimit
from polyvox.messages import assistant
from polyvox.model import Call
from polyvox.quote import worst_usage
from polyvox.request import Request
from polyvox.usage import Usage

CHAT = "/v1/chat/completions"
PLENTY = Level("key:key_1", rates=(RateLimit(tokens=1_000_000, per="minute"),))


class Noting:
    """A model that notes in which thread it is asked for a quote, and of how many tokens."""

    name = "noting"

    def __init__(self) -> None:
        self.quoted: list[tuple[int, int]] = []

    def quote(self, request: Request) -> Usage:
        self.quoted.append((threading.get_ident(), estimate.request_tokens(request)))
        return worst_usage(request, 10)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        for event in unfold(assistant("Yes.")):
            yield event


async def test_a_long_one_is_quoted_in_a_thread_and_a_short_one_at_once(serve, monkeypatch) -> None:
    monkeypatch.setattr(verbatim, "LONG", 1_000)
    model = Noting()
    async with AsyncClient() as client, serve(client) as gateway:
        gateway.asking.models.add(model.name, model)
        gateway.keys.known["good"] = Access(key="key_1", levels=(PLENTY,))
        for text in ("Why?", "Why?" * 250):
            messages = [{"role": "user", "content": text}]
            status, _ = await gateway.post(CHAT, {"model": model.name, "messages": messages})
            assert status == 200
    (here, few), (elsewhere, many) = model.quoted
    assert here == threading.get_ident() != elsewhere
    assert many > few + 200
