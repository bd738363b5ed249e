"""The client of a command: it knows what the configuration says, where there is one."""

from collections.abc import Mapping
from pathlib import Path

from polyvox.client import AsyncClient
from polyvox.config.finding import is_configured
from polyvox.errors import ConfigurationError

__all__ = ["configured_client", "hint_at_composite", "logs_here", "provider_of"]


def configured_client(
    config: Path | None = None, providers: Mapping[str, dict[str, object]] | None = None
) -> AsyncClient:
    """A client with this configuration, or the one that is found, or none; and with these providers.

    Raises ``ConfigurationError`` if something is wrong with it.
    """
    if config is None and not is_configured():
        return AsyncClient(providers=providers)
    return AsyncClient.from_config(config, providers=providers)


def hint_at_composite(client: AsyncClient, name: str, error: ConfigurationError) -> None:
    """Let the error say which composite is meant by a name without its beginning, if one is."""
    from polyvox.composite.names import composite_meant  # only whoever mistypes pays for it

    meant = composite_meant(name, client.setup.config.profiles if client.setup else None)
    if meant and meant not in error.text:
        error.hint = f"Did you mean {meant!r}?"


def logs_here(client: AsyncClient, *, wanted: bool) -> bool:
    """Whether the command writes the call down itself: not if the configuration has a log.

    When no log is ``wanted``, that one is left out too. To be asked before the first model is.
    """
    setup = client.setup
    if setup is None or setup.config.log is None:
        return wanted
    if not wanted:
        setup.log = None
    return False


def provider_of(client: AsyncClient, name: str) -> str:
    """The provider that is asked under this name, whose own fields may so be given.

    Raises ``ConfigurationError`` for what asks several: nobody knows whose the fields would be.
    """
    from polyvox.config.names import targets_of
    from polyvox.config.schema import Config  # seldom needed: only for fields of the vendor's own

    names = targets_of(client.setup.config if client.setup else Config(), name)
    providers = sorted({target.partition("/")[0] for target in names})
    if len(providers) != 1:
        raise ConfigurationError(
            f"{name!r} asks models of {', '.join(providers)}: an option would go to all of them",
            hint="Name one of them; or say it in the configuration: [templates.NAME.options.PROVIDER].",
        )
    return providers[0]
