"""Folders of a proxy: nobody else can put another in their place, not by a link either."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pgbearer.client.local.places import make_base, private_folder
from pgbearer.errors import UsageError
from tests.parts.needs import ROOT

ELSE = 54_321
"""A uid of nobody on this machine."""


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A folder that others may write, with one of ours in it."""
    wide = tmp_path / "wide"
    (wide / "ours").mkdir(parents=True, mode=0o700)
    wide.chmod(0o777)
    return wide


def links(tmp_path: Path, wide: Path) -> dict[str, Path]:
    """Ways to a folder of ours that others can change although every folder they name is ours."""
    (tmp_path / "straight").symlink_to(wide / "ours")
    (wide / "back").symlink_to(tmp_path)
    (tmp_path / "twice").symlink_to(wide / "back")
    (tmp_path / "relative").symlink_to("wide/ours")
    return {name: tmp_path / name for name in ("straight", "twice", "relative")}


@pytest.mark.parametrize("name", ["straight", "twice", "relative"])
def test_a_link_by_way_of_what_others_may_write_is_refused(tmp_path: Path, wide: Path, name: str) -> None:
    with pytest.raises(UsageError, match="others may write here"):
        make_base(links(tmp_path, wide)[name] / "appdb")


def test_somebody_elses_link_is_refused(tmp_path: Path, need: Callable[..., None]) -> None:
    need(ROOT)
    (tmp_path / "ours").mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "ours")
    os.lchown(link, ELSE, ELSE)
    with pytest.raises(UsageError, match=f"belongs to uid {ELSE}"):
        make_base(link / "appdb")


def test_a_link_of_ours_to_what_is_ours_is_followed(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("ours")
    make_base(tmp_path / "link" / "appdb")
    assert (tmp_path / "ours" / "appdb").stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("runtime", [True, False])
def test_a_private_folder_is_not_made_where_others_could_replace_it(
    wide: Path, monkeypatch: pytest.MonkeyPatch, runtime: bool
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(wide) if runtime else "")
    monkeypatch.setattr(tempfile, "tempdir", str(wide))
    with pytest.raises(UsageError, match="others may write here") as caught, private_folder():
        pass
    assert "TMPDIR" in (caught.value.hint or "")
    assert [entry.name for entry in wide.iterdir()] == ["ours"]


def test_a_private_folder_is_gone_after_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with private_folder() as made:
        assert (made.parent, made.stat().st_mode & 0o7777) == (tmp_path, 0o700)
    assert list(tmp_path.iterdir()) == []
