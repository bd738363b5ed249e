"""What a dialect says of counting tokens when its format has no way to."""

from polyvox.dialects.base import Target
from polyvox.errors import ProtocolError
from polyvox.http import HttpRequest
from polyvox.request import Request

__all__ = ["NoCounting"]


class NoCounting:
    """The part of a ``polyvox.dialects.Dialect`` that is about counting, without any."""

    name: str

    def count_request(self, request: Request, target: Target) -> HttpRequest | None:
        """None: the format has no way to count tokens."""
        return None

    def decode_count(self, body: bytes) -> int:
        """Nothing to read; raises ``ProtocolError``."""
        raise ProtocolError(f"{self.name} has no way to count tokens")

    def encode_count(self, tokens: int) -> bytes | None:
        """None: the format has no way to count tokens."""
        return None
