"""A conversation: what was said in it, what it cost, and how it is kept in a file."""

from pathlib import Path

import msgspec

from polyvox import jsontext
from polyvox.cli.answering import Outcome, usage_text
from polyvox.cli.views import tool_call_line
from polyvox.errors import ConfigurationError
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    UserMessage,
)
from polyvox.usage import Usage

__all__ = ["Conversation"]


class Conversation(msgspec.Struct):
    """What was said so far. ``usage`` is that of all answers, also of those undone since."""

    model: str
    system: str | None = None
    messages: list[Message] = []
    usage: Usage | None = None
    answers: int = 0

    def keep(self, asked: UserMessage, outcome: Outcome) -> bool:
        """Count what an answer used, and keep it with its question; False if there was none.

        Of an answer that was cut short only the text is kept: a model takes no half reasoning or
        tool call back.
        """
        message = outcome.message
        if message.usage.basis != "missing":
            self.usage = message.usage if self.usage is None else self.usage + message.usage
            self.answers += 1
        if outcome.error is not None:
            message = msgspec.structs.replace(message, content=_texts(message))
        if not message.content:
            return False
        self.messages += [asked, message]
        return True

    @property
    def questions(self) -> int:
        """How many messages of the user's there are."""
        return sum(isinstance(message, UserMessage) for message in self.messages)

    @property
    def last_answer(self) -> str:
        """What the model said last, as Markdown; "" if nothing."""
        said = (m for m in reversed(self.messages) if isinstance(m, AssistantMessage))
        last = next(said, None)
        return _markdown(last) if last else ""

    def undo(self) -> UserMessage | None:
        """Take back the last question with its answer; gives the question, None if there is none."""
        for place in range(len(self.messages) - 1, -1, -1):
            asked = self.messages[place]
            if isinstance(asked, UserMessage):
                del self.messages[place:]
                return asked
        return None

    def cost_text(self) -> str:
        """What was used so far, in words."""
        if self.usage is None:
            return "Nothing was used yet."
        plural = "" if self.answers == 1 else "s"
        return f"{self.answers} answer{plural}: {usage_text(self.usage)}"

    def save(self, path: Path) -> None:
        """Write it to a .md or .json file. Raises ``ConfigurationError`` if that can't be."""
        writers = {".md": self.as_markdown, ".json": self.as_json}
        writer = writers.get(path.suffix.lower())
        if writer is None:
            raise ConfigurationError(
                f"{path.name} is neither a .md nor a .json file",
                hint="Both can be read by people; 'polyvox chat --continue' reads the .json.",
            )
        try:
            path.write_text(writer(), encoding="utf-8", errors="replace")
        except OSError as error:
            raise ConfigurationError(f"can't write {path}: {error.strerror}") from None

    def as_json(self) -> str:
        """All of it as JSON, ``messages`` in the form that every client method takes."""
        return msgspec.json.format(jsontext.encode(self), indent=2).decode() + "\n"

    def as_markdown(self) -> str:
        """What was said, for people."""
        parts = [f"# Chat with {self.model}"]
        if self.system:
            parts.append(f"System: {self.system}")
        for message in self.messages:
            parts += [f"## {_speaker(message)}", _markdown(message)]
        parts.append(f"---\n\n{self.cost_text()}")
        return "\n\n".join(parts) + "\n"

    @classmethod
    def load(cls, path: Path) -> "Conversation":
        """What ``save`` wrote as JSON. Raises ``ConfigurationError`` for anything else."""
        try:
            return jsontext.decode(path.read_bytes(), cls)
        except OSError as error:
            raise ConfigurationError(f"can't read {path}: {error.strerror}") from None
        except msgspec.DecodeError as error:
            raise ConfigurationError(
                f"{path} is no saved chat: {error}", hint="'/save FILE.json' in a chat writes one."
            ) from None


def _texts(message: AssistantMessage) -> list[Text | Thinking | Image | ToolCall]:
    return [block for block in message.content if isinstance(block, Text) and block.text]


def _speaker(message: Message) -> str:
    if isinstance(message, AssistantMessage) and message.model:
        cut = " (interrupted)" if message.stop_reason == "aborted" else ""
        return f"{message.provider}/{message.model}{cut}"
    return {"UserMessage": "You", "ToolMessage": "Tool"}.get(type(message).__name__, "Assistant")


def _markdown(message: Message) -> str:
    parts: list[str] = []
    for block in message.content:
        match block:
            case Text():
                parts.append(block.text)
            case ToolCall():
                parts.append(f"`{tool_call_line(block)}`")
            case Image():
                parts.append("*(a picture)*")
            case File():
                parts.append(f"*(file {block.name or block.url or block.id})*")
            case Thinking():
                pass
    return "\n\n".join(parts)
