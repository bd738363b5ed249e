"""The directory: every key's rights, in memory. No call waits for a database to know who asks."""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from polyvox.config.serving import KeySection
from polyvox.errors import AuthenticationError, OverloadedError, PermissionDeniedError, PolyvoxError
from polyvox.gateway.database.glance import Glance
from polyvox.gateway.tenants.access import ADMIN, Access
from polyvox.gateway.tenants.addresses import is_from
from polyvox.gateway.tenants.entries import Entries, Entry, Homes, configured_entries
from polyvox.gateway.tenants.keys import LONGEST, digest_of, may_be_a_key
from polyvox.gateway.tenants.rows import Rows, append_rows, read_rows, saved_rows, write_rows
from polyvox.secret import Secret

if TYPE_CHECKING:
    from polyvox.gateway.database.engine import Database

__all__ = ["Directory"]

_RETRY_SECONDS = 2.0
_HINT = "Ask whoever runs this gateway for a key; 'polyvox keys create' makes one."

_log = logging.getLogger(__name__)


class Directory:
    """Finds the rights of a key.

    What the database says is read once, then again whenever it has changed, and put in place at once:
    a call sees all of a change or nothing of it. It is also kept in a file, so that a gateway that
    starts without its database goes on serving the keys that it knew.

    Whoever comes with a key that may be in the database, while nobody can tell, is not told that it is
    wrong: that is an ``OverloadedError`` (503).

    Args:
        keys: those of the configuration, which need no database.
        admin_key: the administrator's.
        database: where all others are; None: there are no others.
        snapshot: the file.
        clock: the time in seconds since the epoch.

    Raises ``ConfigurationError`` for a key in the configuration that is too weak or says nonsense.
    """

    def __init__(
        self,
        keys: Mapping[str, KeySection] | None = None,
        admin_key: Secret | None = None,
        *,
        database: "Database | None" = None,
        snapshot: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys or {}
        self._admin_key = admin_key
        self._database = database
        self._snapshot = snapshot
        self._clock = clock
        self._known: Entries = {}  # by the database
        self._own: Entries = {}  # by the configuration
        self._by_key = _ById({}, {})
        self._read: Rows | None = None  # without what is in it: only the numbers
        self._is_behind = database is not None
        self._glance = Glance(self.load)
        self._running: asyncio.Task[None] | None = None
        self._queued: asyncio.Task[None] | None = None
        rows = (saved_rows(snapshot) if snapshot else None) or Rows()
        homes = Homes(rows)
        self._place(homes, homes.entries(rows))

    @property
    def is_behind(self) -> bool:
        """Whether there may be keys that are not known here: the database could not be read."""
        return self._is_behind

    @property
    def knows_callers(self) -> bool:
        """Whether any key but the administrator's is known, or the database was read and has none."""
        return bool(self._keys or self._known) or self._read is not None

    def find(self, secret: str, address: str | None) -> Access:
        """The rights of whoever has this key, coming from that address.

        Raises ``AuthenticationError`` for a key that is unknown, expired or revoked,
        ``PermissionDeniedError`` for an address that it is not for, ``OverloadedError`` while the
        keys of the database can't be known.
        """
        digest = digest_of(secret) if len(secret) <= LONGEST else b""
        entry = self._own.get(digest) or self._known.get(digest)
        if entry is None or not hmac.compare_digest(entry.digest, digest):
            raise self._unknown(secret)
        access = entry.access
        if entry.revoked or entry.blocked or entry.until is not None or access.expires is not None:
            self._check_time(entry)
        if access.addresses and not is_from(access.addresses, address):
            raise PermissionDeniedError(
                f"this key may not be used from {address or 'an unknown address'}", status=403
            )
        return access

    async def look_for(self, secret: str) -> None:
        """Read what has changed, for a key that ``find`` refuses: it may be new, or good again.

        Where the database can't be read nothing is done. Raises ``OverloadedError`` if it takes too long.
        """
        if self._database is not None and may_be_a_key(secret):
            await self._glance.look_for(digest_of(secret))

    async def look_for_id(self, key: str) -> None:
        """... for a key of this id, for which ``of`` has none."""
        if self._database is not None:
            await self._glance.look_for(key)

    def of(self, key: str) -> Access:
        """The rights of the key of this id. Raises ``AuthenticationError`` for one that is no good."""
        if key == ADMIN.key:
            return ADMIN
        if self._by_key.known is not self._known or self._by_key.own is not self._own:
            self._by_key = _ById(self._known, self._own)
        entry = self._by_key.entries.get(key)
        if entry is None:
            raise AuthenticationError("the key of this call is gone", hint=_HINT, status=401)
        self._check_time(entry, secret=False)
        return entry.access

    @property
    def homes(self) -> Homes:
        """What is said of organisations, teams and end users."""
        return self._homes

    def accesses(self) -> list[Access]:
        """The rights of each key that was not revoked, once."""
        entries = (*self._own.values(), *self._known.values())
        return [*{each.access.key: each.access for each in entries if not each.revoked}.values()]

    def configure(self, keys: Mapping[str, KeySection], admin_key: Secret | None) -> None:
        """Other keys of the configuration, from now on.

        Raises ``ConfigurationError`` as the constructor does; then all stays as it was.
        """
        self._own = configured_entries(keys, admin_key, self._homes)
        self._keys, self._admin_key = keys, admin_key

    async def load(self) -> None:
        """Read what has changed: all that was committed before this was called, be it once for many.

        Raises ``OverloadedError`` when the database can't be read; then all stays as it was.
        """
        await asyncio.shield(self._next())

    def _next(self) -> asyncio.Task[None]:
        """The reading that begins next: one that is under way may have missed something."""
        if self._queued is None:
            self._queued = asyncio.get_running_loop().create_task(self._after(self._running))
            self._queued.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._queued

    async def _after(self, running: asyncio.Task[None] | None) -> None:
        if running is not None:
            await asyncio.wait([running])
        self._running, self._queued = self._queued, None
        if self._database is None:
            return
        since = self._read
        try:
            rows = await self._database.run(lambda c: read_rows(c, since), read_only=True)
        except PolyvoxError:
            self._is_behind = True
            raise
        if rows.is_whole or rows.keys:
            loop = asyncio.get_running_loop()
            self._place(*await loop.run_in_executor(None, self._built, rows))
        self._read = Rows(number=rows.number, whole_number=rows.whole_number)
        self._is_behind = False

    def _built(self, rows: Rows) -> tuple[Homes, Entries]:
        """What is to be in place of all that the database knows; made and kept in a thread."""
        homes = Homes(rows) if rows.is_whole else self._homes
        entries = homes.entries(rows)
        if self._snapshot is not None:
            try:
                (write_rows if rows.is_whole else append_rows)(self._snapshot, rows)
            except OSError as error:
                _log.warning("the keys can't be kept in %s: %s", self._snapshot, error.strerror)
        return homes, entries if rows.is_whole else self._known | entries

    def _place(self, homes: Homes, known: Entries) -> None:
        own = configured_entries(self._keys, self._admin_key, homes)
        self._homes, self._known, self._own = homes, known, own

    def _unknown(self, secret: str) -> PolyvoxError:
        if self._is_behind and may_be_a_key(secret):
            return OverloadedError(
                "the gateway can't tell just now whether this key is a good one",
                hint="It can't read its keys; this is no fault of yours. Ask again in a moment.",
                status=503,
                retry_after=_RETRY_SECONDS,
            )
        return AuthenticationError("the gateway does not know this key", hint=_HINT, status=401)

    def _check_time(self, entry: Entry, *, secret: bool = True) -> None:
        """Only who has the key itself hears what became of it; ``secret``: whether it was shown."""
        if entry.revoked:
            raise AuthenticationError("this key was revoked", hint=_HINT, status=401)
        if entry.blocked:
            raise PermissionDeniedError(
                f"{entry.blocked} is blocked", hint="Ask whoever runs this gateway.", status=403
            )
        now = self._clock()
        if secret and entry.until is not None and now >= entry.until:
            raise AuthenticationError(
                "this key was replaced by a new one",
                hint="Use that, or have it rotated again.",
                status=401,
            )
        expires = entry.access.expires
        if expires is not None and now >= expires:
            raise AuthenticationError("this key has expired", hint=_HINT, status=401)


class _ById:
    """Entries by the id of their key, of these two tables."""

    def __init__(self, known: Entries, own: Entries) -> None:
        self.known, self.own = known, own
        self.entries = {
            entry.access.key: entry for table in (known, own) for entry in table.values()
        }
