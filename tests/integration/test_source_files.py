"""Tokens and secrets in files: read anew at each use, and only where nobody else could have written them."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.sources.file import FileSource
from pgbearer.client.sources.kubernetes import KubernetesSource
from pgbearer.client.sources.trusted_file import MOST_BYTES, read_secret
from pgbearer.errors import UsageError
from tests.issuer import Mint
from tests.parts.postgres import server_uid


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch(0o600)
    return path


def test_a_file_is_read_at_each_use(file: Path) -> None:
    source = FileSource(file, issuer="https://sso.test")
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        assert source.token().reveal() == asyncio.run(source.token_async()).reveal() == token
    file.write_text(json.dumps({"access_token": "third", "expires_at": time.time() + 60}))
    assert source.token().expires_at is not None
    assert source.issuer == "https://sso.test"


def test_a_token_that_has_ended_is_none(file: Path) -> None:
    file.write_text(Mint().token(exp=1_000_000))
    source = FileSource(file, wall=lambda: 1_000_042)
    with pytest.raises(NoTokenError, match="ended 42 s ago") as caught:
        source.token()
    assert caught.value.where == str(file)


def exchanged_by_link(file: Path) -> Path:
    """As the kubelet lays a projected volume: a sticky folder that all may write, links, and the file behind them."""
    volume = file.parent / "volume"
    volume.mkdir()
    volume.chmod(0o1777)
    for name in ("..1", "..2"):
        (volume / name).mkdir(0o755)
        (volume / name / "token").write_text(f"token-{name[-1]}")
        (volume / name / "token").chmod(0o644)
    (volume / "..data").symlink_to("..1")
    (volume / "token").symlink_to("..data/token")
    return volume


def test_a_projected_volume_and_its_rotation(file: Path) -> None:
    volume = exchanged_by_link(file)
    source = KubernetesSource(volume / "token")
    assert source.token().reveal() == "token-1"
    (volume / "..data_tmp").symlink_to("..2")
    (volume / "..data_tmp").rename(volume / "..data")
    assert source.token().reveal() == "token-2"


def as_it_is(file: Path) -> Path:
    return file


def group_writes(file: Path) -> Path:
    file.chmod(0o620)
    return file


def others_write(file: Path) -> Path:
    file.chmod(0o602)
    return file


def others_read(file: Path) -> Path:
    file.chmod(0o604)
    return file


def others_exchange(file: Path) -> Path:
    file.parent.chmod(0o777)
    return file


def linked_from_a_folder_of_others(file: Path) -> Path:
    folder = file.parent / "open"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "token").symlink_to(file)
    return folder / "token"


def anothers(file: Path) -> Path:
    os.chown(file, server_uid(), -1)
    return file


def missing(file: Path) -> Path:
    return file.with_name("missing")


def a_folder(file: Path) -> Path:
    return file.parent


def a_pipe(file: Path) -> Path:
    os.mkfifo(file.with_name("pipe"), 0o600)
    return file.with_name("pipe")


def huge(file: Path) -> Path:
    file.write_text("x" * (MOST_BYTES + 1))
    return file


REFUSED = [
    (group_writes, "others can write it", "chmod go-w"),
    (others_write, "others can write it", "chmod go-w"),
    (others_read, "everybody on this machine can read it", "chmod o-r"),
    (others_exchange, "others can exchange what is in", "chmod go-w"),
    (linked_from_a_folder_of_others, "others can exchange what is in", "chmod go-w"),
    (missing, "cannot be read: No such file", None),
    (a_folder, "cannot be read: Is a directory", None),
    (a_pipe, "not a regular file", "Name the file itself"),
    (huge, "larger than 131,072 bytes", None),
]
if os.geteuid() == 0:
    REFUSED.append((anothers, "belongs to uid", "Let this user or root own it"))


@pytest.mark.parametrize(("how", "said", "hint"), REFUSED, ids=[how.__name__ for how, _, _ in REFUSED])
def test_refused(how: Callable[[Path], Path], said: str, hint: str | None, file: Path) -> None:
    file.write_text("a-secret")
    path = how(file)
    for read in (FileSource(path).token, lambda: read_secret(path)):
        with pytest.raises(UsageError, match=said) as caught:
            read()
        assert caught.value.where == str(path)
        assert hint is None or hint in (caught.value.hint or "")
        assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "secret"), [(b"s3cret\n", "s3cret"), (b"with spaces: and %\r\n", "with spaces: and %")]
)
def test_a_secret_is_one_line(file: Path, content: bytes, secret: str) -> None:
    file.write_bytes(content)
    assert read_secret(file).reveal() == secret


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff\xfe", b"a\x00b"])
def test_what_is_no_secret(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(UsageError, match="holds no secret"):
        read_secret(file)
