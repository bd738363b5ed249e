"""How a person cuts in while a task runs."""

import threading

from polyvox.messages import UserBlock, UserMessage, user
from polyvox.model import Interrupt

__all__ = ["UserInterrupts"]


class _Box:
    """What was sent since somebody looked last."""

    def __init__(self) -> None:
        self.arrived = Interrupt()
        self.messages: list[UserMessage] = []


class UserInterrupts:
    """Messages of the user to a task; ``send`` from any thread, or from a signal handler.

    What is sent during an attempt ends it at once; what is sent between attempts is read before the
    next one. One object is for one task at a time.

    >>> interrupts = UserInterrupts()
    >>> interrupts.send("Leave the tests alone, mend the code.")
    """

    def __init__(self) -> None:
        # Reentrant: a signal handler may send in the thread that holds the lock.
        self._lock = threading.RLock()
        self._box = _Box()

    def send(self, *content: str | UserBlock) -> None:
        """Say something to the model. Without a word it is only stopped, and the status asked again."""
        with self._lock:
            box = self._box
            if any(not isinstance(part, str) or part.strip() for part in content):
                box.messages.append(user(*content))
        box.arrived.set("the user has something to say")

    @property
    def arrived(self) -> Interrupt:
        """Is set as soon as something is sent; another one after each ``take``."""
        return self._box.arrived

    def take(self) -> list[UserMessage] | None:
        """What was sent since the last time; an empty list for a stop without words, None for nothing."""
        with self._lock:
            box = self._box
            if not box.arrived.is_set and not box.messages:
                return None
            self._box = _Box()
        return box.messages
