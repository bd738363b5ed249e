"""The gateway of one worker: all its rooms, opened in their order and closed in the reverse one."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any

from msgspec.structs import replace

from polyvox.config import Config
from polyvox.config.serving import GatewaySection
from polyvox.config.stores import secrets_of
from polyvox.gateway.app import Application
from polyvox.gateway.asking.asking import Asked, Asking
from polyvox.gateway.asking.call_watch import CallWatch
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.asking.counting import Counting
from polyvox.gateway.asking.dialects import DialectPaths
from polyvox.gateway.asking.endpoints import call_endpoints
from polyvox.gateway.asking.gates import Gates
from polyvox.gateway.asking.wishes import Wishes
from polyvox.gateway.batches.answering import Answering
from polyvox.gateway.batches.endpoints import Batches
from polyvox.gateway.batches.files import Files
from polyvox.gateway.batches.runner import Runner
from polyvox.gateway.batches.turns import FreeRoom
from polyvox.gateway.configured import Configured
from polyvox.gateway.contexts.compacting import Ask
from polyvox.gateway.contexts.endpoints import context_endpoints
from polyvox.gateway.live.approvals import Approvals
from polyvox.gateway.live.deciding import Deciding
from polyvox.gateway.live.socket import Live
from polyvox.gateway.openapi.document import Described
from polyvox.gateway.operations.access_log import AccessLog
from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.operations.endpoints import Operations
from polyvox.gateway.operations.gauges import (
    watch_admission,
    watch_budgets,
    watch_debts,
    watch_deployments,
    watch_journal,
    watch_log,
    watch_parts,
    watch_store,
)
from polyvox.gateway.operations.health import (
    Health,
    database_part,
    deployments_part,
    journal_part,
    redis_part,
    reload_part,
    shipper_part,
)
from polyvox.gateway.operations.log_lines import LogLines
from polyvox.gateway.operations.log_records import LogRecords
from polyvox.gateway.operations.loop_lag import LoopLag
from polyvox.gateway.operations.metrics import Metrics
from polyvox.gateway.operations.pages import Pages
from polyvox.gateway.operations.ready import Readiness
from polyvox.gateway.operations.reload import Reload
from polyvox.gateway.prompts.endpoints import prompt_endpoints
from polyvox.gateway.records import Records
from polyvox.gateway.serving.checks import check_sharing
from polyvox.gateway.serving.launch import Launch
from polyvox.gateway.serving.worker import Worker
from polyvox.gateway.shared import Shared
from polyvox.gateway.tenants.access import Access, Level
from polyvox.gateway.tenants.admin import admin_endpoints
from polyvox.gateway.tenants.overview import BudgetsLeft, limit_endpoints
from polyvox.gateway.tenants.own import own_endpoints
from polyvox.gateway.web.asgi import ASGIApp
from polyvox.gateway.web.cors import with_cors
from polyvox.gateway.web.endpoints import Endpoint
from polyvox.gateway.web.proxies import with_proxies
from polyvox.ledger import Redactor
from polyvox.messages import AssistantMessage
from polyvox.request import Request
from polyvox.routing import Router

__all__ = ["Gateway", "application_of"]

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
        self.metrics = Metrics(worker.number)
        self.pages = Pages(self.metrics, launch.data, worker.number, worker.count)
        self.lines = LogLines(launch.log)
        redactor = Redactor(secrets_of(config))
        self._log_records = LogRecords(self.lines, redactor=redactor)
        self.records = Records(config, launch.data, redactor)
        self.shared = self._shared(config.gateway)
        self.accounts = (
            self.records.limits if self.records.redis is None else Counting(self.records.limits)
        )
        self.calls, self.approvals = Calls(), Approvals()
        self.admission = self._admission(config.gateway)
        self.configured = self._configured(config)
        self._watch = CallWatch(self.metrics, self.records.journal)
        self.asking = self._asking()
        self.live = self._live(config.gateway)
        self.runner, self.batches = self._batches()
        self.reload = Reload(
            self._prepare,
            self._swap,
            self._tell_reload,
            path=launch.file,
            every_seconds=config.gateway.reload_seconds,
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opened = False
        self._measure()
        self.application = self._around(self._application(config.gateway), config, redactor)

    @property
    def config(self) -> Config:
        """The configuration that is in place."""
        return self.configured.config

    # ------------------------------------------------------------------------------ opening, closing

    async def open(self) -> None:
        """Begin. Whatever else is away, it begins; then it says in /health what is missing."""
        logging.getLogger("polyvox").addHandler(self._log_records)
        number = self._worker.number
        await self.records.open()
        await self.shared.open()
        self.runner.start()
        self._begin(LoopLag(self.metrics.loop_lag).run())
        self._begin(self.reload.watch())
        self._begin(self.pages.keep())
        budgets = BudgetsLeft(self.shared.directory, self.records.limits, lambda: self.config)
        watch_budgets(self.metrics, budgets)
        self._begin(budgets.run())
        self._begin(self.records.retain(lambda: self.config.gateway.retention_days))
        self._worker.hangup = lambda: self.reload.ask("a signal")
        self._worker.draining.listen(self.runner.stop)  # its lines in flight are asked again later
        self._worker.cut.listen(lambda: self.calls.interrupt_all("the gateway stops"))
        self._worker.draining.listen(lambda: _log.info("worker %s is told to stop", number))
        self._opened = True
        _log.info("worker %s of %s serves", number, self._worker.count)

    async def aclose(self) -> None:
        """End: calls are over by now, or end at once. What is written down stays."""
        self._opened = False
        self.calls.interrupt_all("the gateway stops")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.live.aclose()
        await self.runner.aclose()
        await self.shared.aclose()
        await self.configured.aclose()
        await self.records.aclose()
        _log.info("worker %s has stopped", self._worker.number)
        logging.getLogger("polyvox").removeHandler(self._log_records)
        self.lines.close()

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --------------------------------------------------------------------------------- what changes

    async def _prepare(self) -> Configured:
        config = await asyncio.to_thread(self._launch.read)
        check_sharing(config, self._worker.count)
        configured, section = self._configured(config), config.gateway
        self.shared.directory.configure(section.keys, section.admin_key)  # the last to fail
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

    async def _keys_changed(self) -> None:
        """Models are made anew with other keys of providers."""
        await self.reload.reload("keys of providers have changed")

    # ------------------------------------------------------------------------------------ its parts

    def _shared(self, section: GatewaySection) -> Shared:
        return Shared(
            section,
            self._launch,
            self.records.database,
            worker=self._worker.number,
            together=self._worker.count == 1 or self.records.redis is not None,
            on_keys=self._keys_changed,
        )

    def _admission(self, section: GatewaySection) -> Admission:
        return Admission(
            section.max_in_flight,
            section.max_queued,
            section.queue_seconds,
            draining=self._worker.draining,
        )

    def _configured(self, config: Config) -> Configured:
        return Configured(config, self.shared.keys, self.calls, self.approvals, self.accounts)

    def _asking(self) -> Asking:
        return Asking(
            self.configured.models,
            Gates(self.accounts, lambda name: self.metrics.shadowed("limit", name)),
            self.records.journal,
            self.calls,
            prompts=self.shared.prompts,
            contexts=self.shared.contexts,
            watch=self._watch,
        )

    def _live(self, section: GatewaySection) -> Live:
        return Live(
            self.asking,
            self.shared.door,
            self.admission,
            self.approvals,
            origins=section.origins,
            draining=self._worker.draining,
        )

    def _batches(self) -> tuple[Runner, Batches]:
        database = self.records.database
        folder = self.config.gateway.files or self._launch.data
        files = Files(database, folder / "files")
        room = FreeRoom(self.admission, lambda: self.config.gateway.max_in_flight)
        answering = Answering(self.asking, self.shared.directory)
        runner = Runner(database, files, folder / "batches", answering, room=room)
        return runner, Batches(database, files, wake=runner.wake)

    # ------------------------------------------------------------------------------- seen from outside

    def _application(self, section: GatewaySection) -> Application:
        door, most = self.shared.door, section.max_body_bytes
        dialects = DialectPaths(self.asking, door, self.admission, most)
        endpoints = self.endpoints()
        endpoints += Described(endpoints, dialects.spoken, _VERSION).endpoints()
        sockets = {"/v1/ws": self.live}
        return Application(dialects, endpoints, door, most, sockets=sockets, lifespan=self)

    def _around(self, app: ASGIApp, config: Config, redactor: Redactor) -> ASGIApp:
        """The application with what is around every request: the log, traces, and which pages may ask."""
        number = self._worker.number
        app = AccessLog(
            app,
            self.lines,
            self.metrics,
            worker=number,
            redactor=redactor,
            reasons=self.records.journal.reasons,
        )
        if config.telemetry is not None:
            from polyvox.gateway.operations.trace_context import TraceContext  # of another extra

            app = TraceContext(app)
        return with_proxies(with_cors(app, config.gateway.origins), config.gateway.proxies)

    def _measure(self) -> None:
        """Have the metrics read what the parts know of themselves."""
        records = self.records
        watch_admission(self.metrics, self.admission)
        watch_journal(self.metrics, records.journal, records.shipper)
        watch_store(self.metrics, "database", records.database)
        if records.redis is not None:
            watch_store(self.metrics, "limits", records.redis)
            watch_debts(self.metrics, records.redis)
        watch_log(self.metrics, self.lines)
        watch_deployments(self.metrics, self._routers)

    def endpoints(self) -> list[Endpoint]:
        """Everything that can be asked over HTTP beside the models."""
        records, shared = self.records, self.shared
        return [
            *Operations(self._health(), self._readiness(), self.pages.text).endpoints(),
            *call_endpoints(self.calls, records.database, records.shipped),
            *own_endpoints(records.database, records.limits),
            *limit_endpoints(shared.directory, records.limits, lambda: self.config),
            *admin_endpoints(shared.tenants, shared.provider_keys, shared.directory),
            *context_endpoints(shared.contexts, self._ask_for),
            *prompt_endpoints(shared.prompts),
            *self.batches.endpoints(),
            *Deciding(self.approvals, self.asking, self.admission).endpoints(),
        ]

    def _health(self) -> Health:
        config, records, worker = self.config, self.records, self._worker
        parts = [
            database_part(records.database),
            journal_part(records.journal, config.gateway.journal),
            shipper_part(records.shipper),
            reload_part(lambda: self.reload.failure),
            deployments_part(self._routers),
        ]
        if records.redis is not None and config.accounts is not None:
            parts.append(redis_part(records.redis, "limits", config.accounts.on_failure))
        health = Health(parts, self.admission, draining=worker.draining, worker=worker.number)
        watch_parts(self.metrics, health)
        return health

    def _routers(self) -> list[Router]:
        return self.configured.routers

    def _readiness(self) -> Readiness:
        return Readiness(
            self._worker.draining,
            opened=lambda: self._opened,
            keys_known=lambda: self.shared.directory.knows_callers,
            refuses_all=lambda: self._watch.refusal() is not None,
        )

    def _ask_for(self, access: Access, wishes: Wishes) -> Ask:
        """What asks a model in the name of this access: with its budgets, and in the ledger."""

        async def ask(model: str, request: Request, level: Level | None) -> AssistantMessage:
            request = replace(request, model=model)
            asked = Asked(access=access, request=request, wishes=wishes, level=level)
            return await self.asking.whole(asked)

        return ask
