"""docs/cloudnativepg-kind.md: its commands, in their order, and logins to what its overlay makes. No kind runs here."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.cnpg.manifests import CNPG, Rendered, rendered, with_components
from tests.cnpg.network import Place, allowed
from tests.cnpg.own import ISSUER_CA, Site
from tests.cnpg.places import PLACES
from tests.e2e.fix_cnpg_login import NAMESPACE, Databases, running_service
from tests.e2e.fix_operator import OperatorStage
from tests.klite import programs

pytestmark = pytest.mark.timeout(400)  # the operator and Keycloak may have to be started first

PAGE = (CNPG.parent / "docs" / "cloudnativepg-kind.md").read_text()
OVERLAY = "overlays/quickstart"
ISSUER = "https://keycloak.databases.svc:8443/realms/demo"
"""Where the overlay's Keycloak would be, whose pod nobody runs here."""


@pytest.fixture
def checkout(operator_stage: OperatorStage, tmp_path: Path) -> Iterator[Path]:
    """Where the reader is."""
    for name in ("cnpg", "keycloak-realm"):
        shutil.copytree(CNPG.parent / name, tmp_path / name)
    yield tmp_path
    kubectl = operator_stage.cluster.kubectl
    kubectl("-n", NAMESPACE, "delete", "cluster", "pg", "--ignore-not-found", "--timeout=60s")
    kubectl("delete", "-k", tmp_path / "cnpg" / OVERLAY, "--ignore-not-found", "--wait=false")
    kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=120s")


def test_the_commands_do_what_the_page_says(checkout: Path, operator_stage: OperatorStage) -> None:
    path = os.pathsep.join((str(programs.kubectl().parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(operator_stage.cluster.kubeconfig)}

    def run(commands: str) -> str:
        words = ["bash", "-euo", "pipefail", "-c", commands]
        done = subprocess.run(words, cwd=checkout, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    apply, let_in, fetch = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    said = run(apply)
    assert "cluster.postgresql.cnpg.io/pg created" in said
    assert "certificate.cert-manager.io/keycloak-tls condition met" in said
    assert set(operator_stage.cluster.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/keycloak-admin")["data"]) == {
        "KC_BOOTSTRAP_ADMIN_USERNAME",
        "KC_BOOTSTRAP_ADMIN_PASSWORD",
    }
    assert "networkpolicy.networking.k8s.io/pg-outside created" in run(let_in)
    run("kubectl -n databases wait --for=create secret/pg-ca --timeout=60s")  # the operator's, which no kubelet delays
    run(fetch)
    for name in ("pg-ca.crt", "keycloak-ca.crt"):
        assert "BEGIN CERTIFICATE" in (checkout / name).read_text()
    run("kubectl -n databases get deployment/keycloak deployment/pgbearer svc/keycloak svc/pgbearer")  # as it waits for


def test_the_ports_of_ones_own_machine_lead_to_keycloak_and_the_primary() -> None:
    """Through the node's, which the page names twice, by Services whose pods are there, and past the NetworkPolicy."""
    kind = yaml.safe_load(re.findall(r"--config - <<'END'\n(.*?)^END$", PAGE, re.DOTALL | re.MULTILINE)[0])
    (let_in,) = re.findall(r"kubectl apply -f - <<'END'\n(.*?)^END$", PAGE, re.DOTALL | re.MULTILINE)
    *services, policy = yaml.safe_load_all(let_in)
    outside = Place("outside", "172.18.0.1")
    leads = {}
    for service in services:
        (port,) = service["spec"]["ports"]
        (found,) = (each for each in PLACES if service["spec"]["selector"].items() <= each.labels.items())
        policies = [*rendered("quickstart").of("NetworkPolicy"), policy]
        assert allowed(policies, outside, found, port["port"])
        leads[port["nodePort"]] = found.name
    mapped = {each["hostPort"]: leads[each["containerPort"]] for each in kind["nodes"][0]["extraPortMappings"]}
    assert mapped == {urlsplit(ISSUER).port: "Keycloak", 5432: "postgres"}
    assert f"PGBEARER_ISSUER={ISSUER} " in PAGE


@pytest.fixture(scope="module")
def quickstart(
    operator_stage: OperatorStage, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Databases]:
    """The overlay, in front of the run's Keycloak, which has the same realm, in the place of its own."""
    with running_service(operator_stage, site, in_front_of(site, tmp_path_factory.mktemp("own"))) as running:
        yield running


def in_front_of(site: Site, folder: Path) -> Rendered:
    """The overlay but for the issuer, and the authority of its certificate."""
    policy = (CNPG / OVERLAY / "pgbearer.yaml").read_text()
    assert ISSUER in policy
    (folder / "pgbearer.yaml").write_text(policy.replace(ISSUER, site.issuer).replace("keycloak-ca.crt", ISSUER_CA))
    shutil.copy(site.ca_file, folder / ISSUER_CA)
    (change,) = (
        each for each in yaml.safe_load((CNPG / OVERLAY / "cluster.yaml").read_text()) if ISSUER in str(each["value"])
    )
    line = {**change, "value": change["value"].replace(ISSUER, site.issuer)}
    settings = {"name": "pgbearer", "namespace": NAMESPACE, "behavior": "merge", "files": ["pgbearer.yaml", ISSUER_CA]}
    return with_components(
        folder,
        [OVERLAY],
        configMapGenerator=[{**settings, "options": {"disableNameSuffixHash": True}}],
        patches=[{"target": {"kind": "Cluster", "name": "pg"}, "patch": json.dumps([line])}],
    )


def test_bob_makes_the_tables_and_alice_reads_them(quickstart: Databases) -> None:
    made = quickstart.log_in("bob", "app_migrator", "CREATE TABLE orders (id int)", options="-crole=app")
    assert made.status == 0, made
    assert quickstart.log_in("alice", "app_readonly", "SELECT count(*) FROM orders").output == "0"


def test_carol_may_nothing(quickstart: Databases) -> None:
    assert quickstart.log_in("carol", "app_readonly", "SELECT 1").status == 2
    assert quickstart.decisions()[-1]["reason"] == "no_rule"
