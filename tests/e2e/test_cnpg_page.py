"""The commands of docs/cloudnativepg.md, in their order, on a real API server with the real operator."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cnpg.manifests import CNPG
from tests.e2e.fix_operator import OperatorStage
from tests.klite import programs
from tests.parts.processes import wait_until

PAGE = (CNPG.parent / "docs" / "cloudnativepg.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
FILES = {name: text for name, text in re.findall(r"```yaml (\S+)\n(.*?)```", PAGE, re.DOTALL) if "cnpg/" not in name}

OF_OURS, OF_THEIRS = "https://sso.example.com/realms/corp", "https://login.corp.example/realms/staff"
"""The issuer that what ships names, and the reader's own, which the page has them write in both places."""


@pytest.fixture
def reader(operator_stage: OperatorStage, tmp_path: Path) -> Iterator[Path]:
    """The folder of somebody who has done what the page says before its commands, with the namespace shop."""
    shutil.copytree(CNPG, tmp_path / "cnpg")
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    policy = (CNPG / "base/pgbearer.yaml").read_text()
    (tmp_path / "databases/pgbearer.yaml").write_text(policy.replace(OF_OURS, OF_THEIRS))
    kubectl = operator_stage.cluster.kubectl
    shop = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"
    kubectl("apply", "-f", "-", stdin=shop)
    yield tmp_path
    kubectl("-n", "databases", "delete", "cluster", "pg", "--ignore-not-found", "--timeout=60s")
    kubectl("delete", "-k", tmp_path / "databases", "--ignore-not-found", "--wait=false")
    kubectl("wait", "--for=delete", "namespace/databases", "--timeout=120s")


def test_the_commands_do_what_the_page_says(reader: Path, operator_stage: OperatorStage) -> None:
    path = os.pathsep.join(map(str, (programs.kubectl().parent, Path(sys.executable).parent, os.environ["PATH"])))
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(operator_stage.cluster.kubeconfig)}

    def run(commands: str) -> str:
        words = ["bash", "-euo", "pipefail", "-c", commands]
        done = subprocess.run(words, cwd=reader, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    look, apply, fetch, make = COMMANDS
    assert "nothing to mend" in run(look)
    assert "cluster.postgresql.cnpg.io/pg created" in run(apply)
    assert "shop" in run("kubectl get namespaces -l pg.databases.pgbearer.example/may-reach=postgresql -o name")
    wait_until(lambda: "pg-ca" in run("kubectl -n databases get secrets -o name"), 60, "the operator's authority")
    run(fetch)
    assert "BEGIN CERTIFICATE" in (reader / "pg-ca.crt").read_text()
    run(make)
    assert "name: pgbearer-service-tls" in run("kubectl kustomize own-certificates")
    generation = "kubectl -n databases get deployment pgbearer -o jsonpath='{.metadata.generation}'"
    before = run(generation)
    policy = reader / "databases/pgbearer.yaml"
    policy.write_text(policy.read_text() + "# changed\n")
    assert "configmap/pgbearer configured" in run("kubectl apply -k databases")
    assert run(generation) == before  # nothing is restarted
