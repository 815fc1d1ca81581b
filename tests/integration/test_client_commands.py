"""The commands over a login's life: profiles, login, status, token, logout; where it is kept, what is not shown."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pgbearer.client import AccessToken, FileStore, Grant, TokenKey
from pgbearer.client.store.folder import StateFolder
from pgbearer.client.store.private import PrivateFolder
from tests.parts.authority import Authority
from tests.parts.needs import ROOT, SECRET_SERVICE
from tests.parts.secret_service import with_secret_service
from tests.session_issuer import SessionIssuer

PROGRAM = str(Path(sys.executable).with_name("pgbearer"))
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def one_issuer(issuer_authority: Authority) -> Iterator[SessionIssuer]:
    with SessionIssuer(issuer_authority) as serving:
        yield serving


@pytest.fixture
def issuer(one_issuer: SessionIssuer) -> SessionIssuer:
    one_issuer.begin_anew()
    return one_issuer


@pytest.fixture
def home(issuer: SessionIssuer, tmp_path: Path) -> Path:
    """A home with profiles: corp, which is the default one, and batch, which nobody logs in for."""
    folder = tmp_path / "config" / "pgbearer"
    folder.mkdir(parents=True)
    (folder / "client.toml").write_text(
        f"""
default = "corp"

[profiles.corp]
issuer = "{issuer.url}"
scope = "openid db:demo"
ca_file = "{issuer.ca_file}"

