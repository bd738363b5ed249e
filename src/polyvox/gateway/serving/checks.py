"""What must be right before a gateway is started: what is missing, and what would be dangerous."""

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

from polyvox.config import Config
from polyvox.errors import ConfigurationError
from polyvox.gateway.serving.listening import is_loopback

__all__ = ["check_config", "check_packages", "check_public", "check_sharing", "refusals"]

_PACKAGES = ("starlette", "sqlalchemy", "alembic", "jinja2", "cryptography", "prometheus_client")


def check_packages() -> None:
    """Raises ``ConfigurationError`` if the extra ``gateway`` isn't there whole."""
    for name in _PACKAGES:
        if find_spec(name) is None:
            raise ConfigurationError(
                f"the gateway needs {name}, which is not installed",
                hint="pip install 'polyvox[gateway]'",
            )


def check_config(config: Config) -> None:
    """Raises ``ConfigurationError`` for the first thing that a gateway can't be started with."""
    for error in refusals(config):
        raise error


def refusals(config: Config) -> Iterator[ConfigurationError]:
    """What a gateway can't be started with, as far as its configuration tells."""
    from polyvox.gateway.database.engine import Database
    from polyvox.gateway.tenants.entries import Homes, configured_entries
    from polyvox.gateway.tenants.keys import check_strength
    from polyvox.gateway.tenants.rows import Rows

    section = config.gateway
    checks: list[Callable[[], object]] = [
        partial(check_sharing, config, section.workers),
        partial(configured_entries, section.keys, section.admin_key, Homes(Rows())),
    ]
    if section.secret is not None:
        checks.append(partial(check_strength, section.secret.reveal(), "[gateway] secret"))
    if section.database is not None:
        checks.append(partial(Database, section.database))
    for check in checks:
        try:
            check()
        except ConfigurationError as error:
            yield error


def check_public(config: Config, host: str, *, has_made_key: bool) -> None:
    """Raises ``ConfigurationError`` where others could reach a gateway that has no key yet.

    A key that is made now is printed into some log that nobody reads, while anybody may come.
    """
    if is_loopback(host) or config.gateway.admin_key is not None or has_made_key:
        return
    raise ConfigurationError(
        f"the gateway would listen at {host}, where others reach it, without an administrator's key",
        hint="Set POLYVOX_GATEWAY__ADMIN_KEY to the output of 'openssl rand -hex 32', or say"
        ' admin_key = "${...}" in [gateway]; --host 127.0.0.1 is for this machine alone.',
    )


def check_sharing(config: Config, workers: int) -> None:
    """Raises ``ConfigurationError`` where each worker would count a budget for itself alone."""
    shared = config.accounts is not None and config.accounts.kind == "redis"
    limited = sorted(
        [f"[budgets.{name}]" for name in config.budgets]
        + [f"[limits.{name}]" for name in config.limits]
        + [
            f"[gateway.keys.{name}]"
            for name, key in config.gateway.keys.items()
            if key.budget or key.limit
        ]
    )
    if workers > 1 and limited and not shared:
        raise ConfigurationError(
            f"with {workers} workers each would count {limited[0]} for itself alone",
            hint='Let them count in Redis: [accounts] kind = "redis"; or say workers = 1.',
        )
