"""Makes speakers of names, as a client makes models."""

from collections.abc import Mapping

from polyvox.catalog import ModelFacts
from polyvox.composite import Profile, composite_model
from polyvox.model import Model

from .speakers import Speaker


class Cast:
    """One speaker for each name; composites are made of them. ``windows`` are those of the speakers."""

    def __init__(
        self,
        profiles: Mapping[str, Profile] | None = None,
        windows: Mapping[str, int] | None = None,
    ) -> None:
        self.speakers: dict[str, Speaker] = {}
        self._profiles = profiles
        self._windows = windows or {}

    @property
    def asked(self) -> dict[str, int]:
        """How often each was asked."""
        return {name: len(each.requests) for name, each in self.speakers.items() if each.requests}

    def model(self, name: str) -> Model:
        if name.startswith("composite/"):
            return composite_model(name, self, self._profiles)
        return self.speakers.setdefault(name, Speaker(name, f"{name} says so."))

    def facts(self, model: str) -> ModelFacts | None:
        window = self._windows.get(model)
        return ModelFacts(id=model, context_window=window) if window else None
