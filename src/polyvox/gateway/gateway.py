"""The gateway of one worker: all its rooms, opened in their order and closed in the reverse one."""

import asyncio
import logging
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from polyvox.config import Config
from polyvox.config.stores import accounts_of, secrets_of
from polyvox.errors import OverloadedError, PolyvoxError
from polyvox.gateway.app import Application
from polyvox.gateway.asking.asking import Asked, Asking
from polyvox.gateway.asking.call_watch import CallWatch
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.asking.dialects import DialectPaths
from polyvox.gateway.asking.endpoints import call_endpoints
from polyvox.gateway.asking.gates import Gates
from polyvox.gateway.batches.answering import Answering
from polyvox.gateway.batches.endpoints import Batches
from polyvox.gateway.batches.files import Files
from polyvox.gateway.batches.runner import Runner
from polyvox.gateway.batches.turns import FreeRoom
from polyvox.gateway.configured import Configured
from polyvox.gateway.contexts.contexts import Contexts
from polyvox.gateway.contexts.routes import endpoints as context_endpoints
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.retention import prune
from polyvox.gateway.database.versions import Reloader
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.shipping import Shipper
from polyvox.gateway.live.approvals import Approvals
from polyvox.gateway.live.deciding import Deciding
from polyvox.gateway.live.socket import Live
from polyvox.gateway.openapi.document import Described
from polyvox.gateway.operations.access_log import AccessLog
from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.operations.endpoints import Operations
from polyvox.gateway.operations.gauges import (
    watch_admission,
    watch_journal,
    watch_log,
    watch_store,
)
from polyvox.gateway.operations.health import (
    Health,
    database_part,
    journal_part,
    redis_part,
    reload_part,
    shipper_part,
)
from polyvox.gateway.operations.log_lines import LogLines
from polyvox.gateway.operations.log_records import LogRecords
from polyvox.gateway.operations.loop_lag import LoopLag
from polyvox.gateway.operations.metrics import Metrics
from polyvox.gateway.operations.ready import Readiness
from polyvox.gateway.operations.reload import Reload
from polyvox.gateway.prompts.prompts import Prompts
from polyvox.gateway.prompts.routes import endpoints as prompt_endpoints
from polyvox.gateway.prompts.writing import VERSIONS as PROMPTS
from polyvox.gateway.serving.launch import AdminFinder, Launch
from polyvox.gateway.serving.worker import ASGIApp, Worker
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.tenants.admin import admin_endpoints
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.tenants.own import own_endpoints
from polyvox.gateway.tenants.provider_keys import ProviderKeys
from polyvox.gateway.tenants.sealing import Sealing, secret_in
from polyvox.gateway.tenants.store import VERSION as TENANTS
from polyvox.gateway.tenants.store import Tenants
from polyvox.gateway.web.cors import with_cors
from polyvox.gateway.web.door import Door
from polyvox.gateway.web.endpoints import Endpoint
from polyvox.ledger import Redactor
from polyvox.limits import MemoryLimits, RedisLimits
from polyvox.messages import AssistantMessage
from polyvox.request import Request
from polyvox.secret import Secret

__all__ = ["Gateway", "application_of"]

_RESTORE_SECONDS = 1.0
_DRAIN_SECONDS = 5.0
_DAY = 86_400.0
_RETENTION_SECONDS = 3_600.0

_VERSION: str = sys.modules["polyvox"].__version__

_log = logging.getLogger(__name__)


def application_of(launch: Launch, worker: Worker) -> ASGIApp:
    """The application of one worker; its lifespan opens and closes the gateway."""
    return Gateway(launch, worker).application


