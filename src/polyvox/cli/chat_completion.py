"""What Tab offers in a chat: commands, and the names of models and files after those that take one."""

from collections.abc import Callable, Iterable, Sequence

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

__all__ = ["ChatCompleter"]


class ChatCompleter(Completer):
    """Completes ``/commands``, ``/model NAME`` and ``/save FILE``."""

    def __init__(self, commands: Sequence[str], models: Callable[[], Iterable[str]]) -> None:
        self._commands = commands
        self._models = models
        self._paths = PathCompleter(expanduser=True)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """What may come next."""
        text = document.text_before_cursor
        command, blank, argument = text.partition(" ")
        if not text.startswith("/") or "\n" in text:
            return
        if not blank:
            yield from _beginning(command, self._commands)
        elif command == "/model":
            yield from _beginning(argument, self._models())
        elif command.startswith("/save"):
            inner = Document(argument, len(argument))
            yield from self._paths.get_completions(inner, complete_event)


def _beginning(start: str, names: Iterable[str]) -> Iterable[Completion]:
    return (Completion(name, -len(start)) for name in names if name.startswith(start))
