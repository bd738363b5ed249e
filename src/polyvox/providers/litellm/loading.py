"""LiteLLM itself, imported late: that takes seconds and some 150 MB."""

import asyncio
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from polyvox.errors import ConfigurationError

_MISSING_HINT = "Install it with: pip install 'polyvox[litellm]'"


def check_installed() -> None:
    """Raises ``ConfigurationError`` when LiteLLM is not there; imports nothing."""
    if "litellm" not in sys.modules and find_spec("litellm") is None:
        raise ConfigurationError(
            "litellm/ models need LiteLLM, which is not installed", hint=_MISSING_HINT
        )


def load() -> ModuleType:
    """The module. Unless the environment says otherwise, it takes the prices it was shipped with
    instead of fetching a list from the network while it is imported.

    Raises ``ConfigurationError`` when it, or a package it needs, can't be imported.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        return import_module("litellm")
    except ImportError as error:
        raise ConfigurationError(
            f"LiteLLM can't be imported: {error}", hint=_MISSING_HINT
        ) from error


async def loaded() -> ModuleType:
    """LiteLLM. Importing it takes seconds, during which other tasks go on."""
    return load() if "litellm" in sys.modules else await asyncio.to_thread(load)