class Gateway:
    """Everything that one worker holds.

    Args:
        launch: how it was started.
        worker: which one of several it is, and whether it is to stop.

    Raises ``ConfigurationError`` for what is wrong with the configuration.
    """

    def __init__(self, launch: Launch, worker: Worker) -> None:
        self._launch, self._worker = launch, worker
        config = launch.read()
        section = config.gateway
        data = launch.data
        self.lines = LogLines(launch.log)
        redactor = Redactor(secrets_of(config))
        self._records = LogRecords(self.lines, redactor=redactor)
        self.metrics = Metrics(worker.number)
        self.database = Database(section.database or f"sqlite:///{data / 'gateway.db'}")
        self.journal = Journal(data / "journal", section.journal)
        self.limits = accounts_of(config.accounts)
        memory = self.limits if isinstance(self.limits, MemoryLimits) else None
        self.shipper = Shipper(self.journal, self.database, limits=memory)
        self.directory = Directory(
            section.keys,
            section.admin_key,
            database=self.database,
            snapshot=data / f"keys-{worker.number}.snapshot",
        )
        self.door = Door(AdminFinder(self.directory, launch.admin_digest))
        together = worker.count == 1 or isinstance(self.limits, RedisLimits)
        self.tenants = Tenants(self.database, together=together)
        self.provider_keys = ProviderKeys(self.database, Sealing(section.secret or secret_in(data)))
        self.prompts = Prompts(self.database)
        self.contexts = Contexts(
            self.database, section.contexts, applied=self.prompts.applied, together=together
        )
        self.calls = Calls()
        self.approvals = Approvals()
        self.admission = Admission(
            section.max_in_flight,
            section.max_queued,
            section.queue_seconds,
            draining=worker.draining,
        )
        self._keys: Mapping[str, Sequence[Secret]] = {}
        self.configured = Configured(config, {}, self.calls, self.approvals)
        self._watch = CallWatch(self.metrics, self.journal)
        self.asking = Asking(
            self.configured.models,
            Gates(self.limits, lambda name: self.metrics.shadowed("limit", name)),
            self.journal,
            self.calls,
            prompts=self.prompts,
            contexts=self.contexts,
            watch=self._watch,
        )
        self.live = Live(
            self.asking,
            self.door,
            self.admission,
            approvals=self.approvals,
            origins=section.origins,
            draining=worker.draining,
        )
        files = Files(self.database, data / "files")
        room = FreeRoom(self.admission, lambda: self.config.gateway.max_in_flight)
        answering = Answering(self.asking, self.directory)
        self.runner = Runner(self.database, files, data / "batches", answering, room=room)
        self.batches = Batches(self.database, files, wake=self.runner.wake)
        self.reload = Reload(
            self._prepare,
            self._swap,
            self._tell_reload,
            path=launch.file,
            every_seconds=section.reload_seconds,
        )
        self.reloader = Reloader(self.database, section.reload_seconds)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opened = False
        self._measure()
        logged = AccessLog(
            self._application(section.max_body_bytes),
            self.lines,
            self.metrics,
            worker=worker.number,
            redactor=redactor,
        )
        self.application: ASGIApp = with_cors(_within_traces(logged, config), section.origins)

    @property
    def config(self) -> Config:
        """The configuration that is in place."""
        return self.configured.config

    # ------------------------------------------------------------------------------ opening, closing

    async def open(self) -> None:
        """Begin. Whatever else is away, it begins; then it says in /health what is missing."""
        logging.getLogger("polyvox").addHandler(self._records)
        await self.database.open()
        for name, load in (("keys", self.directory.load), ("templates", self.prompts.reload)):
            try:
                await load()
            except OverloadedError as error:
                _log.warning("the %s can't be read yet: %s", name, error.text)
        await self._take_provider_keys()
        self.shipper.start()
        if self.database.state.status == "up":
            await self.shipper.restored(_RESTORE_SECONDS)
        self.reloader.watch(TENANTS, self._tenants_changed)
        self.reloader.watch(PROMPTS, self.prompts.reload)
        self.reloader.start()
        self.contexts.start()
        self.runner.start()
        self._begin(LoopLag(self.metrics.loop_lag).run())
        self._begin(self.reload.watch())
        self._begin(self._retain())
        self._worker.hangup = lambda: self.reload.ask("a signal")
        self._worker.draining.listen(self.runner.stop)  # its lines in flight are asked again later
        self._worker.cut.listen(lambda: self.calls.interrupt_all("the gateway stops"))
        self._opened = True

    async def aclose(self) -> None:
        """End: calls are over by now, or end at once. What is written down stays."""
        self._opened = False
        self.calls.interrupt_all("the gateway stops")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.live.aclose()
        await self.runner.aclose()
        await self.reloader.aclose()
        await self.contexts.aclose()
        await self.configured.aclose()
        if isinstance(self.limits, RedisLimits):
            await self.limits.aclose()
        await asyncio.to_thread(self.journal.close)
        await self.shipper.drained(_DRAIN_SECONDS)
        await self.shipper.aclose()
        await self.database.aclose()
        logging.getLogger("polyvox").removeHandler(self._records)
        self.lines.close()

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _retain(self) -> None:
        """Delete records that are too old, every hour."""
        while True:
            days = self.config.gateway.retention_days
            if days is not None:
                with suppress(PolyvoxError):
                    await prune(self.database, time.time() - days * _DAY)
            await asyncio.sleep(_RETENTION_SECONDS)

    # --------------------------------------------------------------------------------- what changes

    async def _prepare(self) -> Configured:
        config = await asyncio.to_thread(self._launch.read)
        configured = Configured(config, self._keys, self.calls, self.approvals)
        self.directory.configure(config.gateway.keys, config.gateway.admin_key)  # the last to fail
        return configured

    def _swap(self, configured: Configured) -> None:
        section, before = configured.config.gateway, self.configured
        self.configured = configured
        self.asking.models = configured.models
        self.admission.resize(section.max_in_flight, section.max_queued, section.queue_seconds)
        self._begin(self._close_when_over(before))

    async def _close_when_over(self, configured: Configured) -> None:
        """Calls that are under way end with the connections that they began with."""
        await self.calls.over()
        await configured.aclose()

    def _tell_reload(self, what: str, problem: str | None) -> None:
        if problem is None:
            _log.info("%s", what)
        else:
            _log.error("%s: %s", what, problem)

    async def _tenants_changed(self) -> None:
        await self.directory.load()
        await self._take_provider_keys()

    async def _take_provider_keys(self) -> None:
        """Providers' keys of the database; where they have changed, models are made anew with them."""
        try:
            found = await self.provider_keys.revealed()
        except OverloadedError:
            return
        if _revealed(found) != _revealed(self._keys):
            self._keys = found
            await self.reload.reload("keys of providers have changed")

    # ------------------------------------------------------------------------------------ its parts

    def _application(self, max_body: int) -> Application:
        dialects = DialectPaths(self.asking, self.door, self.admission, max_body)
        endpoints = self.endpoints()
        endpoints += Described(endpoints, dialects.spoken, _VERSION).endpoints()
        sockets = {"/v1/ws": self.live}
        return Application(dialects, endpoints, self.door, max_body, sockets=sockets, lifespan=self)

    def _measure(self) -> None:
        """Have the metrics read what the parts know of themselves."""
        watch_admission(self.metrics, self.admission)
        watch_journal(self.metrics, self.journal, self.shipper)
        watch_store(self.metrics, "database", self.database)
        if isinstance(self.limits, RedisLimits):
            watch_store(self.metrics, "limits", self.limits)
        watch_log(self.metrics, self.lines)

    def endpoints(self) -> list[Endpoint]:
        """Everything that can be asked over HTTP beside the models."""
        section = self.config.gateway
        draining = self._worker.draining
        parts = [
            database_part(self.database),
            journal_part(self.journal, section.journal),
            shipper_part(self.shipper),
            reload_part(lambda: self.reload.failure),
        ]
        if isinstance(self.limits, RedisLimits) and self.config.accounts is not None:
            parts.append(redis_part(self.limits, "limits", self.config.accounts.on_failure))
        health = Health(parts, self.admission, draining=draining, worker=self._worker.number)
        readiness = Readiness(
            draining,
            opened=lambda: self._opened,
            keys_known=lambda: len(self.directory) > 0 or bool(self._launch.admin_digest),
            refuses_all=lambda: self._watch.refusal() is not None,
        )
        deciding = Deciding(self.configured.agents, self.asking, self.admission)
        return [
            *Operations(health, readiness, self.metrics).endpoints(),
            *call_endpoints(self.calls),
            *own_endpoints(self.database, self.limits),
            *admin_endpoints(self.tenants, self.provider_keys, self.directory),
            *context_endpoints(self.contexts, self._ask_for),
            *prompt_endpoints(self.prompts),
            *self.batches.endpoints(),
            *deciding.endpoints(),
        ]

    def _ask_for(self, access: Access) -> Any:
        """What asks a model in the name of this access: with its budgets, and in the ledger."""

        async def ask(model: str, request: Request) -> AssistantMessage:
            asked = Asked(access=access, request=replace(request, model=model))
            return await self.asking.whole(asked)

        return ask


def _within_traces(app: ASGIApp, config: Config) -> ASGIApp:
    """The application; its calls are part of their callers' traces where OpenTelemetry is told of them."""
    if config.telemetry is None:
        return app
    from polyvox.gateway.operations.trace_context import TraceContext  # of another extra

    return TraceContext(app)


def _revealed(keys: Mapping[str, Sequence[Secret]]) -> dict[str, list[str]]:
    return {name: [key.reveal() for key in own] for name, own in keys.items()}
