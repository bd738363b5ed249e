"""The sections of the gateway: where it listens, where its data are, and how much it takes on."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from polyvox.config.around import BudgetSection, Count, LimitSection, Seconds, Section
from polyvox.secret import Secret

__all__ = ["ContextsSection", "GatewaySection", "JournalSection", "KeySection"]


class KeySection(Section, frozen=True, kw_only=True):
    """A key that stands in the file and works without a database: ``[gateway.keys.build]``.

    ``key``           the key itself, best as a reference: "${BUILD_KEY}"
    ``organisation``  whose it is
    ``team``          ... and which part of them
    ``models``        what it may ask, as names or globs ("openai/*"); everything by default
    ``routes``        what it may be used for, as names or globs ("chat", "embeddings", "contexts", ...)
    ``addresses``     from where it may be used, as addresses or networks ("10.0.0.0/8")
    ``budget``        how much may be spent with it; keys as in ``[budgets]``
    ``limit``         how many requests and tokens may pass; keys as in ``[limits]``
    """

    key: Secret
    organisation: str = ""
    team: str = ""
    models: Annotated[tuple[str, ...], Meta(min_length=1)] = ("*",)
    routes: Annotated[tuple[str, ...], Meta(min_length=1)] = ("*",)
    addresses: tuple[str, ...] = ()
    budget: BudgetSection | None = None
    limit: LimitSection | None = None


class JournalSection(Section, frozen=True, kw_only=True):
    """What is written down of each call before it is over: ``[gateway.journal]``.

    ``fsync_seconds``    how often the file is forced onto the disk; 0: after every record
    ``segment_bytes``    when a new file is begun
    ``max_bytes``        how much may wait for the database; beyond that calls are refused or not recorded
    ``on_failure``       what becomes of calls that can't be recorded: "deny" or "allow"
    ``provider_errors``  write down, also in the log, what providers say of failures; it may repeat a prompt
    """

    fsync_seconds: Seconds = 1.0
    segment_bytes: Count = 16 << 20
    max_bytes: Count = 4 << 30
    on_failure: Literal["deny", "allow"] = "allow"
    provider_errors: bool = False


class ContextsSection(Section, frozen=True, kw_only=True):
    """Conversations that the gateway keeps: ``[gateway.contexts]``.

    ``retention_days``  how long one is kept after it was last used; None: for ever
    ``max_messages``    how long one may become
    ``wait_seconds``    how long a call waits for another one that writes to the same context
    """

    retention_days: Annotated[float, Meta(gt=0)] | None = None
    max_messages: Count = 10_000
    wait_seconds: Seconds = 60.0


class GatewaySection(Section, frozen=True, kw_only=True):
    """The service that others ask: ``[gateway]``.

    ``host``              where it listens; beyond the loopback it wants an ``admin_key``
    ``port``              the port
    ``workers``           how many processes; more than one count budgets and limits in Redis
    ``server``            who takes the requests in: "uvicorn" or "granian"
    ``data``              the folder of its journal and database; else among the user's data
    ``files``             the folder of files and batches, which replicas share; else ``data``
    ``database``          "sqlite:///<path>" or "postgresql://..."; else a file in ``data``
    ``admin_key``         the key that may do everything; without one it is made and printed once
    ``secret``            what encrypts providers' keys in the database; else made, in ``data``
    ``models``            what it offers, as names or globs; everything that can be reached by default
    ``proxies``           from which "X-Forwarded-For" is believed, as addresses or networks ("10.0.0.0/8")
    ``origins``           web pages that may call it from a browser ("https://app.example.com")
    ``max_body_bytes``    the longest request
    ``max_in_flight``     how many calls at once
    ``max_queued``        how many more may wait for their turn
    ``queue_seconds``     ... and how long
    ``drain_seconds``     how long calls may go on when it is told to stop
    ``reload_seconds``    how often it looks whether another replica has changed keys or templates
    ``retention_days``    how long records of calls are kept in the database; None: for ever
    ``keys``              keys that need no database
    ``journal``           what is written down of each call before it is over
    ``contexts``          conversations that it keeps
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8700
    workers: Count = 1
    server: Literal["uvicorn", "granian"] = "uvicorn"
    data: Path | None = None
    files: Path | None = None
    database: Secret | None = None
    admin_key: Secret | None = None
    secret: Secret | None = None
    models: Annotated[tuple[str, ...], Meta(min_length=1)] = ("*",)
    proxies: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body_bytes: Count = 64 << 20
    max_in_flight: Count = 1_000
    max_queued: Annotated[int, Meta(ge=0)] = 1_000
    queue_seconds: Seconds = 10.0
    drain_seconds: Seconds = 30.0
    reload_seconds: Annotated[float, Meta(gt=0)] = 2.0
    retention_days: Annotated[float, Meta(gt=0)] | None = None
    keys: dict[str, KeySection] = msgspec.field(default_factory=dict[str, KeySection])
    journal: JournalSection = JournalSection()
    contexts: ContextsSection = ContextsSection()

    def __post_init__(self) -> None:
        for each in self.proxies:
            ip_network(each)  # raises ValueError, which says why
