"""A call that says nothing reserves the most its model can say; who has no room for that is told so."""

from polyvox import AsyncClient
from polyvox.gateway.tenants.access import Access, Level
from polyvox.limits import RateLimit


async def test_a_key_without_room_for_the_whole_output_is_told_to_give_max_tokens(serve) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        rates = (RateLimit(tokens=1_000, per="day", name="few"),)
        gateway.keys.known["few"] = Access(key="k", levels=(Level("key:k", (), rates, False),))
        hello = {"model": "simulated/echo", "messages": [{"role": "user", "content": "Hi"}]}
        path = "/v1/chat/completions"
        assert (await gateway.post(path, hello, key="few"))[0] == 200
        status, body = await gateway.post(path, hello, key="few")
        assert status == 429
        assert "max_tokens reserves less" in body["error"]["message"]
        assert (await gateway.post(path, {**hello, "max_tokens": 5}, key="few"))[0] == 200
