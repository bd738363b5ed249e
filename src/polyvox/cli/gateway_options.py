"""Which gateway a command asks, and with which key."""

from collections.abc import Callable

import click
import msgspec

from polyvox.cli.options import debug_option

__all__ = ["GatewayOptions", "gateway_options"]

DEFAULT_URL = "http://127.0.0.1:8700"


class GatewayOptions(msgspec.Struct, kw_only=True):
    """What every command was told that asks a gateway."""

    url: str = DEFAULT_URL
    key: str = ""
    as_json: bool = False


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
