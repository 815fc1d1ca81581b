"""`pgbearer cnpg check --live` with a token, as other commands log in; and `--cluster`, which kubectl does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pgbearer.cli import app
from tests.integration.fix_chain import PGBEARER
from tests.integration.fix_local import Local
from tests.proxied import SECRET
from tests.unit.test_cnpg_live import OPERATED, SETTINGS


@pytest.fixture
def auditor(local: Local) -> Iterator[Local]:
    """Whom the token makes ``app`` may see everything."""
    local.server.server.sql("ALTER ROLE app SUPERUSER")
    yield local
    local.server.server.sql("ALTER ROLE app NOSUPERUSER")


def found(said: subprocess.CompletedProcess[str]) -> list[str]:
    assert SECRET not in said.stdout + said.stderr
    assert said.stdout, said.stderr
    return [each["code"] for each in json.loads(said.stdout)["findings"]]


@pytest.mark.parametrize(
    "words", [("appdb",), ("CONNINFO", "--profile", "robot"), ("CONNINFO", "--token-file", "TOKEN")]
)
def test_a_token_logs_in(auditor: Local, words: tuple[str, ...]) -> None:
    known = {"CONNINFO": auditor.conninfo, "TOKEN": str(auditor.folder / "token")}
    said = auditor.run("cnpg", "check", "--json", "--live", *(known.get(word, word) for word in words))
    assert said.returncode == 1
    assert "hba_no_oauth" not in found(said)
    assert all(each["file"] for each in json.loads(said.stdout)["findings"])


def test_who_is_no_superuser_is_told_so(local: Local) -> None:
    said = local.run("cnpg", "check", "--live", "appdb")
    assert said.returncode == 1
    assert "Connect as a superuser" in said.stderr


def test_without_a_name_of_a_profile_nobody_is_asked_for_a_token(local: Local) -> None:
    """As it always was: a default profile does not make a plain connection string one for tokens."""
    said = local.run("cnpg", "check", "--live", "host=/nowhere")
    assert (said.returncode, "/nowhere" in said.stderr) == (3, True)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("x.yaml", "--live", "host=x"),
        ("x.yaml", "--cluster", "pg"),
        ("--live", "host=x", "--cluster", "pg"),
        ("x.yaml", "--profile", "robot"),
        ("--cluster", "pg", "--token-file", "t"),
    ],
)
def test_what_does_not_go_together(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, ["cnpg", "check", *words])
    assert getattr(result.exception, "exit_code", None) == 2


def test_a_cluster_is_asked_by_kubectl(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    answer = {"rules": OPERATED, "settings": SETTINGS, "idents": [], "passwords": ["app"]}
    kubectl.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        "assert sys.argv[1:3] == ['--context=c', '--namespace=shop'], sys.argv\n"
        "if sys.argv[3] == 'get': print(json.dumps({'status': {'currentPrimary': 'orders-2'}}))\n"
        f"elif sys.argv[3:5] == ['exec', 'orders-2']: print({json.dumps(answer)!r})\n"
    )
    kubectl.chmod(0o755)
    words = ["cnpg", "check", "--cluster", "orders", "-n", "shop", "--context", "c", "--json"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    said = subprocess.run([PGBEARER, *words], env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert "password_unused" in found(said)
