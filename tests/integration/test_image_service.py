"""The service from its image: it runs as any uid, with a root that is read-only, and has all that it needs in it."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pgbearer.cnpg.spec import Images as Named
from tests.integration.fix_image import UID, command, running
from tests.klite import our_images
from tests.klite.images import Images
from tests.parts.debian import INSIDE
from tests.parts.ports import free_port
from tests.parts.processes import wait_until

UIDS = [UID, 26]
"""In pods of its own, and in PostgreSQL's."""


@pytest.fixture(params=UIDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, Path]:
    """A uid, and a folder of its own: what a pod mounts."""
    os.chown(tmp_path, request.param, request.param)
    return request.param, tmp_path


def settings(folder: Path, uid: int, port: int) -> None:
    """An issuer that is away: alive is not ready."""
    file = folder / "pgbearer.yaml"
    file.write_text(
        json.dumps(
            {
                "version": 1,
                "servers": {"pg": {"socket": f"{INSIDE}/login/login.sock", "uid": uid, "group": uid}},
                "issuers": {
                    "corp": {
                        "profile": "keycloak",
                        "issuer": "https://127.0.0.1:1/realms/corp",
                        "audience": "db:pg",
                        "clients": ["pgbearer-cli"],
                        "identity": "corp:{sub}",
                    }
                },
                "defaults": {"session": {"until": "sso", "max": "10h"}},
                "rules": [{"name": "readers", "any_role": ["r"], "databases": ["appdb"], "roles": ["app_readonly"]}],
                "audit": {"file": "-"},
                "admin": {"socket": f"{INSIDE}/admin/admin.sock"},
                "state": {"folder": f"{INSIDE}/state"},
                "http": {"address": f"127.0.0.1:{port}"},
            }
        )
    )
    os.chown(file, uid, uid)
    file.chmod(0o600)


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status 0 if nobody listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except urllib.error.URLError:
        return 0, b""


def test_it_answers_with_a_root_that_is_read_only(service_layers: list[Path], place: tuple[int, Path]) -> None:
    uid, folder = place
    port = free_port()
    settings(folder, uid, port)
    words = ["pgbearer", "serve", "-c", f"{INSIDE}/pgbearer.yaml"]
    with running(service_layers, folder, *words, uid=uid) as (process, log):
        wait_until(lambda: get(port, "/healthz")[0] == 200 or not process.alive(), 60, "the service to answer")
        assert process.alive(), log.read_text()
        assert get(port, "/readyz")[0] == 503
        live = ("pgbearer", "config", "live", "--socket", f"{INSIDE}/admin/admin.sock")  # what kubectl exec runs
        admin = subprocess.run(
            command(service_layers, folder, *live, uid=uid),
            capture_output=True,
            text=True,
        )
    assert admin.returncode == 0, admin.stderr


def test_nothing_can_be_written_to_its_root(service_layers: list[Path], tmp_path: Path) -> None:
    for folder in ("/usr/local/lib", "/var/lib", "/root"):
        said = subprocess.run(
            command(service_layers, tmp_path, "touch", f"{folder}/here", uid=0), capture_output=True, text=True
        )
        assert "Read-only file system" in said.stderr


@pytest.mark.parametrize("words", [("proxy", "--help"), ("config", "schema"), ("--version",)], ids=" ".join)
def test_every_extra_that_pods_need_is_in_it(
    service_layers: list[Path], tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = subprocess.run(command(service_layers, tmp_path, "pgbearer", *words), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_code_of_the_environments_runs(service_layers: list[Path], place: tuple[int, Path]) -> None:
    """Who may set a variable of the pod, or write to a volume of it, is not thereby the service."""
    uid, folder = place
    hostile = folder / "hostile"
    hostile.mkdir()
    (hostile / "sitecustomize.py").write_text("raise SystemExit('hostile code ran')\n")
    said = {}
    for words in (["python3", "/usr/local/bin/pgbearer"], ["pgbearer"]):
        named = ["env", f"PYTHONPATH={INSIDE}/hostile", *words, "--version"]
        done = subprocess.run(command(service_layers, folder, *named, uid=uid), capture_output=True, text=True)
        said[words[0]] = done.stdout + done.stderr
    assert "hostile code ran" in said["python3"], "the trap does not work"
    assert "hostile code ran" not in said["pgbearer"]


def test_it_is_registered_by_the_names_of_the_manifests(service_tree: Path) -> None:
    known = Images()
    our_images.register(known)
    assert known.layers(our_images.SERVICE)[0] == service_tree
    (module,) = known.layers(our_images.MODULE)
    assert (module / "lib/pgbearer.so").is_file()
    assert (Named().service, Named().module) == (our_images.SERVICE, our_images.MODULE)
