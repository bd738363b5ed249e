"""Several keys of one provider: when one is refused or used up, the next one's turn comes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from msgspec.structs import replace

from polyvox.errors import ConfigurationError
from polyvox.routing.deployment import Deployment, DeploymentSettings
from polyvox.secret import Secret

if TYPE_CHECKING:
    from polyvox.providers import Registry

__all__ = ["key_pool"]


def key_pool(
    registry: "Registry",
    model: str,
    keys: Sequence[str | Secret],
    **settings: Unpack[DeploymentSettings],
) -> list[Deployment]:
    """A deployment of the model for each key, for a ``Router``.

    ``registry`` is a client's ``registry``; ``settings`` are those of ``Deployment`` and hold for each
    key on its own. The deployments are called "openai/gpt-5-mini#1" and so on: a key shows nowhere.

        Router(key_pool(client.registry, "openai/gpt-5-mini", ["sk-...", "sk-..."], rpm=500))

    Raises ``ConfigurationError`` for an unknown provider, or without a key.
    """
    provider, _, name = model.partition("/")
    if not keys or isinstance(keys, str):
        raise ConfigurationError(
            f"a key pool for {model!r} takes a list of keys", hint='Give keys=["sk-...", "sk-..."].'
        )
    label = settings.get("name", model)
    secrets = [key if isinstance(key, Secret) else Secret(key) for key in keys]
    pool = [
        Deployment(registry.provider_model(provider, name, key=key), **settings) for key in secrets
    ]
    return [replace(each, name=f"{label}#{number}") for number, each in enumerate(pool, start=1)]
