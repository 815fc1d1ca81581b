"""When the settings are read again: what is noticed, and what costs nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgbearer.config import read_fingerprint
from pgbearer.service import reload as module
from pgbearer.service.reload import SETTLING, Reloader, watch


class Watched(Reloader):
    """Counts reloads instead of doing anything with what it reads."""

    def __init__(self, path: Path) -> None:
        state = SimpleNamespace(digest=read_fingerprint(path)[0])
        self.health = SimpleNamespace(config_problems=())
        members = (SimpleNamespace(state=state), None, self.health, None)
        super().__init__(path, *(cast("Any", member) for member in members))
        self.reloads = 0

    async def _replace(self, why: str) -> bool:
        self.reloads += 1
        self._seen = await asyncio.to_thread(read_fingerprint, self._path)
        return bool(why)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "pgbearer.yaml"
    file.write_text("first")
    file.chmod(0o600)
    return file


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, to be changed."""
    now = [1000.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def write(file: Path, text: str) -> None:
    file.write_text(text)


def allow(path: Path, mode: int) -> None:
    path.chmod(mode)


async def test_two_changes_within_one_tick_of_the_clock_are_both_seen(
    file: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "look", lambda _: ("same size, same time",))
    reloader = Watched(file)
    await reloader.reload_if_changed()
    assert reloader.reloads == 0
    for count, text in enumerate(("other", "third"), 1):
        write(file, text)
        clock[0] += SETTLING / 3
        await reloader.reload_if_changed()
        await reloader.reload_if_changed()
        assert reloader.reloads == count


async def test_files_that_are_left_alone_are_not_read_all_the_time(
    file: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    reloader = Watched(file)
    await reloader.reload_if_changed()
    clock[0] += SETTLING + 1
    monkeypatch.setattr(module, "read_fingerprint", pytest.fail)
    await reloader.reload_if_changed()


async def test_who_may_write_it_is_a_change_and_other_modes_are_none(file: Path, clock: list[float]) -> None:
    reloader = Watched(file)
    for mode, count in ((0o640, 0), (0o660, 1), (0o660, 1), (0o600, 2), (0o400, 2)):
        allow(file, mode)
        clock[0] += SETTLING + 1
        await reloader.reload_if_changed()
        assert reloader.reloads == count
    for mode, count in ((0o770, 3), (0o700, 4)):
        allow(file.parent, mode)
        clock[0] += SETTLING + 1
        await reloader.reload_if_changed()
        assert reloader.reloads == count


async def test_a_refused_file_is_tried_again_when_it_is_touched_and_not_before(file: Path, clock: list[float]) -> None:
    """What was wrong may be mended in a file that it names."""
    reloader = Watched(file)
    await reloader.reload_if_changed()
    reloader.health.config_problems = ("ca_file: not trusted",)
    await reloader.reload_if_changed()
    assert reloader.reloads == 0
    clock[0] += SETTLING + 1
    write(file, "first")
    await reloader.reload_if_changed()
    assert reloader.reloads == 1


async def test_a_change_that_was_read_as_asked_is_not_read_again(file: Path, clock: list[float]) -> None:
    """Whoever edits the file and says so at once gets one reload: a second would forget what logins just found out."""
    reloader = Watched(file)
    write(file, "other")
    clock[0] += 1
    await asyncio.gather(reloader.reload(), reloader.reload_if_changed())
    assert reloader.reloads == 1


async def test_what_could_not_be_read_is_read_at_the_next_look(
    file: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    reloader = Watched(file)
    await reloader.reload_if_changed()
    write(file, "other")
    with monkeypatch.context() as patch:
        patch.setattr(module, "read_fingerprint", lambda _: _fail("can't start new thread"))
        with pytest.raises(RuntimeError):
            await reloader.reload_if_changed()
    clock[0] += SETTLING + 1
    await reloader.reload_if_changed()
    assert reloader.reloads == 1


class Looked:
    """In the place of a reloader: fails at the first look, and stops the watch after some."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.looks = 0
        self._stop = stop

    async def reload_if_changed(self) -> None:
        self.looks += 1
        if self.looks == 1:
            _fail("can't start new thread")
        if self.looks >= 3:
            self._stop.set()


def _fail(why: str) -> None:
    raise RuntimeError(why)


async def _told_of(*_: object, stop_event: asyncio.Event, **__: object) -> AsyncIterator[None]:
    while not stop_event.is_set():
        yield


async def _cannot_watch(*_: object, **__: object) -> AsyncIterator[None]:
    _fail("Too many open files (os error 24)")
    yield


@pytest.mark.parametrize("awatch", [_told_of, _cannot_watch])
async def test_the_files_are_looked_at_whatever_fails(
    file: Path, monkeypatch: pytest.MonkeyPatch, awatch: object
) -> None:
    """Nobody is let in by rules that were taken away, for want of a watch (inotify(7)) or of a thread."""
    monkeypatch.setattr("watchfiles.awatch", awatch)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    stop = asyncio.Event()
    looked = Looked(stop)
    await watch(file, cast("Reloader", looked), stop)
    assert looked.looks >= 3
