"""A changed file: taken whole if it is good, refused whole and in plain sight if it is not."""

import asyncio
import contextlib
import logging
import time
from pathlib import Path
from typing import Final

from pgbearer.audit import AuditLog, AuditUnavailable
from pgbearer.config import FOLDER, ConfigError, look, read_fingerprint
from pgbearer.errors import PgbearerError, UsageError
from pgbearer.service.callers import login_sockets
from pgbearer.service.decide import Decider
from pgbearer.service.health import Health
from pgbearer.service.logs import log_error
from pgbearer.service.metrics import Metrics
from pgbearer.service.state import KEYS_SECONDS, State, build_state, read_file

__all__ = ["Reloader", "watch"]

LOOK_SECONDS: Final = 1.0
"""Between two looks of our own at the files."""
SETTLING: Final = 3.0
"""Seconds after a change for which the files are read at each look: another change within one tick of the file system's
clock (two seconds on the coarsest) leaves size and times as they are."""

_log = logging.getLogger(__name__)


class Reloader:
    """Reloads the settings of one service, one reading at a time.

    Args:
        path: pgbearer.yaml; `pgbearer.config.look` also sees to what is in ``policy.d`` beside it.
        decider: whose configuration is replaced.
        audit: where a change is recorded before it is in force.
        health: where a refusal can be seen.
        metrics: likewise.
    """

    def __init__(self, path: Path, decider: Decider, audit: AuditLog, health: Health, metrics: Metrics) -> None:
        self._path = path
        self._decider = decider
        self._audit = audit
        self._health = health
        self._metrics = metrics
        self._one_at_a_time = asyncio.Lock()
        self._seen: object = (decider.state.digest, ())
        self._looked: tuple[object, ...] | None = None
        self._changed = 0.0

    async def reload(self) -> bool:
        """Read the file, changed or not, and put it in force if all of it is good; False if it was refused."""
        async with self._one_at_a_time:
            return await self._replace("as asked")

    async def reload_if_changed(self) -> None:
        """Reload unless the files hold the same bytes, and are as safe, as at the last reading, good or bad."""
        async with self._one_at_a_time:  # what a reload under way is just reading has not changed after it
            try:
                await self._replace_if_changed()
            except BaseException:
                self._looked = None  # it was not read after all: the next look is to find it changed
                raise

    async def _replace_if_changed(self) -> None:
        looks, now = look(self._path), time.monotonic()
        changed = looks != self._looked
        if changed:
            self._looked, self._changed = looks, now
        elif now - self._changed > SETTLING:
            return
        retry = changed and bool(self._health.config_problems)  # what was wrong may have been in another file
        if retry or await asyncio.to_thread(read_fingerprint, self._path) != self._seen:
            await self._replace("for it changed")

    async def _replace(self, why: str) -> bool:
        """Put in force what the file says now, or refuse it."""
        self._looked, self._changed = look(self._path), time.monotonic()
        self._seen = await asyncio.to_thread(read_fingerprint, self._path)
        try:
            state = await self._read()
        except PgbearerError as error:
            self._refused(error)
            return False
        except Exception as error:  # noqa: BLE001 - the watch must outlive what nobody foresaw in a file
            log_error("reading the settings failed", error)
            self._refused(UsageError("an unforeseen error, see the log", where=str(self._path)))
            return False
        before, self._decider.state = self._decider.state, state
        self._audit.limit(denials_per_minute=state.settings.limits.denials_per_identity_per_minute)
        self._health.config_problems = ()
        self._metrics.loaded(state.digest, state.loaded_at / 1000)
        self._metrics.reloads.labels("accepted").inc()
        _log.info("reloaded %s %s: policy %s", self._path, why, state.digest[:12])
        await before.aclose()
        return True

    async def _read(self) -> State:
        present = self._decider.state
        loaded = await asyncio.to_thread(read_file, self._path)
        self._seen = (loaded.digest, ())
        sockets = await asyncio.to_thread(login_sockets, loaded.settings)
        state = build_state(loaded, sockets, present)
        try:
            self._stays_in_place(state, present)
            self._audit.note("reload", policy=state.digest, policy_before=present.digest)
            await state.verifiers.start(within=KEYS_SECONDS)
        except BaseException:
            await state.aclose()
            raise
        return state

    def _stays_in_place(self, state: State, present: State) -> None:
        if state.places() != present.places():
            what = "a socket, listen.tls.address, http.address, audit.file or state.folder changed"
            raise UsageError(what, where=str(self._path), hint="That takes a restart.")

    def _refused(self, error: PgbearerError) -> None:
        problems = tuple(str(problem) for problem in error.problems) if isinstance(error, ConfigError) else ()
        self._health.config_problems = problems or (error.diagnostics(),)
        self._metrics.reloads.labels("refused").inc()
        _log.error("the new file is refused, the one before stays in force: %s", error.diagnostics())
        try:
            self._audit.note(
                "reload_refused", policy=self._decider.state.digest, problems=len(self._health.config_problems)
            )
        except AuditUnavailable as unavailable:
            _log.error("the refusal could not be recorded: %s", unavailable.diagnostics())


async def watch(path: Path, reloader: Reloader, stop: asyncio.Event) -> None:
    """Reload whenever the file changes, until `stop`.

    The folder is watched, not the file: editors rename over it, and Kubernetes swaps the ``..data`` link beside it.
    Once a second we look for ourselves, because not every file system tells, and none tells what happened before; that
    also finds a ``policy.d`` that was not there at the start. Where nothing can be watched that is all: the kernel lets
    each user have so many watches (inotify(7)), and a pod shares them with all pods of its node that have its uid.
    """
    from watchfiles import awatch  # here, because it is only wanted once the service runs

    folders = {path.parent, path.resolve().parent}  # noqa: ASYNC240 - once, at start
    if (more := path.parent / FOLDER).is_dir():
        folders.add(more)
    try:
        changes = awatch(
            *folders,
            recursive=False,
            stop_event=stop,
            step=50,
            debounce=500,
            rust_timeout=round(LOOK_SECONDS * 1000),
            yield_on_timeout=True,
        )
        async for _ in changes:
            await _look(reloader)
    except Exception as error:  # noqa: BLE001 - whatever it is: a right that is taken away must not wait for a restart
        what = "the settings cannot be watched (fs.inotify.max_user_instances?), they are looked at every second"
        log_error(what, error)
    while not stop.is_set():
        await _look(reloader)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_SECONDS)


async def _look(reloader: Reloader) -> None:
    """What fails once, as for want of a thread, is tried again."""
    try:
        await reloader.reload_if_changed()
    except Exception as error:  # noqa: BLE001 - as above
        log_error("looking whether the settings have changed failed", error)
