"""Proxies that the configuration names are believed, and nobody else."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.running import Running
from gateway.security.wire import ask
from gateway.whole.rig import until
from polyvox.gateway.web.proxies import behind

FAR = "Ya7Hc2Kp9Wd4Rt6Zn1Qx8Lm3Vb5Jf0Gs"
INSIDE = ["10.0.0.0/8", "::1", "127.0.0.1"]


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("6.6.6.6, 8.8.8.8", "8.8.8.8"),
        ("6.6.6.6, 8.8.8.8,10.1.1.1 , 10.0.0.2", "8.8.8.8"),
        ("10.1.1.1, 10.0.0.2", "10.1.1.1"),
        ("6.6.6.6, nonsense", "nonsense"),
        ("10.1.1.1,", ""),
        ("8.8.8.8:4711, 10.0.0.2:80", "8.8.8.8"),
        ("2001:db8::1, [::1]:80", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:8.8.8.8, ::ffff:10.0.0.1", "::ffff:8.8.8.8"),
    ],
)
def test_who_asked_is_the_last_that_no_proxy_of_ours_is(told: str, asked: str):
    assert behind(told, INSIDE) == asked


@given(st.text(), st.sampled_from(["8.8.8.8", "2001:db8::1"]))
def test_whatever_a_caller_writes_before_it_a_proxy_of_ours_has_the_last_word(
    lie: str, address: str
):
    assert behind(f"{lie}, {address}", INSIDE) == address
    assert behind(f"{lie}, {address}, 10.0.0.1", INSIDE) == address


def config(proxies: str, server: str) -> str:
    return f"""
[gateway]
server = "{server}"
{proxies}
[gateway.keys.far]
key = "{FAR}"
addresses = ["192.0.2.0/24"]
"""


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
@pytest.mark.parametrize(
    ("proxies", "told", "status"),
    [
        ("", "192.0.2.7", 403),
        ('proxies = ["10.0.0.0/8"]', "192.0.2.7", 403),
        ('proxies = ["127.0.0.0/8"]', "192.0.2.7", 200),
        ('proxies = ["127.0.0.0/8"]', "192.0.2.7, 203.0.113.9", 403),
        ('proxies = ["127.0.0.0/8"]', "nonsense", 403),
    ],
)
async def test_the_addresses_of_a_key_are_those_that_a_named_proxy_tells(
    running: Callable[..., Running], server: str, proxies: str, told: str, status: int
):
    gateway = running(config(proxies, server))
    headers = {"x-forwarded-for": told, "x-request-id": "trace-1"}
    assert ask(gateway.url, "GET", "/v1/models", key=FAR, headers=headers).status == status

    async def logged() -> list[str]:
        said = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
        return [line["client"] for line in said if line.get("id") == "trace-1"]

    (client,) = await until(logged)
    assert client == (behind(told, []) if "127" in proxies else "127.0.0.1")
