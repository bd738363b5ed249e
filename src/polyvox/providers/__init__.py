"""Providers: who serves models, as data, and the Model that asks them.

Belongs here: the rows of providers, names becoming models, dialect and transport joined, models
that are simulated.
Does not belong here: wire formats, sockets, and any policy over several calls or models.
"""

from polyvox.providers.fetching import UrlFetch
from polyvox.providers.provider_model import ProviderModel
from polyvox.providers.registry import Registry
from polyvox.providers.rows import Provider, load_providers

__all__ = ["Provider", "ProviderModel", "Registry", "UrlFetch", "load_providers"]
