"""kubectl as it is run: the words it gets, and what comes of how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pgbearer.cnpg import Kubectl
from pgbearer.cnpg.kubectl import RefusedError
from pgbearer.errors import UnreachableError, UsageError


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Prints the words that it gets, or does what the last one says."""
    file = tmp_path / "kubectl"
    file.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        "match sys.argv[-1]:\n"
        "    case 'refuse': sys.exit('Error from server (NotFound): no \\x1b[2J such thing')\n"
        "    case 'away': sys.exit('Unable to connect to the server: dial tcp: no route')\n"
        "    case 'noise': print('[1')\n"
        "    case _: print(json.dumps({'words': sys.argv[1:]}))\n"
    )
    file.chmod(0o755)
    return str(file)


def test_words_go_as_they_are(program: str) -> None:
    kubectl = Kubectl(namespace="a b", context="$(x)", program=program)
    assert kubectl.json("get", "x; y") == {"words": ["--context=$(x)", "--namespace=a b", "get", "x; y"]}
    assert Kubectl(program=program).json("get") == {"words": ["get"]}


def test_what_it_refuses_is_told_and_harmless(program: str) -> None:
    with pytest.raises(RefusedError, match=r"no \\x1b\[2J such thing"):
        Kubectl(program=program).text("refuse")
    with pytest.raises(RefusedError, match="no answer that can be read"):
        Kubectl(program=program).json("noise")


def test_a_cluster_that_is_away_is_unreachable(program: str) -> None:
    with pytest.raises(UnreachableError, match="no route"):
        Kubectl(program=program).text("away")


def test_no_kubectl_is_said() -> None:
    with pytest.raises(UsageError, match="Install kubectl"):
        Kubectl(program="/nowhere/kubectl").text("get")


def test_it_is_a_plugin_of_kubectl(program: str) -> None:
    """kubectl runs ``kubectl-pgbearer`` of the path for ``kubectl pgbearer``."""
    plugin = Path(sys.executable).with_name("kubectl-pgbearer")
    path = f"{Path(program).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [plugin, "status", "orders", "--json"], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert (told["ok"], told["cluster"]) == (False, "orders")
    assert "nobody decides" in told["problems"][0]
