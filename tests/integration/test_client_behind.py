"""A profile whose tokens servers take behind another issuer's HBA lines: by way of everything that takes a profile."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import pgbearer
from pgbearer.client import AccessToken, UnsafeServerError, profile_arguments, profile_source
from tests.integration.fix_local import Local
from tests.integration.test_cli_proxy import started
from tests.integration.test_cli_proxy_peers import base, connect_as
from tests.issuer import Mint
from tests.proxied import ISSUER

__all__ = ["base"]

CLUSTER = "https://cluster.test"
TOKEN = Mint(CLUSTER).token(sub="system:serviceaccount:shop:orders", exp=int(time.time()) + 86_400)
HOLDER = f"oauth:holder-of-{AccessToken(TOKEN).ref}"
WHO = "SELECT system_user"
DJANGO = """
import json, sys, django
from django.conf import settings
settings.configure(DATABASES={"default": json.loads(sys.argv[1])})
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT system_user")
    print(cursor.fetchone()[0])
connection.close_pool()
"""


@pytest.fixture
def pod(local: Local) -> Local:
    """A pod's profile, which is the default one, and one of the issuer that the servers ask for."""
    write(local, f'behind = "{ISSUER}"')
    (local.folder / "pod").touch(mode=0o600)
    (local.folder / "pod").write_text(TOKEN)
    return local


def write(local: Local, behind: str, upstream: str = "", default: str = "pod", more: str = "") -> None:
    local.client_file.write_text(
        f'default = "{default}"\n'
        f'[profiles.robot]\nissuer = "{ISSUER}"\nsource = {{kind = "file", path = "token"}}\n'
        f'[profiles.pod]\nissuer = "{CLUSTER}"\n{behind}\nsource = {{kind = "kubernetes", token_file = "pod"}}\n'
        f'[upstreams.appdb]\nconninfo = "{local.conninfo}"\nprofile = "pod"\n{upstream}\n{more}'
    )


def test_connect(pod: Local) -> None:
    said = pod.run("connect", pod.conninfo, "--json")
    assert (said.returncode, said.stderr) == (0, "")
    assert json.loads(said.stdout)["system_user"] == HOLDER


def test_the_issuer_in_the_connection_string_is_the_one_that_the_server_asks_for(pod: Local) -> None:
    conninfo = f"{pod.conninfo} oauth_issuer={ISSUER}"
    assert HOLDER in pod.run("connect", conninfo).stdout
    assert HOLDER in pod.run("run", conninfo, "--", "psql", "-XAtc", WHO).stdout
    write(pod, f'behind = "{ISSUER}"', default="robot")
    assert HOLDER not in pod.run("connect", conninfo).stdout
    assert HOLDER in pod.run("connect", conninfo, "--profile", "pod").stdout


def test_run_and_psql(pod: Local) -> None:
    for words in (["run", "appdb", "--", "psql", "-XAtc", WHO], ["psql", "appdb", "-XAtc", WHO]):
        said = pod.run(*words)
        assert (said.returncode, said.stdout, said.stderr) == (0, f"{HOLDER}\n", "")


def test_proxy(pod: Local) -> None:
    with started(pod, "appdb") as proxy:
        with proxy.connect() as connection:
            assert connection.execute(WHO).fetchone() == (HOLDER,)
        code, err = proxy.stop()
    assert (code, TOKEN in err) == (0, False)


def test_a_token_of_the_options_behind_it(pod: Local) -> None:
    """The profile says where it may go, the option says whose it is."""
    given = pod.folder / "given"
    given.touch(mode=0o600)
    given.write_text(ours := Mint(CLUSTER).token(sub="given"))
    said = pod.run("run", "--token-file", given, pod.conninfo, "--", "psql", "-XAtc", WHO)
    assert (said.stdout, said.stderr) == (f"oauth:holder-of-{AccessToken(ours).ref}\n", "")


def test_peers(pod: Local, base: Path) -> None:
    write(pod, f'behind = "{ISSUER}"', more='[peers]\n54321 = "pod"\n54322 = "robot"\n')
    with started(pod, "appdb", "--peers", "--folder", str(base)) as proxy:
        assert connect_as(54_321, proxy).stdout == f"{HOLDER}\n"
        assert "uid 54322 may not use this proxy" in connect_as(54_322, proxy).stderr, "its profile is another issuer's"


def test_peers_whose_profile_is_for_other_servers_have_none(pod: Local, base: Path) -> None:
    stay = f'[profiles.stay]\nissuer = "{CLUSTER}"\nsource = {{kind = "kubernetes", token_file = "pod"}}\n'
    write(pod, f'behind = "{ISSUER}"', more=f'{stay}[peers]\n54321 = "stay"\n')
    said = pod.run("proxy", "appdb", "--peers", "--folder", base)
    assert said.returncode == 2
    assert f"no profile of [peers] is of {CLUSTER} and behind {ISSUER}" in said.stderr
    write(pod, "", f'behind = "{ISSUER}"', more=f'{stay}[peers]\n54321 = "stay"\n')
    with started(pod, "appdb", "--peers", "--folder", str(base)) as proxy:
        assert connect_as(54_321, proxy).stdout == f"{HOLDER}\n", "the upstream says it of all"


def test_python(pod: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"PGBEARER_CONFIG_FILE": str(pod.client_file)}
    for variable in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(variable)
    with pgbearer.connect(pod.conninfo, **profile_arguments("pod", environ=environ)) as connection:
        assert connection.execute(WHO).fetchone() == (HOLDER,)
    with pytest.raises(UnsafeServerError, match="asks for another issuer's"):
        pgbearer.connect(pod.conninfo, source=profile_source("pod", environ=environ))


@pytest.mark.parametrize("more", [{}, {"pool": True}], ids=["no pool", "pool"])
def test_django(pod: Local, more: dict[str, Any]) -> None:
    said = dict(part.split("=") for part in pod.conninfo.split())
    where = {name.upper(): said.pop(name) for name in ("host", "port", "user")} | {"NAME": said.pop("dbname")}
    database = {"ENGINE": "pgbearer.client.django", **where, "OPTIONS": {"profile": "pod", **said, **more}}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", DJANGO, json.dumps(database)],
        env=pod.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (f"{HOLDER}\n", "")


@pytest.mark.parametrize(
    ("behind", "upstream", "message"),
    [
        ("", "", "asks for another issuer's"),
        ('behind = "https://third.test"', "", "asks for another issuer's"),
        (f'behind = "{ISSUER}"', 'behind = "https://third.test"', "asks for another issuer's"),
    ],
    ids=["nowhere", "another's", "the upstream goes before"],
)
def test_it_goes_nowhere_else(pod: Local, behind: str, upstream: str, message: str) -> None:
    write(pod, behind, upstream)
    before = len(pod.server.server.log)
    for words in (["run", "appdb", "--", "true"], ["psql", "appdb"], ["proxy", "appdb"]):
        said = pod.run(*words)
        assert said.returncode == 2
        assert message in said.stderr
    assert "OAuth login" not in pod.server.server.log[before:]


def test_the_token_of_a_third_issuer_stays(pod: Local) -> None:
    (pod.folder / "pod").write_text(Mint("https://third.test").token())
    before = len(pod.server.server.log)
    said = pod.run("connect", pod.conninfo)
    assert said.returncode == 2
    assert f"the issuers differ: {CLUSTER} and https://third.test" in said.stderr
    assert "OAuth login" not in pod.server.server.log[before:]
