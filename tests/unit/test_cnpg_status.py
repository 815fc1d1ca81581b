"""What `pgbearer cnpg status` tells of a cluster's answers."""

import base64
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pgbearer.cli.cnpg import _tell
from pgbearer.cnpg import Status, ask_cluster, look
from pgbearer.cnpg.kubectl import RefusedError
from pgbearer.errors import UsageError
from tests.unit.test_cnpg_live import MAPS, OPERATED, SETTINGS

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DIGEST = "ab" * 32


def pem(days: int) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, NOW - timedelta(days=99), NOW + timedelta(days=days)
    )
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def pod(name: str, *, sidecar: bool, ready: bool = True) -> dict[str, Any]:
    labels = {"cnpg.io/cluster": "pg"} if sidecar else {"app.kubernetes.io/name": "pgbearer"}
    key = "initContainerStatuses" if sidecar else "containerStatuses"
    return {"metadata": {"name": name, "labels": labels}, "status": {key: [{"name": "pgbearer", "ready": ready}]}}


class FakeCluster:
    """Answers as kubectl does; what is taken out of `answers` is refused."""

    def __init__(self) -> None:
        live = {"digest": DIGEST, "loaded_at": "2026-11-28T11:00:00Z", "current": True, "problems": []}
        lines = {"rules": OPERATED, "settings": SETTINGS, "idents": MAPS, "passwords": None}
        self.answers: dict[str, Any] = {
            "clusters": {
                "spec": {"instances": 3},
                "status": {
                    "phase": "Cluster in healthy state",
                    "readyInstances": 3,
                    "currentPrimary": "pg-1",
                    "certificates": {"expirations": {"pg-ca": "2027-02-26 17:20:05 +0000 UTC"}},
                },
            },
            "services": {"items": [pod("pgbearer-a", sidecar=False), pod("pgbearer-b", sidecar=False)]},
            "instances": {"items": [{"metadata": {"name": "pg-1", "labels": {"cnpg.io/cluster": "pg"}}, "status": {}}]},
            "pgbearer-a": live,
            "pgbearer-b": copy.deepcopy(live),
            "pgbearer-service-tls": pem(60),
            "pgbearer-client-tls": pem(60),
            "pg-1": lines,
        }

    def text(self, *words: str) -> str:
        match words:
            case ("get", "secret", name, form):
                assert "tls.crt" in form.replace("\\", "")
                return base64.b64encode(self._answer(name).encode()).decode()
            case ("exec", name, "--container=postgres", "--", *command):
                assert command[:2] == ["psql", "-XAtq"]
                return json.dumps(self._answer(name))
        raise AssertionError(words)

    def json(self, *words: str) -> dict[str, Any]:
        match words:
            case ("get", "clusters.postgresql.cnpg.io", "pg" | "orders", _):
                found: dict[str, Any] = self._answer("clusters")
            case ("get", "pods", selector, _):
                found = self._answer(
                    {
                        "--selector=app.kubernetes.io/name=pgbearer": "services",
                        "--selector=app.kubernetes.io/name=orders-pgbearer": "services of orders",
                        "--selector=cnpg.io/cluster=pg": "instances",
                        "--selector=cnpg.io/cluster=orders": "instances",
                    }[selector]
                )
            case ("exec", name, "--container=pgbearer", "--", "pgbearer", "config", "live", "--json"):
                found = self._answer(name)
            case _:
                raise AssertionError(words)
        return found

    def _answer(self, name: str) -> Any:
        if name not in self.answers:
            raise RefusedError(f"{name} not found")
        return self.answers[name]


def told(change: Callable[[dict[str, Any]], object], name: str = "pg") -> Status:
    cluster = FakeCluster()
    change(cluster.answers)
    return look(cluster, name, NOW)


def test_all_is_well() -> None:
    found = told(lambda _: None)
    assert found.well, found.as_json()
    assert [(each.pod, each.digest, each.current) for each in found.replicas] == [
        ("pgbearer-a", DIGEST, True),
        ("pgbearer-b", DIGEST, True),
    ]
    assert [each.secret for each in found.certificates] == ["pgbearer-service-tls", "pgbearer-client-tls", "pg-ca"]
    assert found.certificates[2].ends == "2027-02-26T17:20:05Z"


def test_sidecars_are_services_and_need_no_certificates() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers["services"] = {"items": []}
        answers["instances"] = {"items": [pod("pg-1", sidecar=True)]}
        answers["pg-1"] = {**answers["pg-1"], **answers["pgbearer-a"]}

    found = told(change)
    assert found.well, found.as_json()
    assert [each.secret for each in found.certificates] == ["pg-ca"]


def test_a_cluster_has_a_service_of_its_own() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers["services of orders"] = {"items": [pod("orders-pgbearer-a", sidecar=False)]}
        answers["orders-pgbearer-a"] = answers["pgbearer-a"]
        answers |= {f"orders-{name}": pem(60) for name in ("pgbearer-service-tls", "pgbearer-client-tls")}

    found = told(change, "orders")
    assert [each.pod for each in found.replicas] == ["orders-pgbearer-a"]
    assert [each.secret for each in found.certificates][:2] == [
        "orders-pgbearer-service-tls",
        "orders-pgbearer-client-tls",
    ]


