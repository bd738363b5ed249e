"""What layers have in common that are models around a model: whose name it is, and what asking may use."""

from polyvox.model import Model, checked_model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.usage import Usage


class Around:
    """Called and quoted like the model within; whoever is derived from it says how that is asked."""

    def __init__(self, model: Model) -> None:
        self.model = checked_model(model, type(self).__name__)

    @property
    def name(self) -> str:
        """The name of the model within."""
        return self.model.name

    def quote(self, request: Request) -> Usage:
        """The most that asking the model within once may use, with its cost."""
        return quote_of(self.model, request)
