"""Which gateway a command asks, and with which key."""

from collections.abc import Callable

import click
import msgspec

from polyvox.cli.options import debug_option

__all__ = ["GatewayOptions", "LimitOptions", "gateway_options", "limit_options"]

DEFAULT_URL = "http://127.0.0.1:8700"


class GatewayOptions(msgspec.Struct, kw_only=True):
    """What every command was told that asks a gateway."""

    url: str = DEFAULT_URL
    key: str = ""
    as_json: bool = False


class LimitOptions(GatewayOptions, kw_only=True):
    """What was said of limits. What is None or empty was not said."""

    budgets: tuple[str, ...]
    requests: tuple[str, ...]
    tokens: tuple[str, ...]
    shadow: bool | None
    blocked: bool | None


_OPTIONS = (
    click.option(
        "--url",
        metavar="URL",
        envvar="POLYVOX_GATEWAY_URL",
        default=DEFAULT_URL,
        show_default=True,
        help="Where the gateway is; else POLYVOX_GATEWAY_URL.",
    ),
    click.option(
        "--key",
        metavar="KEY",
        envvar="POLYVOX_GATEWAY_KEY",
        default="",
        help="The key; better as POLYVOX_GATEWAY_KEY: others see command lines.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    debug_option,
)


def gateway_options(command: Callable[..., object]) -> Callable[..., object]:
    """Adds ``--url``, ``--key``, ``--json`` and ``--debug``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_LIMITS = (
    click.option(
        "--budget",
        "budgets",
        metavar="AMOUNT[/PER]",
        multiple=True,
        help="'$10/day': hour, day, week, month; else in total. 'none/day' ends it. May be repeated.",
    ),
    click.option(
        "--requests", metavar="N/PER", multiple=True, help="60/minute; 'none/minute' ends it."
    ),
    click.option(
        "--tokens", metavar="N/PER", multiple=True, help="100000/minute; 'none/minute' ends it."
    ),
    click.option(
        "--shadow/--no-shadow",
        default=None,
        help="Count against the limits, but block nothing.",
    ),
    click.option(
        "--block/--unblock", "blocked", default=None, help="Refuse all calls, until --unblock."
    ),
)


def limit_options(command: Callable[..., object]) -> Callable[..., object]:
    """Adds ``--budget``, ``--requests``, ``--tokens``, ``--shadow`` and ``--block``."""
    for option in reversed(_LIMITS):
        command = option(command)
    return command
