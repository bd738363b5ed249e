"""The catalog: which models exist, what they hold and what they cost.

Belongs here: facts about models (context window, names they answer to, prices by date and tier),
the user's own prices over them, and the arithmetic from a usage to a cost.
Does not belong here: where a provider is reached, budgets, what was spent.

The facts come from the genai-prices package (copyright Pydantic Services Inc., MIT licence, see
``NOTICE`` in this folder), read by ``tools/make_catalog.py`` into ``snapshot.json``; what that
package does not know is added by the rules in ``extra.toml``. Nothing is read before
``Catalog.load`` is called.
"""

from polyvox.catalog.catalog import Catalog
from polyvox.catalog.model_facts import ModelFacts, Pattern, Price, PriceSet, Tiered
from polyvox.catalog.snapshot import SnapshotSource

__all__ = ["Catalog", "ModelFacts", "Pattern", "Price", "PriceSet", "SnapshotSource", "Tiered"]
