"""Where parts are kept: whole or not at all, once for each key, and where another uid can enter."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.parts import cache, progress
from tests.parts.cache import CacheError, alone, cached, enterable, home


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PGBEARER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "enterable", lambda _: True)  # pytest's folders are 0700
    monkeypatch.setattr(progress, "_voice", lambda _: None)
    return tmp_path / "cache"


def make(folder: Path) -> None:
    (folder / "part").write_text("made")


def never(folder: Path) -> None:
    raise AssertionError(f"{folder} is made a second time")


def test_part_is_made_once_for_each_key() -> None:
    first = cached("part", "key", make)

    assert (first / "part").read_text() == "made"
    assert cached("part", "key", never) == first
    assert cached("part", "another key", make) != first


def test_failed_part_leaves_nothing_to_be_found(place: Path) -> None:
    def fail(folder: Path) -> None:
        make(folder)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        cached("part", "key", fail)

    assert not [entry for entry in place.iterdir() if entry.is_dir()]
    assert (cached("part", "key", make) / "part").exists()


def test_what_a_killed_builder_left_is_not_used(place: Path) -> None:
    finished = cached("part", "key", make)
    finished.rename(finished.with_name(finished.name + ".new"))
    (finished.with_name(finished.name + ".new") / "half").touch()

    again = cached("part", "key", make)

    assert [entry.name for entry in again.iterdir()] == ["part"]


def test_root_keeps_nothing_where_postgres_cannot_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "enterable", lambda _: False)
    monkeypatch.setattr("os.geteuid", lambda: 0)

    with pytest.raises(CacheError, match="PGBEARER_CACHE"):
        home()


def test_ordinary_user_keeps_it_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PGBEARER_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert home() == tmp_path / ".cache" / "pgbearer"


def test_folder_below_a_closed_one_is_not_enterable(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    inner = closed / "inner"
    inner.mkdir(parents=True)
    inner.chmod(0o755)
    closed.chmod(0o700)

    assert not enterable(inner)
    assert enterable(Path("/"))


def test_what_another_run_has_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    other = ExitStack()
    other.enter_context(alone("it"))

    def say(line: str) -> None:
        told.append(line)
        other.close()

    monkeypatch.setattr("tests.parts.cache.say", say)
    with alone("it"):
        assert told == ["another run has it; this one goes on when it ends"]
    with alone("it"):  # nobody has it now
        assert len(told) == 1
