"""A service from start to end: what is opened in which order, what its signals do, and how it leaves."""

import asyncio
import gc
import logging
import os
import signal
import ssl
import time
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path
from typing import Final

import uvloop

from pgbearer.audit import AuditLog, AuditUnavailable, Recent
from pgbearer.config import Loaded
from pgbearer.errors import PgbearerError
from pgbearer.hardening import forbid_dumps, raise_file_limit
from pgbearer.policy import Compiled
from pgbearer.service.admin import AdminHandler
from pgbearer.service.app import make_app
from pgbearer.service.audit_file import open_audit
from pgbearer.service.callers import login_sockets
from pgbearer.service.decide import Decider
from pgbearer.service.forgotten import look_for_forgotten
from pgbearer.service.health import Health
from pgbearer.service.limits import Slots
from pgbearer.service.listeners import HttpListener, Places, UnixListener, open_places
from pgbearer.service.login_protocol import LoginHandler, NetworkLoginHandler, by_uid
from pgbearer.service.logs import log_error
from pgbearer.service.metrics import Metrics
from pgbearer.service.moving import MovesCollector
from pgbearer.service.reload import Reloader, watch
from pgbearer.service.state import KEYS_SECONDS, State, build_state, read_file
from pgbearer.service.tls_listener import Refusals, TlsListener
from pgbearer.systemd import notify

__all__ = ["DRAIN_SECONDS", "Service", "serve"]

DRAIN_SECONDS: Final = 10.0
"""How long logins under way may take when the service ends."""

_TICK_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


def serve(path: Path) -> None:
    """Run the service until SIGTERM or SIGINT.

    Args:
        path: pgbearer.yaml.

    Raises:
        ConfigError: the file cannot be used.
        UsageError: a socket, its folder, the address, a user, the audit file or what is revoked cannot be used.
        AuditUnavailable: the audit file cannot be written.
    """
    forbid_dumps()
    raise_file_limit()
    loaded = read_file(path)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(path, loaded))


async def _serve(path: Path, loaded: Loaded[Compiled]) -> None:
    """Sockets come first, so that a second service fails before it touches anything of the first's."""
    state = build_state(loaded, login_sockets(loaded.settings))
    with open_places(state) as places, closing(open_audit(state.settings.audit.file)) as audit:
        audit.limit(denials_per_minute=state.settings.limits.denials_per_identity_per_minute)
        state.revocations.open()
        missing = look_for_forgotten(state.settings.audit.file, state.revocations)
        await Service(path, state, audit, forgotten=missing).run(places)


