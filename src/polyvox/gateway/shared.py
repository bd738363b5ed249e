"""What all workers share in the database: who may ask, our keys at providers, templates, conversations.

Any of them may change it. The others notice, and read it anew.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from polyvox.config.serving import GatewaySection
from polyvox.errors import OverloadedError
from polyvox.gateway.contexts.contexts import Contexts
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.versions import Lookout
from polyvox.gateway.prompts.prompts import Prompts
from polyvox.gateway.prompts.writing import VERSIONS as PROMPTS
from polyvox.gateway.serving.launch import AdminFinder, Launch
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.tenants.provider_keys import ProviderKeys
from polyvox.gateway.tenants.sealing import Sealing, secret_in
from polyvox.gateway.tenants.store import VERSION as TENANTS
from polyvox.gateway.tenants.store import Tenants
from polyvox.gateway.web.door import Door
from polyvox.secret import Secret

__all__ = ["Shared"]

_log = logging.getLogger(__name__)


class Shared:
    """The rooms that begin with what the database says, and follow its changes.

    ``keys`` are those of providers, by the provider's name, as they were read last.

    Args:
        section: what the configuration says of them.
        launch: where the folder of data is, and whether an administrator's key was made.
        database: where they are.
        worker: the number of this worker.
        together: whether all workers count budgets and limits together.
        on_keys: called when ``keys`` are others than before.

    Raises ``ConfigurationError`` for a weak key or secret.
    """

    def __init__(
        self,
        section: GatewaySection,
        launch: Launch,
        database: Database,
        *,
        worker: int,
        together: bool,
        on_keys: Callable[[], Awaitable[object]],
    ) -> None:
        data = launch.data
        self.directory = Directory(
            section.keys,
            section.admin_key,
            database=database,
            snapshot=data / f"keys-{worker}.snapshot",
        )
        self.door = Door(AdminFinder(self.directory, launch.admin_digest))
        self.tenants = Tenants(database, together=together)
        self.provider_keys = ProviderKeys(database, Sealing(section.secret or secret_in(data)))
        self.prompts = Prompts(database)
        self.contexts = Contexts(
            database, section.contexts, applied=self.prompts.apply, together=together
        )
        self.keys: Mapping[str, Sequence[Secret]] = {}
        self._on_keys = on_keys
        self._lookout = Lookout(database, section.reload_seconds)

    async def open(self) -> None:
        """Read what there is, and from now on what has changed. What can't be read yet is read later."""
        for name, load in (("keys", self.directory.load), ("templates", self.prompts.reload)):
            try:
                await load()
            except OverloadedError as error:
                _log.warning("the %s can't be read yet: %s", name, error.text)
        await self._read_keys()
        self._lookout.watch(TENANTS, self._tenants_changed)
        self._lookout.watch(PROMPTS, self.prompts.reload)
        self._lookout.start()
        self.contexts.start()

    async def aclose(self) -> None:
        """Follow no more changes, and let go of the conversations."""
        await self._lookout.aclose()
        await self.contexts.aclose()

    async def _tenants_changed(self) -> None:
        await self.directory.load()
        await self._read_keys()

    async def _read_keys(self) -> None:
        try:
            found = await self.provider_keys.revealed()
        except OverloadedError:
            return
        if found != self.keys:
            self.keys = found
            await self._on_keys()
