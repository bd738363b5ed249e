"""Configuration: one strict TOML file becomes the models it describes.

    client = polyvox.Client.from_config()     # finds polyvox.toml
    config = load_config("polyvox.toml")      # values, all checked
    setup = Setup(config, registry)           # name -> model, with everything around it

A file goes through these steps: ``finding`` (where it is), ``source`` (its tables, and on which line
each key stands, by ``positions``), ``overrides`` (environment variables), ``reading`` (values of the
``schema``, references by ``references``), ``checking`` (what one part says about another), ``setup``.

Belongs here: what may be said in the file, what is wrong with it, and building what it describes.
Does not belong here: any policy of its own (that stands in the rooms below), and the command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyvox.config.finding import find_config as find_config
    from polyvox.config.loading import Loaded as Loaded
    from polyvox.config.loading import examine as examine
    from polyvox.config.loading import load_config as load_config
    from polyvox.config.problems import Problem as Problem
    from polyvox.config.schema import Config as Config
    from polyvox.config.setup import Setup as Setup
    from polyvox.config.templated import Templated as Templated

_HOMES = {
    "Config": "schema",
    "Loaded": "loading",
    "Problem": "problems",
    "Setup": "setup",
    "Templated": "templated",
    "examine": "loading",
    "find_config": "finding",
    "load_config": "loading",
}

__all__ = [
    "Config",
    "Loaded",
    "Problem",
    "Setup",
    "Templated",
    "examine",
    "find_config",
    "load_config",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
