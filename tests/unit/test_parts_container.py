"""The command line that would run Keycloak in a container; nothing is run here."""

from pathlib import Path

import pytest

from tests.parts import container
from tests.parts.authority import Certificate

CERTIFICATE = Certificate(Path("/run/kc.crt"), Path("/run/kc.key"))


def words(engine: str = "docker") -> list[str]:
    return container.command(engine, "image:1", Path("/run/import"), CERTIFICATE, (8443, 9000), ["start-dev"])


def test_ports_are_published_on_the_loopback_only() -> None:
    assert {word for word in words() if word.startswith("--publish")} == {
        "--publish=127.0.0.1:8443:8443",
        "--publish=127.0.0.1:9000:9000",
    }


def test_secrets_are_named_and_not_given() -> None:
    given = [word.removeprefix("--env=") for word in words() if word.startswith("--env")]

    assert "KC_BOOTSTRAP_ADMIN_PASSWORD" in given
    assert not [name for name in given if "=" in name]


def test_mounts_cannot_be_written() -> None:
    mounts = [word for word in words() if word.startswith("--volume")]

    assert len(mounts) == 3
    assert all(mount.endswith(":ro") for mount in mounts)


def test_container_goes_with_its_client() -> None:
    assert words()[:3] == ["docker", "run", "--rm"]
    assert words()[-2:] == ["image:1", "start-dev"]


def test_container_can_read_our_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert "--user=1000:0" in words("docker")
    assert "--userns=keep-id" in words("podman")
