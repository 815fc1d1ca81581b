"""Files that somebody else could have written, and files that are wrong: neither ever takes the good one's place."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pgbearer.cli import app
from tests.integration.fix_service import Service, Start
from tests.parts.needs import ROOT

Spoil = Callable[[Path], object]


def in_its_place(file: Path) -> None:
    """A folder where the file was."""
    file.unlink()
    file.mkdir()


SPOILT: dict[str, Spoil] = {
    "group may write": lambda file: file.chmod(0o620),
    "others may write": lambda file: file.chmod(0o602),
    "group may write its folder": lambda file: file.parent.chmod(0o770),
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-20]),
    "not UTF-8": lambda file: file.write_bytes(b"version: \xff\n"),
    "no mapping": lambda file: file.write_bytes(b"- 1\n"),
    "of another version": lambda file: file.write_bytes(file.read_bytes().replace(b'"version": 1', b'"version": 2')),
    "with an unknown key": lambda file: file.write_bytes(file.read_bytes().replace(b'"any_role"', b'"any_rol"')),
    "with no rules at all": lambda file: file.write_bytes(file.read_bytes().replace(b'"rules"', b'"ruels"')),
    "absent": lambda file: file.unlink(),
    "a folder": in_its_place,
}


def state(service: Service) -> tuple[str, str, float]:
    """The policy in force, what it decides, and whether the metrics call the file good."""
    login = service.login()
    ok = next(line for line in service.http("/metrics")[1].splitlines() if line.startswith("pgbearer_config_ok "))
    return service.decisions()[-1]["policy"], login["decision"], float(ok.split()[1])


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_bad_file_does_not_replace_a_good_one(service: Service, spoil: Spoil) -> None:
    digest, *_ = state(service)
    spoil(service.file)
    service.hang_up()
    service.await_line("the one before stays in force")
    assert state(service) == (digest, "allow", 0.0)
    report = json.loads(service.http("/readyz")[1])["config"]
    assert (report["current"], report["digest"]) == (False, digest)
    assert report["problems"]


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_nothing_starts_with_a_bad_file(start_service: Start, spoil: Spoil) -> None:
    first = start_service()
    assert first.stop() == 0
    spoil(first.file)
    again = restart(first)
    assert again == 2
    assert not first.login_socket.exists()


def restart(service: Service) -> int:
    """The exit status of another `pgbearer serve` with the file as it is."""
    return subprocess.run(service.process.args, capture_output=True, timeout=30, check=False).returncode


VOLUME = """
mount -t tmpfs -o mode=0777 tmpfs "$1"
mkdir "$1/..2026_11_28"
cp "$2" "$1/..2026_11_28/pgbearer.yaml"
ln -s ..2026_11_28 "$1/..data"
ln -s ..data/pgbearer.yaml "$1/pgbearer.yaml"
$3
shift 3
exec "$@"
"""
"""A projected volume as a kubelet makes it (AtomicWriter), in a mount namespace of our own."""


@pytest.mark.parametrize(
    ("sealing", "status"), [("mount -o remount,bind,ro {}", 0), (":", 2)], ids=["read-only", "writable"]
)
def test_a_volume_of_a_kubelet_is_trusted_as_long_as_nobody_here_can_write_it(
    need: Callable[..., None], start_service: Start, tmp_path: Path, sealing: str, status: int
) -> None:
    need(ROOT)
    file = start_service().file
    volume = tmp_path / "volume"
    volume.mkdir()
    check: list[str | Path] = [Path(sys.executable).with_name("pgbearer"), "config", "check", volume / "pgbearer.yaml"]
    own = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", VOLUME.replace("$3", sealing.format('"$1"'))]
    done = subprocess.run([*own, "sh", volume, file, "-", *check], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert ("writable by group or others (mode 0777)" in done.stdout + done.stderr) is (status == 2)


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_ca_file_that_others_may_write_is_refused(start_service: Start, tmp_path: Path, mode: int) -> None:
    service = start_service()
    own = tmp_path / "ca.pem"
    own.write_bytes(service.issuer.ca_file.read_bytes())
    own.chmod(mode)
    demo = service.settings["issuers"]["demo"]
    service.change(issuers={"demo": demo | {"ca_file": str(own)}})
    service.await_line("the one before stays in force")
    assert "ca_file" in json.loads(service.http("/readyz")[1])["config"]["problems"][0]
    assert service.login()["decision"] == "allow"


def test_two_policies_are_told_apart(service: Service) -> None:
    """What tells replicas with different files apart: the digest, in health, in each record, on the admin socket."""
    before = json.loads(service.http("/readyz")[1])["config"]["digest"]
    service.login()
    service.change(rules=[])
    service.await_line("reloaded")
    service.login()
    after = json.loads(service.http("/readyz")[1])["config"]["digest"]
    assert before != after
    assert [record["policy"] for record in service.decisions()] == [before, after]
    assert service.admin("/v1/config").body["digest"] == after


def test_which_file_is_live_is_told(service: Service) -> None:
    """What `pgbearer cnpg status` asks in each pod."""
    before = json.loads(service.http("/readyz")[1])["config"]["digest"]
    words = ["config", "live", "--socket", str(service.admin_socket)]
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert (told["digest"], told["current"], told["problems"]) == (before, True, [])
    service.change(rules="none")
    service.await_line("the one before stays in force")
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert (told["digest"], told["current"]) == (before, False)
    assert "rules: must be a list" in told["problems"][0]
    assert "refused: " in CliRunner().invoke(app, words).stdout
