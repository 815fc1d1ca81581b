"""One proxy for several local users: the kernel says who they are, and each has the tokens of their profile."""

import json
import os
import pwd
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pgbearer.client import AccessToken
from tests.integration.fix_local import Local
from tests.integration.test_cli_proxy import Started, started, status
from tests.parts.needs import ROOT
from tests.parts.postgres import embedded
from tests.proxied import ISSUER, SECRET

ONE, OTHER, NOBODYS = 54_321, 54_322, 54_323
"""Uids of nobody on this machine."""
LARGE = 4_000_000_000
THEIRS = "eyJ0aGVpcnM.dG9rZW4tb2YtdGhl.b3RoZXI"


@pytest.fixture
def base(need: Callable[..., None]) -> Iterator[Path]:
    """A folder that local users can reach."""
    need(ROOT)
    with tempfile.TemporaryDirectory(prefix="pgbearer-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def write(local: Local, peers: str, more: str = "") -> None:
    """client.toml with two profiles, and who has which."""
    (local.folder / "theirs").touch(mode=0o600)
    (local.folder / "theirs").write_text(THEIRS)
    source = 'source = {kind = "file", path = "theirs"}'
    local.write(
        f'[profiles.theirs]\nissuer = "{ISSUER}"\n{source}\n{more}\n'
        f'[upstreams.appdb]\nconninfo = "{local.conninfo}"\n[peers]\n{peers}\n'
    )


def connect_as(uid: int, proxy: Started) -> subprocess.CompletedProcess[str]:
    """What psql says to another user of this machine."""
    door = proxy.door()
    psql = [
        embedded().bin / "psql",
        "-XAtw",
        "-h",
        door["host"],
        "-U",
        "app",
        "-d",
        "appdb",
        "-c",
        "SELECT system_user",
    ]
    command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", *map(str, psql)]
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=60)


def holder(token: str) -> str:
    return f"oauth:holder-of-{AccessToken(token).ref}\n"


def test_each_user_has_the_tokens_of_their_profile_and_a_stranger_none(local: Local, base: Path) -> None:
    write(local, f'{ONE} = "robot"\n{OTHER} = "theirs"')
    with started(local, "appdb", "--peers", "--folder", str(base)) as proxy:
        assert (base / "appdb").stat().st_mode & 0o7777 == 0o711
        assert connect_as(ONE, proxy).stdout == holder(SECRET)
        assert connect_as(OTHER, proxy).stdout == holder(THEIRS)
        for uid in (NOBODYS, pwd.getpwnam("nobody").pw_uid):
            said = connect_as(uid, proxy)
            assert (said.returncode, said.stdout) == (2, "")
            assert f"FATAL:  pgbearer: uid {uid} may not use this proxy" in said.stderr
        (found,) = status(local, "--folder", str(base))
        assert (found["logins"], found["refused"]) == (2, 2)
        users = {one["local_user"]: one["token_ref"] for one in found["identities"]}
        assert users == {str(ONE): AccessToken(SECRET).ref, str(OTHER): AccessToken(THEIRS).ref}
        code, err = proxy.stop()
    assert code == 0
    assert not any(token in err + json.dumps(found) for token in (SECRET, THEIRS))


def test_no_other_user_can_lock_the_folder_against_the_next_start(local: Local, base: Path) -> None:
    write(local, f'{ONE} = "robot"')
    with started(local, "appdb", "--peers", "--folder", str(base)):
        as_one = ["setpriv", f"--reuid={ONE}", f"--regid={ONE}", "--clear-groups", "--"]
        lock = subprocess.run([*as_one, "flock", "--nonblock", base / "appdb", "true"], capture_output=True, text=True)
    assert "Permission denied" in lock.stderr
    assert lock.returncode != 0


def test_the_user_of_the_proxy_itself_is_nobody_special(local: Local, base: Path) -> None:
    write(local, f'{ONE} = "robot"')
    with started(local, "appdb", "--peers", "--folder", str(base)) as proxy:
        said = connect_as(0, proxy)
        assert "uid 0 may not use this proxy" in said.stderr


def test_a_user_of_a_large_uid(local: Local, base: Path) -> None:
    """Directories of many users give such ones: a uid_t is unsigned."""
    write(local, f'{LARGE} = "theirs"')
    with started(local, "appdb", "--peers", "--folder", str(base)) as proxy:
        assert connect_as(LARGE, proxy).stdout == holder(THEIRS)


def test_a_user_by_name(local: Local, base: Path) -> None:
    write(local, 'nobody = "theirs"')
    with started(local, "appdb", "--peers", "--folder", str(base)) as proxy:
        assert connect_as(pwd.getpwnam("nobody").pw_uid, proxy).stdout == holder(THEIRS)


@pytest.mark.parametrize(
    ("peers", "words", "message"),
    [
        (f'{ONE} = "person"', [], f"peers.{ONE}: the profile person asks a person, which this proxy cannot"),
        ('nobody-of-that-name = "robot"', [], "peers.nobody-of-that-name: no user 'nobody-of-that-name'"),
        ('nobody = "robbot"', [], "peers.nobody: no profile is called 'robbot'; did you mean \"robot\"?"),
        ('nobody = "robot"\n65534 = "robot"', [], "uid 65534 is named twice"),
        ('nobody = "elsewhere"', [], f"no profile of [peers] is of {ISSUER}"),
        ('nobody = "robot"', ["--tcp"], "over TCP nobody can tell local users apart"),
    ],
)
def test_what_it_does_not_begin(local: Local, base: Path, peers: str, words: list[str], message: str) -> None:
    file = 'source = {kind = "file", path = "theirs"}'
    more = f'[profiles.person]\nissuer = "{ISSUER}"\n[profiles.elsewhere]\nissuer = "https://other.test"\n{file}'
    write(local, peers, more)
    said = local.run("proxy", "appdb", "--peers", "--folder", base, *words)
    assert (said.returncode, said.stdout) == (2, "")
    assert message in said.stderr