class Service:
    """The parts of one running service and how they hang together. For one event loop.

    Args:
        path: the file, which is watched.
        state: what it came to at start.
        audit: open; the caller closes it.
        forgotten: ids of revocations that the audit tells of and the state folder does not have.
    """

    def __init__(self, path: Path, state: State, audit: AuditLog, *, forgotten: tuple[str, ...] = ()) -> None:
        self.metrics = Metrics()
        self.recent = Recent()
        self.decider = Decider(state, audit, self.recent, self.metrics)
        self.health = Health(self.decider, audit, forgotten=forgotten)
        self.reloader = Reloader(path, self.decider, audit, self.health, self.metrics)
        self._path = path
        self._audit = audit
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()
        self.metrics.watch_keys(self.health.issuers)
        self.metrics.watch_deciders(self.health.deciders)
        self.metrics.watch(MovesCollector(self.decider.logins, self.health.moves))

    async def run(self, places: Places) -> None:
        """Serve until a signal says to stop, then let the logins under way finish."""
        self._handle_signals()
        state = self.decider.state
        revocations, missing = len(state.revocations.current()), list(self.health.forgotten)
        self._audit.note(
            "start", policy=state.digest, pid=os.getpid(), revocations=revocations, revocations_forgotten=missing
        )
        self.metrics.loaded(state.digest, state.loaded_at / 1000)
        for warning in state.warnings:
            _log.warning("%s", warning)
        await state.verifiers.start(within=KEYS_SECONDS)
        logins, admin, http = self._listeners(places)
        for listener in (*logins, admin):
            await listener.start()
        http.start()
        self._in_background(self._tick(), "tick")
        self._in_background(watch(self._path, self.reloader, self._stop), "watch")
        gc.collect()
        gc.freeze()  # what lives as long as the service is not searched for garbage again while a login waits
        self._announce(state, places)
        await self._stop.wait()
        await self._drain(logins, admin, http)

    def _listeners(self, places: Places) -> tuple[list[UnixListener | TlsListener], UnixListener, HttpListener]:
        slots = Slots()
        logins: list[UnixListener | TlsListener] = [
            UnixListener(bound, LoginHandler(by_uid(bound.path), self.decider, slots, self.metrics))
            for bound in places.logins
        ]
        if places.network is not None:
            refusals = Refusals(self.metrics)
            handler = NetworkLoginHandler(self.decider, slots, self.metrics, refusals)
            logins.append(TlsListener(places.network, handler, self._context, refusals))
        admin = UnixListener(places.admin, AdminHandler(self.recent, self.health, self._audit, self.metrics))
        return logins, admin, HttpListener(places.http, make_app(self.health, self.metrics))

    def _context(self) -> ssl.SSLContext:
        """What connections over the network are met with now."""
        assert self.decider.state.tls is not None  # noqa: S101 -- a reload neither brings nor takes the listener
        return self.decider.state.tls.context

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for end in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(end, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._in_background(self._hang_up(), "reload"))

    def _announce(self, state: State, places: Places) -> None:
        notify("READY=1")
        host, port = places.http.getsockname()[:2]
        _log.info("health and metrics on %s:%s", host, port)
        for login in state.sockets.values():
            _log.info("serving logins of %s on %s", ", ".join(login.callers.values()), login.path)
        if places.network is not None:
            host, port = places.network.getsockname()[:2]
            servers = ", ".join(state.certificates.values()) or "nobody"
            _log.info("serving logins of %s over TLS on %s:%s", servers, host, port)
        _log.info("policy %s; audit to %s", state.digest[:12], state.settings.audit.file)
        for obstacle in self.health.obstacles():
            _log.warning("not ready: %s", obstacle)

    async def _hang_up(self) -> None:
        """SIGHUP: go on in a new audit file if the old one was moved away, and read the settings again."""
        notify("RELOADING=1")
        try:
            self._audit.reopen()
        except PgbearerError as error:
            _log.error("the audit file cannot be reopened, the one before stays in use: %s", error.diagnostics())
        await self.reloader.reload()
        notify("READY=1")

    async def _tick(self) -> None:
        """Once a second; what goes wrong in one is tried again in the next."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                await self._look_after()
            except Exception as error:  # noqa: BLE001 - else no certificate would be renewed until a restart
                log_error("what is done once a second failed", error)

    async def _look_after(self) -> None:
        """Renew certificates, write the numbers of floods, see whether a failed audit works again."""
        if self.decider.state.tls is not None:
            await self.decider.state.tls.renew_if_changed(self.metrics)
        try:
            self._audit.flush()
            self.decider.shadow.note(time.monotonic())
            if self.decider.audit_fault is not None:
                self._audit.note("recovered", fault=self.decider.audit_fault)
                self.decider.audit_fault = None
                _log.info("the audit can be written again")
        except AuditUnavailable as error:
            self.decider.audit_failed(error)

    async def _drain(self, logins: list[UnixListener | TlsListener], admin: UnixListener, http: HttpListener) -> None:
        notify("STOPPING=1")
        self.decider.draining = True
        for listener in (*logins, admin):
            listener.close()
        _log.info("stopping: logins under way finish, no new ones are taken")
        await asyncio.gather(*(listener.drained(DRAIN_SECONDS) for listener in (*logins, admin)))
        await http.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.decider.state.aclose()
        await self.decider.state.revocations.aclose()
        self.decider.shadow.stop(peer_uid=None, why="the service stops")
        self._audit.note("stop")

    def _in_background(self, work: Coroutine[object, object, object], name: str) -> "asyncio.Task[object]":
        """A task that is held on to, and whose failure is seen."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log_error(f"the task {task.get_name()} failed", error)