[profiles.batch]
issuer = "{issuer.url}"
source = {{kind = "command", command = ["{sys.executable}", "-c", "print('from.a.command')"]}}
"""
    )
    return tmp_path


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DBUS_", "XDG_"))}
    where = {name: str(home / name.lower().split("_")[1]) for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    return kept | where


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def run(*words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *words],
            env=environment | changes,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    return run


def store(home: Path) -> FileStore:
    return FileStore(StateFolder(PrivateFolder(home / "state" / "pgbearer")))


def expire(issuer: SessionIssuer, home: Path) -> None:
    """Have the token of the kept login end."""
    (key,) = store(home).keys()
    kept = store(home).load(key)
    assert kept is not None
    ended = AccessToken(issuer.token(exp=int(time.time()) - 1), expires_at=time.time() - 1)
    store(home).save(key, Grant(ended, kept.client_id, kept.refresh, kept.refresh_expires_at))


def test_one_login_is_enough(issuer: SessionIssuer, home: Path, run: Run) -> None:
    first = run("login")
    assert first.returncode == 0, first.stderr
    assert f"kept in        {home}/state/pgbearer\n" in first.stdout
    assert "login expires" in first.stdout
    assert first.stderr.count("there is no system keyring here") == 1
    assert run("token").stdout == issuer.issued[0] + "\n"
    expire(issuer, home)
    second = run("token")
    assert (second.stdout, second.stderr) == (issuer.issued[-1] + "\n", "")
    assert (issuer.logins, issuer.refreshes) == (1, 1)
    assert run("login").stderr.count("there is no system keyring here") == 0


def test_status_says_who_where_and_until_when(issuer: SessionIssuer, home: Path, run: Run) -> None:
    before = run("status")
    assert (before.returncode, before.stdout) == (1, f"profile    corp\nissuer     {issuer.url}\nlogged in  no\n")
    run("login")
    asked = len(issuer.forms)
    after = run("status")
    assert after.returncode == 0
    for line in (
        "profile        corp",
        f"issuer         {issuer.url}",
        "logged in as   alice",
        "token for      db:demo",
        "roles          db-read",
        f"kept in        {home}/state/pgbearer",
        f"token_ref      {AccessToken(issuer.issued[0]).ref}",
    ):
        assert f"{line}\n" in after.stdout
    (said,) = json.loads(run("status", "--json").stdout)
    assert (said["profile"], said["logged_in"], said["user"], said["roles"]) == ("corp", True, "alice", ["db-read"])
    assert said["login_expires_at"] > said["expires_at"] > time.time()
    expire(issuer, home)
    assert run("status").returncode == 0  # it can be renewed
    assert len(issuer.forms) == asked
    issuer.down()
    assert run("status", "--profile", "corp").returncode == 0


def test_logins_without_a_profile_are_found_and_ended_too(issuer: SessionIssuer, home: Path, run: Run) -> None:
    ca_file = str(issuer.ca_file)
    run("login")
    run("login", "--issuer", issuer.url, "--client-id", "other", "--ca-file", ca_file)
    assert {one["profile"] for one in json.loads(run("status", "--json").stdout)} == {"corp", None}
    done = run("logout", "--all", "--ca-file", ca_file)
    assert (done.returncode, done.stdout) == (0, f"logged out at {issuer.url}\n" * 2)
    assert issuer.sessions == []
    assert run("status").returncode == 1
    assert run("logout", "--all").stdout == "no login is kept here\n"
    assert not list((home / "state" / "pgbearer").glob("*.json*"))


def test_logout_of_an_issuer_ends_every_login_there(issuer: SessionIssuer, run: Run) -> None:
    run("login", "--issuer", issuer.url, "--scope", "openid db:demo db:other")
    run("login", "--issuer", issuer.url, "--client-id", "other", "--ca-file", str(issuer.ca_file))
    done = run("logout", "--issuer", issuer.url, "--ca-file", str(issuer.ca_file))
    assert (done.returncode, done.stdout) == (0, f"logged out at {issuer.url}\n" * 2)
    assert issuer.sessions == []
    again = run("logout", "--issuer", issuer.url)
    assert (again.returncode, again.stdout) == (0, f"no login is kept for {issuer.url}\n")


def test_status_does_not_list_what_was_only_tried(issuer: SessionIssuer, run: Run) -> None:
    assert run("login", "--issuer", "https://127.0.0.1:1").returncode == 3
    (only,) = json.loads(run("status", "--json").stdout)
    assert (only["profile"], only["logged_in"]) == ("corp", False)


def test_logout_ends_the_session(issuer: SessionIssuer, run: Run) -> None:
    run("login")
    done = run("logout")
    assert (done.returncode, done.stdout) == (0, f"logged out at {issuer.url}\n")
    assert issuer.ended == ["logout", "revoke"]
    assert run("token").returncode == 1
    assert run("logout").stdout == f"no login is kept for {issuer.url}\n"


def test_logout_without_the_issuer_forgets_and_says_what_it_could_not(
    issuer: SessionIssuer, home: Path, run: Run
) -> None:
    run("login")
    issuer.down()
    done = run("logout")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"forgotten here, but the session at {issuer.url} could not be ended" in done.stderr
    assert not list((home / "state" / "pgbearer").glob("*.json*"))
    issuer.mend()
    assert run("token").returncode == 1


def test_nobody_is_asked_where_nobody_is(issuer: SessionIssuer, run: Run) -> None:
    done = run("token")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nobody is logged in, or the login has ended" in done.stderr
    assert "Log in with: pgbearer login --profile corp" in done.stderr
    assert not issuer.forms


def test_who_is_at_a_terminal_is_asked(issuer: SessionIssuer, environment: dict[str, str]) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen, os.fdopen(theirs, "wb", buffering=0) as terminal:
        command = [PROGRAM, "token", "--device"]
        done = subprocess.run(
            command, env=environment, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, timeout=60
        )
        shown = screen.read(4_096)
    assert done.stdout.decode() == issuer.issued[0] + "\n"
    assert b"ABCD-EFGH" in shown
    assert issuer.issued[0].encode() not in shown


def test_a_profile_of_another_kind(run: Run) -> None:
    assert run("token", "--profile", "batch").stdout == "from.a.command\n"
    done = run("login", "--profile", "batch")
    assert done.returncode == 2
    assert 'profiles.batch: this profile has its tokens from a source of kind "command"' in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "crop"], "no profile is called 'crop'; did you mean \"corp\"?"),
        (["--profile", "nothing-like-it"], "It has corp, batch."),
    ],
)
def test_a_profile_that_is_not_there(run: Run, words: list[str], said: str) -> None:
    done = run("token", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_options_go_before_the_profile_and_variables_name_it(issuer: SessionIssuer, run: Run) -> None:
    assert run("token", PGBEARER_PROFILE="batch").stdout == "from.a.command\n"
    run("login", "--scope", "openid", "--client-id", "mine")
    assert issuer.forms[0][1] == {"client_id": "mine", "scope": "openid"}
    assert run("token").returncode == 1  # that was another login than the profile's


def test_what_a_program_proves_itself_with_goes_to_no_other_issuer(issuer: SessionIssuer, run: Run) -> None:
    for done in (
        run("token", "--profile", "batch", "--issuer", "https://elsewhere.test"),
        run("token", "--profile", "batch", PGBEARER_ISSUER="https://elsewhere.test"),
        run("token", "--issuer", "https://elsewhere.test", PGBEARER_PROFILE="batch"),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        assert "the profile batch is for" in done.stderr
    assert run("token", "--profile", "batch", "--issuer", issuer.url).stdout == "from.a.command\n"


def test_the_profile_of_the_issuer_that_is_named_is_used(issuer: SessionIssuer, run: Run) -> None:
    run("login", "--issuer", issuer.url)
    assert issuer.forms[0][1]["scope"] == "openid db:demo"
    assert run("token").stdout == issuer.issued[0] + "\n"


def test_a_file_that_others_can_write_is_refused(home: Path, run: Run) -> None:
    file = home / "config" / "pgbearer" / "client.toml"
    file.chmod(0o666)
    done = run("token")
    assert (done.returncode, done.stdout) == (2, "")
    assert "others can write it" in done.stderr


def test_a_file_of_somebody_else_is_refused(need: Callable[..., None], home: Path, run: Run) -> None:
    need(ROOT)
    os.chown(home / "config" / "pgbearer" / "client.toml", 65534, -1)
    assert "it belongs to uid 65534" in run("token").stderr


def test_a_file_that_is_named_must_be_there(home: Path, run: Run) -> None:
    done = run("token", PGBEARER_CONFIG_FILE=str(home / "nothing.toml"))
    assert (done.returncode, "cannot be read" in done.stderr) == (2, True)


def test_every_problem_of_the_file_is_said(home: Path, run: Run) -> None:
    file = home / "config" / "pgbearer" / "client.toml"
    file.write_text('[profiles.corp]\nisuer = "https://sso.example.org"\nstore = 7\n')
    said = run("token").stderr
    assert f"pgbearer: {file}: 3 problems\n" in said
    assert '  profiles.corp.isuer: unknown key; did you mean "issuer"?\n' in said


def test_names_of_profiles_complete(environment: dict[str, str]) -> None:
    """As bash asks: the command line in COMP_WORDS, the word in COMP_CWORD."""
    words = {"_PGBEARER_COMPLETE": "complete_bash", "COMP_WORDS": "pgbearer token --profile co", "COMP_CWORD": "3"}
    done = subprocess.run([PROGRAM], env=environment | words, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["corp"]


def test_a_damaged_login_is_set_aside_and_asked_for_again(issuer: SessionIssuer, home: Path, run: Run) -> None:
    run("login")
    (kept,) = (home / "state" / "pgbearer").glob("*.json")
    kept.write_bytes(b"{")
    done = run("token")
    assert done.returncode == 1
    assert "it is set aside as" in done.stderr
    assert run("login").returncode == 0
    assert run("token").stdout == issuer.issued[-1] + "\n"


def test_a_login_that_others_could_read_is_refused(home: Path, run: Run) -> None:
    run("login")
    (kept,) = (home / "state" / "pgbearer").glob("*.json")
    kept.chmod(0o644)
    done = run("token")
    assert (done.returncode, done.stdout) == (2, "")
    assert "open to others (mode 0644)" in done.stderr


def test_keyring_only_keeps_no_file(home: Path, run: Run) -> None:
    file = home / "config" / "pgbearer" / "client.toml"
    file.write_text(file.read_text().replace("scope =", 'store = "keyring-only"\nscope =', 1))
    done = run("login")
    assert done.returncode == 2
    assert "there is no system keyring here" in done.stderr
    assert not list((home / "state").rglob("*.json"))


def test_a_login_in_a_real_keyring_is_there_for_the_next_command(
    need: Callable[..., None], issuer: SessionIssuer, home: Path, environment: dict[str, str]
) -> None:
    need(SECRET_SERVICE)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return with_secret_service([PROGRAM, *words], home=home, env=environment)

    first = run("login")
    assert "kept in        the system's keyring (SecretService Keyring)\n" in first.stdout
    assert "enter the code" in first.stderr
    assert run("token").stdout == issuer.issued[0] + "\n"
    assert run("status").returncode == 0
    assert not list((home / "state").rglob("*.json"))
    assert run("logout").returncode == 0
    assert run("status").returncode == 1
    assert (issuer.logins, issuer.sessions) == (1, [])


@pytest.mark.parametrize("every", [["--all"], ["--issuer"]], ids=["all", "all of an issuer"])
def test_logout_looks_in_files_too_where_there_is_a_keyring(
    need: Callable[..., None],
    issuer: SessionIssuer,
    home: Path,
    environment: dict[str, str],
    run: Run,
    every: list[str],
) -> None:
    """The same login was kept in one before the other was there."""
    need(SECRET_SERVICE)
    run("login")
    assert list((home / "state").rglob("*.json"))

    def run_with_keyring(*words: str) -> subprocess.CompletedProcess[str]:
        return with_secret_service([PROGRAM, *words], home=home, env=environment)

    assert "kept in        the system's keyring" in run_with_keyring("login").stdout
    assert len(json.loads(run_with_keyring("status", "--json").stdout)) == 2
    words = [*every, *([issuer.url] if every == ["--issuer"] else []), "--ca-file", str(issuer.ca_file)]
    done = run_with_keyring("logout", *words)
    assert (done.returncode, done.stdout) == (0, f"logged out at {issuer.url}\n" * 2)
    assert issuer.sessions == []
    assert not list((home / "state").rglob("*.json"))


def test_no_token_is_shown_but_where_it_is_asked_for(issuer: SessionIssuer, home: Path, run: Run) -> None:
    """Also not with --debug and a fault in the middle of a renewal."""
    outputs = [run("login"), run("status"), run("status", "--json")]
    (key,) = store(home).keys()
    kept = store(home).load(key)
    assert kept is not None
    assert kept.refresh is not None
    secrets = {kept.refresh.reveal(), *issuer.issued}
    expire(issuer, home)
    issuer.body(b'{"access_token": "not a token", "token_type": "Bearer", "refresh_token": "leaked-refresh-token"}')
    failed = run("--debug", "token")
    assert "Traceback" in failed.stderr
    issuer.mend()
    outputs += [failed, run("--debug", "logout")]
    secrets |= {*issuer.issued, "leaked-refresh-token"}
    shown = "".join(done.stdout + done.stderr for done in outputs)
    assert not any(secret in shown for secret in secrets)


def test_the_key_of_a_kept_login_is_the_profiles(issuer: SessionIssuer, home: Path, run: Run) -> None:
    run("login")
    assert store(home).keys() == (TokenKey(issuer.url, "pgbearer-cli", "openid db:demo"),)
