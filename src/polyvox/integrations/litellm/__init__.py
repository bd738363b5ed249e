"""Composites inside LiteLLM: ``litellm.completion(model="composite/moa/openai/gpt-5-mini", ...)``.

    register    tells LiteLLM of them; LiteLLM's proxy is told by its own config.yaml:
                ``custom_handler: polyvox.integrations.litellm.handler``
    custom_llm  the ``litellm.CustomLLM``: whole and streamed answers, with ``await`` and without
    parameters  what a call of LiteLLM says, sorted, and as a request
    wanted      the composite that it asks
    members     who is asked, with keys and addresses that hold for one call
    answers     replies as LiteLLM's own objects
    failures    our errors as LiteLLM's exceptions

Belongs here: the way from LiteLLM to a composite and back.
Does not belong here: models that LiteLLM reaches for us, which are ``litellm/...`` of ``providers``.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyvox.providers.litellm import load

if TYPE_CHECKING:
    from polyvox.client import AsyncClient, Client
    from polyvox.integrations.litellm.custom_llm import CompositeLLM

__all__ = ["handler", "register"]

_PROVIDER = "composite"


def register(
    *, config: str | Path | None = None, client: "AsyncClient | Client | None" = None
) -> "CompositeLLM":
    """Make ``composite/...`` names of LiteLLM's functions; calling it again changes nothing more.

    Args:
        config: the path of a ``polyvox.toml``; without one it is found as the command line finds it.
        client: who makes models of names, in place of one that is made of the configuration when it is
            first needed. It is not closed here.

    A second call takes the place of the first when it names another configuration or client. Raises
    ``ConfigurationError`` when LiteLLM is not installed.
    """
    litellm: Any = load()
    from polyvox.integrations.litellm.custom_llm import CompositeLLM

    entries: list[dict[str, Any]] = litellm.custom_provider_map
    places = [place for place, each in enumerate(entries) if each["provider"] == _PROVIDER]
    known = entries[places[-1]]["custom_handler"] if places else None
    if isinstance(known, CompositeLLM) and known.is_made_of(config, client):
        litellm.utils.custom_llm_setup()
        return known
    made = CompositeLLM(config=config, client=client)
    for place in reversed(places):
        del entries[place]
    entries.append({"provider": _PROVIDER, "custom_handler": made})
    litellm.utils.custom_llm_setup()
    return made


@cache
def _of_the_proxy() -> "CompositeLLM":
    load()
    from polyvox.integrations.litellm.custom_llm import CompositeLLM

    return CompositeLLM()


if TYPE_CHECKING:
    handler: CompositeLLM
    """What LiteLLM's proxy is given; its configuration is found as the command line finds it."""
else:

    def __getattr__(name: str) -> Any:
        if name == "handler":
            return _of_the_proxy()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
