"""WebSockets of uvicorn that stay open while the gateway drains: who handles one closes it in time."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["PatientSocket"]


class PatientSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def shutdown(self) -> None:
        """The server stops: calls that are under way here go on, as they do over HTTP."""
        if self.close_sent or not self.handshake_complete:
            super().shutdown()
