"""Whoever writes a template, and whatever they write: it reaches nothing but its variables."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.running import Running
from gateway.security.wire import Told, ask

CANARY = "canaryTEMPLATE55aa66bb77cc88dd"
REACHING_OUT = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''|attr('__class__') }}",
    "{{ [x]|map(attribute='__class__')|list }}",
    "{{ x.items.__func__.__globals__ }}",
    "{{ lipsum.__globals__['os'].environ }}",
    "{{ cycler.__init__.__globals__.os.popen('touch %s').read() }}",
    "{{ self.__init__.__globals__.__builtins__.open('%s', 'w') }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(x) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.environ }}",
    "{% for i in range(999999999) %}{% endfor %}",
    "{{ 'a' * 999999999 }}",
]


@pytest.fixture(scope="module")
def gateway(running_here: Callable[..., Running]) -> Running:
    return running_here(environ={"LAB_CANARY": CANARY})


@pytest.mark.parametrize("text", REACHING_OUT)
def test_a_template_that_reaches_out_is_refused_wherever_it_is_used(
    gateway: Running, tmp_path: Path, text: str
) -> None:
    made = tmp_path / "made"
    text = text.replace("%s", str(made))

    def post(path: str, body: object) -> Told:
        return ask(gateway.url, "POST", path, body, key=gateway.key)

    told = [post("/v1/prompts/evil/versions", {"messages": [{"role": "user", "text": text}]})]
    assert told[0].status in (201, 400), told
    if told[0].status == 201:
        wish = {"prompt": {"name": "evil", "variables": {"x": {"a": 1}}}}
        body = {"model": "simulated/echo", "messages": [], "polyvox": wish}
        told.append(post("/v1/prompts/evil/render", {"variables": {"x": {"a": 1}}}))
        told.append(post("/v1/chat/completions", body))
        assert [each.status for each in told[1:]] == [400, 400], told
    said = b"".join(each.body for each in told)
    assert CANARY.encode() not in said
    assert b"root:" not in said
    assert not made.exists()
    assert ask(gateway.url, "GET", "/health").json["status"] == "ok"
