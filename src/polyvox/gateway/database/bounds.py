"""How long the database may take, and how much of it is used at once."""

import msgspec

__all__ = ["Bounds"]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Every wait for the database ends. Times are in seconds.

    ``threads``            how many transactions run at once for the event loop; each has a connection
    ``waiting``            how many more may wait for a thread
    ``wait``               ... and how long; also how long a plain thread waits for a connection
    ``connect``            to reach the server
    ``statement``          for one statement; in SQLite for those of a transaction together
    ``lock``               for what another transaction holds
    ``migrate``            for a migration, be it our own or that of another process
    ``first_pause``        until a database that is down is tried again; it doubles
    ``longest_pause``      ... up to this
    """

    threads: int = 8
    waiting: int = 1_000
    wait: float = 5.0
    connect: float = 5.0
    statement: float = 30.0
    lock: float = 10.0
    migrate: float = 1_800.0
    first_pause: float = 0.25
    longest_pause: float = 15.0
