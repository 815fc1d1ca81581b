"""Which folders are volumes that only the platform writes, by the kernel's own table of mounts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgbearer.config.sealed import is_sealed

ROOT = "22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw"
VOLUME = "1234 22 0:98 / /etc/pgbearer ro,relatime - tmpfs tmpfs rw,size=1024k"


class Table:
    """Stands in the place of /proc/self/mountinfo."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines

    def read_text(self, **_: Any) -> str:
        return "\n".join((ROOT, *self._lines)) + "\n"


class Missing:
    def read_text(self, **_: Any) -> str:
        raise FileNotFoundError


def cases() -> Iterator[tuple[str, tuple[str, ...], bool]]:
    yield "a volume of a kubelet", (VOLUME,), True
    yield "nothing is mounted there", (), False
    yield "writable", (VOLUME.replace(" ro,", " rw,"),), False
    yield "read-only only by its super block: other mounts count", (VOLUME.replace(" ro,", " rw,") + ",ro",), False
    yield "a folder of a disk, as under ProtectSystem=", (VOLUME.replace("tmpfs tmpfs", "ext4 /dev/sda1"),), False
    yield "a folder of a file system in memory that may be open elsewhere", (VOLUME.replace(" / ", " /a ", 1),), False
    yield "of another folder", (VOLUME.replace("/etc/pgbearer", "/etc/pgbearer/deeper"),), False
    yield "covered by one that can be written", (VOLUME, VOLUME.replace(" ro,", " rw,")), False
    yield "with propagation fields", (VOLUME.replace(" - ", " shared:7 master:2 - "),), True


@pytest.mark.parametrize(("lines", "sealed"), [pytest.param(*case[1:], id=case[0]) for case in cases()])
def test_sealed(lines: tuple[str, ...], sealed: bool) -> None:
    table: Any = Table(*lines)
    assert is_sealed(Path("/etc/pgbearer"), table) is sealed


def test_a_name_with_a_space() -> None:
    table: Any = Table(VOLUME.replace("/etc/pgbearer", r"/etc/pg\040bearer"))
    assert is_sealed(Path("/etc/pg bearer"), table)


def test_nothing_is_sealed_without_a_table() -> None:
    missing: Any = Missing()
    assert not is_sealed(Path("/etc/pgbearer"), missing)