def test_a_cluster_may_have_the_service_that_ships() -> None:
    found = told(lambda answers: answers.update({"services of orders": {"items": []}}), "orders")
    assert [each.pod for each in found.replicas] == ["pgbearer-a", "pgbearer-b"]
    assert [each.secret for each in found.certificates][:2] == ["pgbearer-service-tls", "pgbearer-client-tls"]


def reload_refused(answers: dict[str, Any]) -> None:
    answers["pgbearer-b"].update(current=False, problems=["pgbearer.yaml:3: unknown key"])


def not_ready(answers: dict[str, Any]) -> None:
    answers["services"]["items"][1] = pod("pgbearer-b", sidecar=False, ready=False)


TROUBLE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another policy": (lambda answers: answers["pgbearer-b"].update(digest="cd" * 32), "not all services"),
    "a file that is refused": (reload_refused, "unknown key"),
    "not ready": (not_ready, ""),
    "no service": (lambda answers: answers.update(services={"items": []}), "nobody decides"),
    "a service that does not answer": (lambda answers: answers.pop("pgbearer-b"), "pgbearer-b not found"),
    "pods that may not be seen": (lambda answers: answers.pop("services"), "services not found"),
    "a certificate that ends": (lambda answers: answers.update({"pgbearer-client-tls": pem(6)}), "ends soon"),
    "a certificate that has ended": (lambda answers: answers.update({"pgbearer-client-tls": pem(-1)}), "has ended"),
    "a certificate that is none": (lambda answers: answers.update({"pgbearer-client-tls": "x"}), "no certificate"),
    "no certificate": (lambda answers: answers.pop("pgbearer-service-tls"), "pgbearer-service-tls not found"),
    "an instance away": (lambda answers: answers["clusters"]["status"].update(readyInstances=2), ""),
    "no primary": (lambda answers: answers["clusters"]["status"].pop("currentPrimary"), "no primary"),
    "a primary that is an option": (
        lambda answers: answers["clusters"]["status"].update(currentPrimary="--server=x"), "no primary"
    ),
    "a primary that does not answer": (lambda answers: answers.pop("pg-1"), "pg-1 not found"),
    "lines": (lambda answers: answers["pg-1"].update(rules=OPERATED[:3] + OPERATED[4:]), "hba_no_oauth"),
    "a password": (lambda answers: answers["pg-1"].update(passwords=["postgres"]), "superuser_access"),
    "an operator's certificate without an end": (
        lambda answers: answers["clusters"]["status"].update(certificates={"expirations": {"x": 7}}), "cannot be read"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TROUBLE)
def test_trouble_is_told(what: str) -> None:
    change, said = TROUBLE[what]
    found = told(change)
    assert not found.well
    assert said in json.dumps(found.as_json())


@pytest.mark.parametrize("what", TROUBLE)
def test_nothing_to_mend_is_said_only_when_all_is_well(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    _tell(told(TROUBLE[what][0]))
    assert capsys.readouterr().out.endswith("not all is well, see above\n")


@pytest.mark.parametrize("passwords", [None, ["app"]])
def test_nothing_to_mend_is_said_with_a_notice_too(
    passwords: list[str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    _tell(told(lambda answers: answers["pg-1"].update(passwords=passwords)))
    said = capsys.readouterr().out
    assert ("password_unused" in said) == bool(passwords)
    assert said.endswith("nothing to mend\n")


def test_the_primary_alone_is_judged() -> None:
    cluster = FakeCluster()
    assert ask_cluster(cluster, "pg") == []
    cluster.answers["pg-1"].update(passwords=["app"])
    assert [each.code for each in ask_cluster(cluster, "pg")] == ["password_unused"]


@pytest.mark.parametrize("answer", [None, [], 7, "x"])
def test_a_primary_that_says_something_else_is_an_error(answer: object) -> None:
    cluster = FakeCluster()
    cluster.answers["pg-1"] = answer
    with pytest.raises(RefusedError, match="pg-1 does not say"):
        ask_cluster(cluster, "pg")
    cluster.answers["clusters"]["status"].update(currentPrimary="--raw")
    with pytest.raises(RefusedError, match="no primary"):
        ask_cluster(cluster, "pg")


@pytest.mark.parametrize("name", ["", "-x", "--raw=/api", "a b", "ä", "a" * 300])
def test_only_names_are_asked_for(name: str) -> None:
    with pytest.raises(UsageError):
        look(FakeCluster(), name, NOW)
    with pytest.raises(UsageError):
        ask_cluster(FakeCluster(), name)


def test_no_cluster_is_an_error() -> None:
    cluster = FakeCluster()
    del cluster.answers["clusters"]
    with pytest.raises(RefusedError):
        look(cluster, "pg", NOW)
