"""Names become models: those of the configuration, "provider/model", composites, agents."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from polyvox.catalog import ModelFacts
from polyvox.client import AsyncClient
from polyvox.embedding import Embedder
from polyvox.errors import (
    BadRequestError,
    ConfigurationError,
    MissingKeyError,
    PermissionDeniedError,
    PolyvoxError,
)
from polyvox.gateway.asking.refusals import no_model
from polyvox.gateway.tenants.access import Access, matches
from polyvox.model import Model
from polyvox.suggestions import nearest

__all__ = ["Models", "Offered"]

_MOST_MADE = 10_000
_LONGEST_NAME = 1_024
_ALIKE = 0.8
"""How much a name must be like one that is offered to be a slip of it rather than another one."""

_NO_NAME = re.compile(r"(?:^|/)\.{1,2}(?:/|$)|[\x00-\x1f\x7f\\]")
"""In an address, where some providers want it, a name must not lead elsewhere."""

_GLOB = re.compile(r"[*?[]")


class Offered(Protocol):
    """Further models, by their full names: agents."""

    def names(self) -> Iterable[str]:
        """What there is."""
        ...

    def model(self, name: str) -> Model | None:
        """The model of that name, or None."""
        ...


class Models:
    """What the gateway offers, and to whom.

    ``client`` makes models of names, ``globs`` say which of them are offered, ``listed`` names those
    that are told in a list, ``more`` has further ones by the first part of their name ("agent").
    """

    def __init__(
        self,
        client: AsyncClient,
        globs: tuple[str, ...],
        listed: Callable[[], list[str]],
        more: Mapping[str, Offered] | None = None,
    ) -> None:
        self.client = client
        self._globs = globs
        self._listed = listed
        self._more = more or {}
        self._made: dict[str, Model] = {}
        # Those that were asked, by name and by what whoever asked may ask: nothing is left to check.
        self._allowed: dict[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]], Model] = {}

    def add(self, name: str, model: Model) -> None:
        """Offer one more."""
        self._made[name] = model
        self._allowed.clear()

    def names(self, access: Access) -> list[str]:
        """The names that this access may ask, as far as they can be listed, or were said to be offered."""
        names = [*self._listed()]
        for offered in self._more.values():
            names += offered.names()
        names += [name for name in (*self._globs, *access.models) if self._can_be_made(name)]
        return [
            name for name in dict.fromkeys(names) if self._offered(name) and access.may_ask(name)
        ]

    def model(self, name: str, access: Access) -> Model:
        """The model of that name. Raises ``NotFoundError``, ``PermissionDeniedError``."""
        model = self._allowed.get((name, access.models, access.within))
        if model is None:
            self.check(name, access)
            model = self._made.get(name)
            if model is None:
                model = self._make(name, access)
                if len(self._made) < _MOST_MADE:
                    self._made[name] = model
            if len(self._allowed) >= _MOST_MADE:  # with those of keys that are gone
                self._allowed.clear()
            self._allowed[name, access.models, access.within] = model
        return model

    def _make(self, name: str, access: Access) -> Model:
        more = self._more.get(name.partition("/")[0])
        found = more.model(name) if more is not None else None
        if found is not None:
            return found
        try:
            return self.client.model(name)
        except MissingKeyError:
            raise
        except ConfigurationError as error:
            raise self._none(name, error.hint, access) from None

    def embedder(self, name: str, access: Access) -> Embedder:
        """The embedding model of that name. Raises as ``model`` does, and ``BadRequestError`` for others."""
        self.check(name, access)
        try:
            return self.client.embedder(name)
        except ConfigurationError as error:
            if self._can_be_made(name) or name in self.names(access):
                raise BadRequestError(
                    f"{name!r} gives no embeddings",
                    hint="Name an embedding model as provider/model, or by an alias of that.",
                ) from error
            raise self._none(name, error.hint, access) from None

    def facts(self, name: str) -> ModelFacts | None:
        """What the catalog knows of it."""
        return self.client.facts(name)

    def check(self, name: str, access: Access) -> None:
        """Raises where it is not offered, or not to this access, or too long to be kept."""
        if len(name) > _LONGEST_NAME:
            raise BadRequestError(
                f"the name of a model has {len(name):,} characters",
                hint=f"It may have {_LONGEST_NAME:,}.",
            )
        if not name or not self._offered(name) or _NO_NAME.search(name):
            raise self._none(name, None, access)
        if not matches(name, access.models):
            raise PermissionDeniedError(
                f"this key may not ask {name!r}",
                hint=f"It may ask {', '.join(access.models)}.",
            )
        for globs in access.within:
            if not matches(name, globs):
                raise PermissionDeniedError(
                    f"the organisation or team of this key may not ask {name!r}",
                    hint=f"It may ask {', '.join(globs)}.",
                )

    def _can_be_made(self, name: str) -> bool:
        """Whether it is no glob, and the name of a model that can be asked."""
        if _GLOB.search(name):
            return False
        try:
            self.client.model(name)
        except PolyvoxError:  # nobody serves it, or there is no key
            return False
        return True

    def _offered(self, name: str) -> bool:
        return matches(name, self._globs)

    def _none(self, name: str, hint: str | None, access: Access) -> Exception:
        """The error of a name; a slip of one that is offered is told before what ``hint`` guesses."""
        meant = nearest(name, self.names(access), cutoff=_ALIKE) if name else None
        known = f"Did you mean {meant!r}?" if meant else hint
        return no_model(name, known or "GET /v1/models lists what there is.")
