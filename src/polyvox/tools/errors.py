"""What goes wrong with a tool in a way that the model is told, so that it may do better.

They are no ``PolyvoxError``: no call has failed, the conversation goes on with their text.
"""

__all__ = ["ToolArgumentsError", "ToolRetry"]


class ToolRetry(Exception):  # noqa: N818 - it asks for something, nothing is broken
    """Raised in a tool: the text goes to the model, which may call the tool again, and better.

    >>> raise ToolRetry("no city is called 'Osloo'; give the name in English")
    Traceback (most recent call last):
    ...
    polyvox.tools.errors.ToolRetry: no city is called 'Osloo'; give the name in English
    """


class ToolArgumentsError(Exception):
    """The arguments that the model gave don't fit the tool; ``text`` says which, and what is needed."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
