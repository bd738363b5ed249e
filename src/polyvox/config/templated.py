"""Options that a request leaves unsaid, said by the configuration."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from polyvox.config.schema import Template
from polyvox.events import Event
from polyvox.messages import Text
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Reasoning, Request
from polyvox.usage import Usage

__all__ = ["Templated", "filled"]

_AS_THEY_ARE = ("max_tokens", "temperature", "top_p", "seed", "cache")


class Templated:
    """Ask with the template's options wherever the request says nothing; what it says holds.

    Of ``metadata`` and vendor ``options`` each key counts by itself.
    """

    def __init__(self, model: Model, template: Template, name: str = "") -> None:
        self.model = model
        self.template = template
        self._name = name

    @property
    def name(self) -> str:
        """The name it is asked by; without one, that of the model within."""
        return self._name or self.model.name

    def quote(self, request: Request) -> Usage:
        """The most that answering may use with these options, with its cost."""
        return quote_of(self.model, self.filled(request))

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer of the model within."""
        return self.model.stream(self.filled(request), call)

    def filled(self, request: Request) -> Request:
        """The request with what it left unsaid; the one that was given stays as it is."""
        return filled(request, self.template)


def filled(request: Request, template: Template) -> Request:
    """The request with what it left unsaid and the template says; the one that was given stays as it is."""
    said: dict[str, Any] = {
        name: value
        for name in _AS_THEY_ARE
        if (value := getattr(template, name)) is not None and getattr(request, name) is None
    }
    if template.system is not None and not request.system:
        said["system"] = [Text(template.system)]
    if template.stop and not request.stop:
        said["stop"] = list(template.stop)
    if template.reasoning is not None and request.reasoning is None:
        wanted = template.reasoning
        said["reasoning"] = (
            Reasoning(budget_tokens=wanted) if isinstance(wanted, int) else Reasoning(effort=wanted)
        )
    if template.metadata:
        said["metadata"] = {**template.metadata, **request.metadata}
    if template.options:
        providers = {**template.options, **request.options}
        said["options"] = {
            name: {**template.options.get(name, {}), **fields} for name, fields in providers.items()
        }
    return msgspec.structs.replace(request, **said) if said else request
