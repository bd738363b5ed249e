"""The snapshot file: a header, then per provider one line for each model.

``tools/make_catalog.py`` writes it. Only the header is decoded at once; a provider's models are
decoded when the provider is first asked for.
"""

import os
from datetime import date

import msgspec

from polyvox.catalog.model_facts import ModelFacts

SNAPSHOT_PATH = os.path.join(os.path.dirname(__file__), "snapshot.json")


class SnapshotSource(msgspec.Struct, frozen=True):
    """Where the facts come from: a package, its version and licence, and the day it was read."""

    package: str
    version: str
    read: date
    license: str
    copyright: str
    homepage: str


class ProviderEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider's part of the file.

    ``fallbacks`` are the providers whose models it resells: their facts count where it has none.
    """

    name: str
    models: msgspec.Raw
    fallbacks: tuple[str, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """The whole file, the models still in JSON."""

    source: SnapshotSource
    providers: dict[str, ProviderEntry]


def read_snapshot(path: str = SNAPSHOT_PATH) -> Snapshot:
    """Read the file."""
    with open(path, "rb") as file:
        return msgspec.json.decode(file.read(), type=Snapshot)


def decode_models(provider: str, entry: ProviderEntry) -> list[ModelFacts]:
    """A provider's models, in the order in which their names are tried."""
    models = msgspec.json.decode(entry.models, type=list[ModelFacts])
    return [msgspec.structs.replace(model, provider=provider) for model in models]
