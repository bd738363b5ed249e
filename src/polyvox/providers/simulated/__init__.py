"""Simulated models: they need no network and no key, and say the same for the same seed.

    simulated/echo      repeats the user's last text
    simulated/lorem     writes text of any length at any speed
    simulated/tools     calls the tools it is offered
    simulated/scripted  plays a script
    simulated/a, b, c   compute answers to small questions, and err on 3 in 10: a panel

    simulated/embedding turns texts into vectors

They are asked like any other model, take their options in ``Request.options["simulated"]``, report
their usage by the rule of ``polyvox.providers.simulated.tokens``, and cost nothing, unless they are told
to ``pretend``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from polyvox.embedding import Embedder
from polyvox.errors import ConfigurationError
from polyvox.model import Model

if TYPE_CHECKING:
    from polyvox.catalog import ModelFacts
    from polyvox.providers.simulated.script import Script as Script
    from polyvox.providers.simulated.script import Turn as Turn
    from polyvox.providers.simulated.script import load_script as load_script
    from polyvox.providers.simulated.scripted import ScriptedModel as ScriptedModel
    from polyvox.providers.simulated.stage import Options, SimulatedModel

__all__ = [
    "SIMULATED",
    "Script",
    "ScriptedModel",
    "Turn",
    "load_script",
    "simulated_embedder",
    "simulated_model",
]

SIMULATED = {
    "simulated/echo": "repeats your last message",
    "simulated/lorem": "writes Latin-looking text of any length, at any speed",
    "simulated/tools": "calls the tools it is offered, and answers with their results",
    "simulated/scripted": "plays the script given with the request",
    "simulated/a": "computes small sums and puzzles, and errs on 3 in 10: one of a panel",
    "simulated/b": "the same, erring on others",
    "simulated/c": "the same, erring on others again",
}
"""Every simulated model by name, with what it does."""

EMBEDDER = "simulated/embedding"

_CLASSES: dict[str, tuple[str, ...]] = {
    "simulated/echo": ("echo", "Echo"),
    "simulated/lorem": ("lorem", "Lorem"),
    "simulated/tools": ("tools", "Tools"),
    "simulated/scripted": ("scripted", "ScriptedModel"),
    **{f"simulated/{letter}": ("panel", "Panelist", letter) for letter in "abc"},
}
_HOMES = {
    "Script": "script",
    "Turn": "script",
    "load_script": "script",
    "ScriptedModel": "scripted",
}


def simulated_model(name: str, facts: "ModelFacts | None" = None) -> Model:
    """The simulated model of that name, such as "simulated/echo" or just "echo".

    With ``facts`` it pretends to cost what they say.

    Raises ``ConfigurationError`` naming the nearest when there is none.

    >>> simulated_model("echo").name
    'simulated/echo'
    """
    full = name if name.startswith("simulated/") else f"simulated/{name}"
    if full == EMBEDDER:
        hint = "Give it texts with embed(), or 'polyvox embed'."
        raise ConfigurationError(f"{EMBEDDER} only turns texts into vectors", hint=hint)
    if full not in _CLASSES:
        from polyvox.suggestions import hint_for

        hint = f"{hint_for(full, SIMULATED, '')} There are {', '.join(SIMULATED)}.".lstrip()
        raise ConfigurationError(f"there is no model {full!r}", hint=hint)
    module, kind, *given = _CLASSES[full]
    model: SimulatedModel[Options] = getattr(import_module(f"{__name__}.{module}"), kind)(*given)
    if facts is not None:
        model.pretend(facts)
    return model


def simulated_embedder(name: str) -> Embedder:
    """The simulated embedding model; there is one. Raises ``ConfigurationError`` for another name."""
    if name != EMBEDDER:
        raise ConfigurationError(f"{name!r} has no embeddings", hint=f"Ask {EMBEDDER}.")
    from polyvox.providers.simulated.embedding import HashedWords

    return HashedWords()


def __getattr__(name: str) -> object:
    # These are read on first use, so that knowing the models' names costs nothing.
    if name in _HOMES:
        value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
