"""The commands of a chat: lines that begin with a slash."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from polyvox.cli.configured import provider_of
from polyvox.cli.options import InputError
from polyvox.cli.request_options import fields_text, vendor_fields
from polyvox.cli.terminal import note
from polyvox.errors import ConfigurationError
from polyvox.messages import UserMessage
from polyvox.suggestions import nearest

if TYPE_CHECKING:
    from polyvox.cli.chat_session import ChatSession

__all__ = ["COMMANDS", "ChatCommand", "completions", "run_command"]


class ChatCommand(msgspec.Struct, frozen=True):
    """A command: what it is called, what it takes, what it does.

    ``run`` gets the rest of the line, and gives back a message if one is to be asked now.
    """

    name: str
    argument: str
    help: str
    run: "Callable[[ChatSession, str], UserMessage | None]"


def run_command(chat: "ChatSession", line: str) -> UserMessage | None:
    """Run a line such as "/model openai/gpt-5-mini".

    Raises ``EOFError`` to leave, ``PolyvoxError`` when it can't be done.
    """
    name, _, argument = line.partition(" ")
    if name == "/":
        return _help(chat, "")
    command = COMMANDS.get(name)
    if command is None:
        close = nearest(name, COMMANDS)
        hint = f"Did you mean {close}?" if close else "/help lists the commands."
        raise ConfigurationError(f"there is no command {name}", hint=hint)
    return command.run(chat, argument.strip())


def _help(chat: "ChatSession", argument: str) -> None:
    width = max(len(f"{command.name} {command.argument}") for command in COMMANDS.values())
    for command in COMMANDS.values():
        note(f"  {f'{command.name} {command.argument}':<{width}}  {command.help}")
    note('  Alt-Enter or """ for several lines; Ctrl-C stops the answer; Ctrl-D leaves.')


def _model(chat: "ChatSession", argument: str) -> None:
    if argument:
        chat.use(argument)
    note(f"The model is {chat.conversation.model}.")


def _system(chat: "ChatSession", argument: str) -> None:
    if argument:
        chat.conversation.system = None if argument == "-" else argument
    note(f"Instructions: {chat.conversation.system or 'none'}")


def _option(chat: "ChatSession", argument: str) -> None:
    if argument == "-":
        chat.vendor = {}
    elif argument:
        provider_of(chat.client, chat.conversation.model)
        try:
            chat.vendor |= vendor_fields([argument])
        except InputError as error:
            raise ConfigurationError(error.message) from None
    note(f"Options: {fields_text(chat.vendor) or 'none'}")


def _cost(chat: "ChatSession", argument: str) -> None:
    note(chat.conversation.cost_text())


def _save(chat: "ChatSession", argument: str) -> None:
    path = _path(argument)
    if path.exists() and path not in chat.saved:
        raise ConfigurationError(f"{path} is there already", hint=f"/save! {path} writes over it.")
    _save_over(chat, argument)


def _save_over(chat: "ChatSession", argument: str) -> None:
    path = _path(argument)
    chat.conversation.save(path)
    chat.saved.add(path)
    note(f"Saved to {path}.")


def _path(argument: str) -> Path:
    if not argument:
        raise ConfigurationError("/save takes the name of a .md or .json file")
    return Path(argument).expanduser()


def _clear(chat: "ChatSession", argument: str) -> None:
    chat.conversation.messages = []
    note("Cleared: the model knows nothing of what was said. /cost still counts it.")


def _undo(chat: "ChatSession", argument: str) -> None:
    asked = chat.conversation.undo()
    note(
        "Took back your last message and its answer." if asked else "There is nothing to take back."
    )


def _retry(chat: "ChatSession", argument: str) -> UserMessage | None:
    asked = chat.unanswered or chat.conversation.undo()
    if asked is None:
        note("There is nothing to ask again.")
    return asked


def _exit(chat: "ChatSession", argument: str) -> None:
    raise EOFError


COMMANDS = {
    command.name: command
    for command in (
        ChatCommand("/help", "", "this list", _help),
        ChatCommand("/model", "[NAME]", "go on with another model, or say which it is", _model),
        ChatCommand("/system", "[TEXT]", "set the instructions, or show them; - for none", _system),
        ChatCommand(
            "/option",
            "[NAME=VALUE]",
            "set a field of the provider's own, or show them; - for none",
            _option,
        ),
        ChatCommand("/cost", "", "what this chat has used so far", _cost),
        ChatCommand("/save", "FILE", "write the chat to a .md or .json file", _save),
        ChatCommand("/save!", "FILE", "the same, over a file that is there", _save_over),
        ChatCommand("/undo", "", "take back your last message and its answer", _undo),
        ChatCommand("/retry", "", "ask your last message again", _retry),
        ChatCommand("/clear", "", "begin anew", _clear),
        ChatCommand("/exit", "", "leave", _exit),
        ChatCommand("/quit", "", "leave", _exit),
    )
}
"""Every command by its name."""


def completions() -> list[str]:
    """What Tab may put in place of the beginning of a command."""
    return [f"{name} " if command.argument else name for name, command in COMMANDS.items()]
