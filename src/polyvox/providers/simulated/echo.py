"""``simulated/echo``: whatever is said comes back."""

from collections.abc import Iterable

from polyvox.events import Event
from polyvox.providers.simulated.stage import Options, SimulatedModel, last_user_text
from polyvox.request import Request


class Echo(SimulatedModel[Options]):
    """Answer with the user's last text, word for word."""

    def __init__(self) -> None:
        super().__init__("simulated/echo", Options)

    def compose(self, request: Request, options: Options) -> Iterable[Event]:
        """The last user text, as events."""
        return self.say_text(request, last_user_text(request))
