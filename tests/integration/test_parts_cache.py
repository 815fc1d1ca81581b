"""The cache of built parts: each is built once, and what newer ones have replaced does not stay for ever."""

import os
import time
from pathlib import Path

import pytest

from tests.parts.cache import cached

DAY = 24 * 3600.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.parts.cache.home", lambda: tmp_path)


def made(name: str, key: str) -> Path:
    return cached(name, key, lambda folder: (folder / "it").touch())


def used(folder: Path, days: float) -> None:
    """Make it look as if it was last asked for so many days ago."""
    os.utime(folder, times=(time.time() - days * DAY,) * 2)


def test_a_part_is_made_once() -> None:
    first = made("part", "1")
    used(first, 13)

    def never(folder: Path) -> None:
        pytest.fail("made again")

    assert cached("part", "1", never) == first
    assert (first / "it").is_file()


def test_nothing_stays_of_one_that_failed() -> None:
    def broken(folder: Path) -> None:
        (folder / "half").touch()
        raise LookupError

    with pytest.raises(LookupError):
        cached("part", "1", broken)
    assert [path.name for path in made("part", "1").iterdir()] == ["it"]


def test_what_a_newer_one_replaces_goes_after_two_weeks() -> None:
    old, recent, other = made("part", "1"), made("part", "2"), made("part-of-another", "1")
    for folder, days in ((old, 15.0), (recent, 13.0), (other, 15.0)):
        used(folder, days)
    new = made("part", "3")
    assert not old.exists()
    assert {each.is_dir() for each in (recent, other, new)} == {True}


def test_what_is_asked_for_stays() -> None:
    old = made("part", "1")
    used(old, 15)
    made("part", "1")
    made("part", "2")
    assert old.is_dir()
