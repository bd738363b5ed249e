"""Which transport runs, and who is told why."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import polyvox
from polyvox.errors import ConfigurationError
from polyvox.transport import AiohttpTransport
from polyvox.transport.choice import VARIABLE, choose_transport, default_transport

WHEEL = "polyvox_native"


class Unloadable:
    """Finds the wheel, which is then one of another system."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == WHEEL:
            raise ImportError("wrong ELF class")


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a wheel in place of the installed one, with these names in it; with None there is none."""

    def put(**names: object) -> None:
        found = ModuleType(WHEEL)
        vars(found).update(names)
        monkeypatch.setitem(sys.modules, WHEEL, found)

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, WHEEL, None)
    return put


def test_without_the_wheel_aiohttp_runs_and_the_wheel_is_named(wheel: Callable[..., None]):
    choice = choose_transport()
    assert (choice.name, choice.why) == ("aiohttp", "polyvox-native is not installed")
    assert "pip install polyvox-native" in choice.missing
    assert "make native" in choice.missing


@pytest.mark.parametrize("said", ["", "  ", "auto"])
def test_with_the_wheel_it_runs(
    wheel: Callable[..., None], monkeypatch: pytest.MonkeyPatch, said: str
):
    wheel(Client=object, __version__="7.8.9")
    monkeypatch.setenv(VARIABLE, said)
    assert choose_transport() == ("native", "polyvox-native 7.8.9 is installed", "")
    assert choose_transport("auto") == choose_transport()


def test_the_variable_takes_the_wheel_out_of_use(
    wheel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    wheel(Client=object)
    monkeypatch.setenv(VARIABLE, "aiohttp")
    assert choose_transport() == ("aiohttp", "POLYVOX_TRANSPORT says 'aiohttp'", "")
    assert isinstance(default_transport(), AiohttpTransport)


def test_what_the_program_says_stands_above_the_variable(
    wheel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    wheel(Client=object)
    monkeypatch.setenv(VARIABLE, "aiohttp")
    assert choose_transport("native") == ("native", "transport='native' was asked for", "")


def test_a_wheel_that_is_too_old_is_not_used(wheel: Callable[..., None]):
    wheel(__version__="0.0.1")
    assert choose_transport()[:2] == ("aiohttp", "the polyvox-native installed here is too old")


def test_a_wheel_that_cannot_be_loaded_is_not_used_and_says_why(
    wheel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(sys.modules, WHEEL)
    monkeypatch.setattr(sys, "meta_path", [Unloadable(), *sys.meta_path])
    assert choose_transport()[:2] == ("aiohttp", "polyvox-native can't be loaded: wrong ELF class")


@pytest.mark.parametrize("asked", [None, "native"])
def test_native_without_the_wheel_is_an_error_that_says_how_to_get_it(
    wheel: Callable[..., None], monkeypatch: pytest.MonkeyPatch, asked: str | None
):
    monkeypatch.setenv(VARIABLE, "native")
    with pytest.raises(ConfigurationError, match="polyvox-native is not installed") as caught:
        default_transport(asked)
    assert "pip install polyvox-native" in str(caught.value)
    assert "make native" in str(caught.value)


def test_on_windows_aiohttp_runs_and_who_asks_for_native_is_told_why(
    wheel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    wheel(Client=object)
    monkeypatch.setattr("polyvox.transport.choice.sys", SimpleNamespace(platform="win32"))
    choice = choose_transport()
    assert (choice.name, choice.missing) == ("aiohttp", "")
    assert "Windows' event loop can't watch" in choice.why
    with pytest.raises(ConfigurationError, match="Windows' event loop can't watch") as caught:
        choose_transport("native")
    assert "auto or aiohttp" in str(caught.value)


def test_a_name_that_is_none_is_an_error_that_names_all(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "natve")
    with pytest.raises(ConfigurationError, match="POLYVOX_TRANSPORT says 'natve'") as caught:
        choose_transport()
    assert "did you mean 'native'?" in caught.value.text
    assert "auto, aiohttp or native" in str(caught.value)
    with pytest.raises(ConfigurationError, match="transport='requests'"):
        choose_transport("requests")


async def test_a_client_takes_the_name_and_closes_what_it_made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "nonsense")
    async with polyvox.AsyncClient(transport="aiohttp") as client:
        transport = client.registry.transport
        assert isinstance(transport, AiohttpTransport)
    with pytest.raises(RuntimeError, match="closed"):
        await transport.send(polyvox.http.HttpRequest("GET", "http://127.0.0.1:9", {}))


def test_both_clients_heed_the_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "nonsense")
    for make in (polyvox.Client, polyvox.AsyncClient):
        with pytest.raises(ConfigurationError, match="POLYVOX_TRANSPORT says 'nonsense'"):
            make()


def test_a_transport_from_outside_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "nonsense")
    own: Any = SimpleNamespace(send=None)
    assert polyvox.AsyncClient(transport=own).registry.transport is own


def test_native_runs_where_its_wheel_is(monkeypatch: pytest.MonkeyPatch):
    if not hasattr(pytest.importorskip(WHEEL), "Client"):
        pytest.skip("the wheel installed here is too old")
    monkeypatch.delenv(VARIABLE, raising=False)
    from polyvox.transport.native import NativeTransport

    assert isinstance(default_transport(), NativeTransport)
    assert isinstance(polyvox.AsyncClient().registry.transport, NativeTransport)
