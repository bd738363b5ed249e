"""How much a WebSocket, and a call over it, may take."""

import msgspec

__all__ = ["Bounds"]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one connection.

    ``calls``            how many calls it may have at once
    ``message_bytes``    how long a message of the client may be
    ``unsent_bytes``     how much of a call may wait for a slow reader, before the call waits as well
    ``kept_bytes``       ... of a call that can be resumed: what was sent is kept up to this as well
    ``grace_seconds``    how long such a call is kept when its connection is lost, or it is over
    ``resumable_calls``  how many of them a key may have, over all connections
    ``hello_seconds``    how long to wait for the first message of who sent no key before
    ``idle_seconds``     after how long a silence a ping is sent
    ``bad_messages``     how many messages that make no sense are answered before the connection is closed
    """

    calls: int = 64
    message_bytes: int = 16 << 20
    unsent_bytes: int = 256 << 10
    kept_bytes: int = 4 << 20
    grace_seconds: float = 60.0
    resumable_calls: int = 100
    hello_seconds: float = 10.0
    idle_seconds: float = 20.0
    bad_messages: int = 20
