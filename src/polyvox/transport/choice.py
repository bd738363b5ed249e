"""Which transport runs: the one in Rust where its wheel is installed, else aiohttp's."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

from polyvox.errors import ConfigurationError
from polyvox.suggestions import did_you_mean

if TYPE_CHECKING:
    from polyvox.transport.aiohttp_transport import AiohttpTransport
    from polyvox.transport.native import NativeTransport

__all__ = ["VARIABLE", "Choice", "TransportName", "choose_transport", "default_transport"]

TransportName: TypeAlias = Literal["auto", "aiohttp", "native"]
"""``auto`` is ``native`` where the wheel is installed and can run, else ``aiohttp``."""

VARIABLE = "POLYVOX_TRANSPORT"

_WHEEL = "polyvox_native"
_GET_IT = "pip install polyvox-native, or 'make native' in a checkout"
_WINDOWS = "Windows' event loop can't watch what polyvox-native has it watch"


class Choice(NamedTuple):
    """Who runs, and why; ``missing`` is what to do for the native one, where that is not there."""

    name: Literal["aiohttp", "native"]
    why: str
    missing: str = ""


def default_transport(asked: str | None = None) -> "AiohttpTransport | NativeTransport":
    """A new transport: the one that was asked for, else the one that POLYVOX_TRANSPORT names.

    Raises ``ConfigurationError`` as ``choose_transport`` does.
    """
    if choose_transport(asked).name == "native":
        from polyvox.transport.native import NativeTransport

        return NativeTransport()
    from polyvox.transport.aiohttp_transport import AiohttpTransport

    return AiohttpTransport()


def choose_transport(asked: str | None = None) -> Choice:
    """Who runs when one is asked for by name; without a name POLYVOX_TRANSPORT says it.

    Raises ``ConfigurationError`` for a name that is none, and for "native" without its wheel or on
    Windows, where it can't run.

    >>> choose_transport("aiohttp")
    Choice(name='aiohttp', why="transport='aiohttp' was asked for", missing='')
    """
    name, why = _asked_for(asked)
    known: tuple[str, ...] = get_args(TransportName)
    if name not in known:
        raise ConfigurationError(
            f"{why}, which is no transport{did_you_mean(name, known, '')}",
            hint="Say auto, aiohttp or native; auto is native where polyvox-native is installed.",
        )
    if name == "aiohttp":
        return Choice("aiohttp", why)
    if sys.platform == "win32":
        return _not_on_windows(name, why)
    lacking = _what_the_wheel_lacks()
    if not lacking:
        version = getattr(import_module(_WHEEL), "__version__", "")
        installed = f"polyvox-native {version} is installed"
        return Choice("native", installed if name == "auto" else why)
    if name == "native":
        raise ConfigurationError(f"{why}, but {lacking}", hint=f"Get it: {_GET_IT}.")
    return Choice("aiohttp", lacking, _GET_IT)


def _not_on_windows(name: str, why: str) -> Choice:
    """Its readers of streams run there all the same."""
    if name == "native":
        raise ConfigurationError(f"{why}, but {_WINDOWS}", hint="Say auto or aiohttp.")
    return Choice("aiohttp", _WINDOWS)


def _asked_for(asked: str | None) -> tuple[str, str]:
    """The name, and who says it; nobody, if it is the default."""
    if asked is not None:
        return asked, f"transport={asked!r} was asked for"
    name = os.environ.get(VARIABLE, "").strip()
    return (name, f"{VARIABLE} says {name!r}") if name else ("auto", "")


def _what_the_wheel_lacks() -> str:
    """Why the native transport can't run; nothing if it can."""
    try:
        wheel = import_module(_WHEEL)
    except ModuleNotFoundError:
        return "polyvox-native is not installed"
    except ImportError as error:  # made for another system, or another Python
        return f"polyvox-native can't be loaded: {error}"
    return "" if hasattr(wheel, "Client") else "the polyvox-native installed here is too old"
