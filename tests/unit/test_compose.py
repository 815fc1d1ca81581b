"""compose.yaml and what it mounts, as files: the stack for people with containers is the stack of `make demo`."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from demo.policy import Addresses, policy_file
from tests.parts.keycloak import VERSION

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def read(name: str) -> str:
    return (ROOT / "containers" / name).read_text()


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "tests" / "schemas" / "compose-spec.json").read_text())
    return loaded


def test_compose_file_fits_the_schema() -> None:
    jsonschema.Draft201909Validator(schema()).validate(COMPOSE)


def test_schema_would_notice_a_misspelt_key() -> None:
    misspelt = {**COMPOSE, "services": {"keycloak": {"imgae": "keycloak"}}}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft201909Validator(schema()).validate(misspelt)


def test_every_mounted_file_is_here_and_every_volume_declared() -> None:
    for service in SERVICES.values():
        for mount in service["volumes"]:
            source = mount.partition(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"], mount


def test_every_dockerfile_copies_what_is_here() -> None:
    for service in SERVICES.values():
        if "build" not in service:
            continue
        for line in (ROOT / service["build"]["dockerfile"]).read_text().splitlines():
            if line.startswith("COPY ") and "--from=" not in line:
                for source in line.split()[1:-1]:
                    assert (ROOT / source).exists(), line


def test_ports_are_open_to_this_machine_only() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_keycloak_is_the_version_that_is_tested() -> None:
    assert SERVICES["keycloak"]["image"].endswith(f":{VERSION}")


def test_policy_is_the_one_of_the_demo() -> None:
    inside = Addresses(
        issuer="https://localhost:8443/realms/demo",
        ca_file=Path("/certificates/ca.crt"),
        run=Path("/run/pgbearer"),
        log=Path("/var/log/pgbearer"),
        state=Path("/var/lib/pgbearer"),
        postgres_uid=999,
        http="0.0.0.0:8431",
    )

    assert read("pgbearer.yaml") == policy_file(inside)


def test_module_trusts_the_uid_that_the_service_has() -> None:
    assert "--uid 26880 " in read("pgbearer.Dockerfile")
    assert "pgbearer.service_user = '26880'" in read("postgresql.conf")


def test_break_glass_is_first_and_reject_is_last() -> None:
    lines = [line.split() for line in read("pg_hba.conf").splitlines() if line and not line.startswith("#")]

    assert lines[0][0] == "local"
    assert lines[-1] == ["host", "all", "all", "all", "reject"]
    assert {line[0] for line in lines[1:-1]} == {"hostssl"}
