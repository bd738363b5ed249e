"""What the stream decoders of all dialects have in common: an assembly, and how it ends."""

from polyvox.assembly import Assembly
from polyvox.errors import PolyvoxError, ProtocolError
from polyvox.events import Event
from polyvox.messages import AssistantMessage

__all__ = ["AssemblyDecoder"]


class AssemblyDecoder:
    """A ``polyvox.dialects.StreamDecoder`` without its ``feed`` and ``close``."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly

    @property
    def ended(self) -> bool:
        """Whether ``done`` or ``error`` was given out."""
        return self._assembly.ended

    def message(self) -> AssistantMessage:
        """The message as it stands."""
        return self._assembly.message()

    def outline(self) -> tuple[AssistantMessage, list[list[str]]]:
        """The same without the texts of its open blocks, and those in pieces."""
        return self._assembly.message(outline=True), self._assembly.open_texts

    def fail(self, error: PolyvoxError) -> list[Event]:
        """The body can't be read further, for this reason."""
        if not self.ended:
            self._fail(error)
        return self._assembly.take()

    def _fail(self, error: PolyvoxError) -> None:
        self._assembly.fail(error)

    def _break(self, text: str) -> None:
        """The answer does not keep to the format, or was cut."""
        self._fail(ProtocolError(text))

    def _warn(self, text: str, field: str = "content") -> None:
        self._assembly.warn(text, field)
