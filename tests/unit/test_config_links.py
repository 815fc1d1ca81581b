"""Links on the way to a file: whoever could exchange one of them decides what is read."""

import os
from pathlib import Path

import pytest

from pgbearer.config.permissions import untrusted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that only its owner can change, in a folder of the same kind."""
    (tmp_path / "real").mkdir(mode=0o755)
    file = tmp_path / "real" / "pgbearer.yaml"
    file.write_text("")
    file.chmod(0o600)
    return file


def linked(at: Path, target: Path, mode: int = 0o755) -> Path:
    at.parent.mkdir(exist_ok=True)
    at.parent.chmod(mode)
    at.symlink_to(target)
    return at


@pytest.mark.parametrize(("mode", "trusted"), [(0o755, True), (0o777, False), (0o757, False)])
def test_a_link_in_the_middle_of_a_chain_counts(file: Path, tmp_path: Path, mode: int, *, trusted: bool) -> None:
    middle = linked(tmp_path / "middle" / "link", file, mode)
    first = linked(tmp_path / "etc" / "pgbearer.yaml", middle)
    assert (not [*untrusted(first)]) == trusted


@pytest.mark.parametrize(("mode", "trusted"), [(0o755, True), (0o777, False)])
def test_a_linked_folder_counts(file: Path, tmp_path: Path, mode: int, *, trusted: bool) -> None:
    middle = linked(tmp_path / "middle" / "folder", file.parent, mode)
    first = linked(tmp_path / "etc" / "folder", middle)
    assert (not [*untrusted(first / file.name)]) == trusted


def test_a_strangers_link_does_not_count_for_being_in_a_sticky_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like one in /tmp: nobody else may take it away, but its owner may."""
    middle = linked(tmp_path / "middle" / "link", file, 0o1777)
    first = linked(tmp_path / "etc" / "pgbearer.yaml", middle)
    assert not [*untrusted(first)]
    lstat = Path.lstat

    def a_strangers(path: Path) -> os.stat_result:
        found = lstat(path)
        return os.stat_result((*found[:4], 4242, *found[5:])) if path == middle else found

    monkeypatch.setattr(Path, "lstat", a_strangers)
    assert [*untrusted(first)] == [f"{middle} belongs to uid 4242, neither root nor this user"]


def test_a_relative_link_is_followed_as_kubernetes_makes_them(file: Path, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    data = volume / "..2026_11_23"
    data.mkdir(parents=True, mode=0o755)
    file.rename(data / file.name)
    (volume / "..data").symlink_to(data.name)
    (volume / file.name).symlink_to(Path("..data") / file.name)
    assert not [*untrusted(volume / file.name)]


def test_links_in_a_circle_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        [*untrusted(tmp_path / "a")]
