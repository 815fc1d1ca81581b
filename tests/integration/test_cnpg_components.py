"""The components of cnpg/ that no overlay has: each over the one that it is for, judged like them."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgbearer.cnpg import check_text, render, write
from pgbearer.service.metrics import TABLE
from pgbearer.wire import Reason
from tests.cnpg.manifests import CNPG, OVERLAYS, Json, Rendered, build, rendered, with_components
from tests.cnpg.promql import selected
from tests.cnpg.realm import production_realm
from tests.klite.verdict import conform, judge
from tests.unit.render_samples import spec

SCHEMAS = Path(__file__).parents[1] / "schemas"
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
"""What Prometheus keeps of a metric of a kind."""
SERIES = {
    f"{measure.name}{suffix}": {*measure.labels, *(("le",) if suffix == "_bucket" else ())}
    for measure in TABLE
    for suffix in SUFFIXES[measure.kind]
}
"""Every series of docs/metrics.md, and its labels."""
MAKE_CERTIFICATES = CNPG / "components/certificates-secret/make-certificates"
OF_PODS = {"namespace", "pod", "job"}
"""Labels that a PodMonitor puts on all of them."""


def judged(manifests: Rendered, folder: Path) -> None:
    file = folder / "manifests.yaml"
    file.write_text(manifests.text)
    more = f"{SCHEMAS}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"
    assert conform(file, more_schemas=[more]) == ""
    assert [verdict for verdict in judge(file) if verdict.problems] == []


def alerts(folder: Path) -> list[dict[str, Any]]:
    rule = with_components(folder, ["overlays/service"], ["components/monitoring"]).one("PrometheusRule", "pgbearer")
    found: list[dict[str, Any]] = rule["spec"]["groups"][0]["rules"]
    over_the_network = any(measure.name.startswith("pgbearer_tls_") for measure in TABLE)
    return [alert for alert in found if over_the_network or "pgbearer_tls_" not in alert["expr"]]


def test_every_component_is_tried_here_or_in_an_overlay() -> None:
    used = "".join(file.read_text() for file in (CNPG / "overlays").glob("*/kustomization.yaml"))
    here = "".join(Path(__file__).with_name(f"test_cnpg_{name}.py").read_text() for name in ("components", "overlays"))
    for component in (CNPG / "components").iterdir():
        assert f"components/{component.name}" in used + here, component.name


@pytest.mark.parametrize("overlay", ["service", "sidecar"])
def test_monitoring_is_judged_good_and_finds_its_ports(overlay: str, tmp_path: Path) -> None:
    manifests = with_components(tmp_path, [f"overlays/{overlay}"], ["components/monitoring"], namespace="databases")
    judged(manifests, tmp_path)
    (login_service,) = manifests.one("PodMonitor", "pgbearer")["spec"]["podMetricsEndpoints"]
    (container,) = rendered("service").one("Deployment", "pgbearer")["spec"]["template"]["spec"]["containers"]
    assert login_service["port"] in {port["name"] for port in container["ports"]}


def test_alerts_ask_for_what_is_measured(tmp_path: Path) -> None:
    for alert in alerts(tmp_path):
        asked = selected(
            alert["expr"]
        )  # by a parser of PromQL: who writes nonsense learns it here, not from Prometheus
        assert asked, alert
        for each in asked:
            if each.metric == "up":  # Prometheus' own
                continue
            assert each.metric in SERIES, (alert["alert"], each.metric)
            assert each.matchers.keys() <= SERIES[each.metric] | OF_PODS, (alert["alert"], each)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("pgbearer_ready ==", "invalid promql"),
        ("rate(pgbearer_decisions_total) > 0", "expected type matrix"),
        ("sum by reason (pgbearer_ready)", "invalid promql"),
        ("absent()", "expected 1 argument"),
    ],
)
def test_what_is_no_promql_is_seen(wrong: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        selected(wrong)


def test_alerts_name_reasons_that_there_are(tmp_path: Path) -> None:
    known = {reason.value for reason in Reason}
    asked = [each for alert in alerts(tmp_path) for each in selected(alert["expr"])]
    of_decisions = [each for each in asked if each.metric == "pgbearer_decisions_total"]
    assert of_decisions
    for each in of_decisions:
        assert set(each.values("reason")) <= known, each


def test_certificates_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    for _ in range(2):  # the second time renews
        subprocess.run([MAKE_CERTIFICATES, folder], check=True, capture_output=True)
    own = ["components/service", os.path.relpath(folder, CNPG)]
    manifests = with_components(tmp_path, ["base"], own, namespace="databases")
    judged(manifests, tmp_path)
    for kind in ("service", "client"):
        assert set(manifests.one("Secret", f"pgbearer-{kind}-tls")["data"]) == {"tls.crt", "tls.key", "ca.crt"}
        purpose = "sslserver" if kind == "service" else "sslclient"
        assert good(folder / "made", f"{kind}.crt", "trust.crt", "-purpose", purpose)
        shown = ["openssl", "x509", "-in", f"{kind}.crt", "-noout", "-ext", "subjectAltName"]
        said = subprocess.run(shown, cwd=folder / "made", check=True, capture_output=True, text=True).stdout
        (name,) = rendered("service").one("Certificate", f"pgbearer-{kind}-tls")["spec"]["dnsNames"]
        assert re.findall(r"DNS:(\S+)", said) == [name]


def test_certificates_of_ones_own_for_what_is_rendered(tmp_path: Path) -> None:
    write(render(spec(certificates="secret")), tmp_path / "orders")
    folder = tmp_path / "orders" / "certificates"
    names = {"cluster": "orders", "namespace": "shop"}
    subprocess.run([MAKE_CERTIFICATES, folder], check=True, capture_output=True, env={**os.environ, **names})
    for word in ("trust-both", "sign-anew", "trust-new"):  # the folder knows for whom they are
        subprocess.run([MAKE_CERTIFICATES, folder, word], check=True, capture_output=True)
    file = tmp_path / "orders" / "kustomization.yaml"
    said = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(said | {"components": [*said["components"], "certificates"]}))
    manifests = build(tmp_path / "orders")
    judged(manifests, tmp_path)
    for kind, name in (("service", "orders-pgbearer.shop.svc"), ("client", "orders.shop.svc")):
        assert manifests.one("Secret", f"orders-pgbearer-{kind}-tls")["metadata"]["namespace"] == "shop"
        assert good(folder / "made", f"{kind}.crt", "trust.crt", "-verify_hostname", name)
    assert len(manifests.of("Secret")) == 2
    wrong = subprocess.run(
        [MAKE_CERTIFICATES, tmp_path / "wrong"], capture_output=True, text=True, env={**os.environ, "cluster": "A/b"}
    )
    assert "no names of a Cluster" in wrong.stderr
    assert not (tmp_path / "wrong").exists()


def good(folder: Path, certificate: str, authority: str, *how: str) -> bool:
    command = ["openssl", "verify", "-x509_strict", *how, "-CAfile", authority, certificate]
    return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


def test_an_authority_is_changed_in_three_steps_and_each_fits_the_one_before(tmp_path: Path) -> None:
    folder, made = tmp_path / "certificates", tmp_path / "certificates" / "made"

    def step(*words: str) -> str:
        """What it says that refuses; else what the certificate for the service and the trust are is kept as BEFORE."""
        before = {name: (made / name).read_bytes() for name in ("service.crt", "trust.crt") if made.exists()}
        done = subprocess.run([MAKE_CERTIFICATES, folder, *words], capture_output=True, text=True)
        if done.returncode == 0:
            for name, content in before.items():
                (made / f"before-{name}").write_bytes(content)
            return ""
        assert {name: (made / name).read_bytes() for name in before} == before
        return done.stderr

    assert "has no authority yet" in step("trust-both")
    assert step() == ""
    first_key = (made / "ca.key").read_bytes()
    assert "first: trust-both" in step("sign-anew")
    for word, both in (("trust-both", True), ("sign-anew", True), ("trust-new", False)):
        assert step(word) == ""
        assert (made / "trust.crt").read_text().count("BEGIN") == 1 + both
        for certificate in ("service.crt", "before-service.crt"):  # not all pods have the same files at a time
            for trust in ("trust.crt", "before-trust.crt"):
                assert good(made, certificate, trust), (word, certificate, trust)
        assert step(word) != ""
    assert (made / "ca.key").read_bytes() != first_key
    assert not list(made.glob("*old*")) + list(made.glob("*next*"))


def test_trust_comes_from_a_configmap_of_ones_own(tmp_path: Path) -> None:
    manifests = with_components(tmp_path, ["overlays/service"], ["components/trust"])
    judged(manifests, tmp_path)
    usual = rendered("service")
    for sources, before in zip(projected(manifests), projected(usual), strict=True):
        secret, trust = sources
        name = before[0]["secret"]["name"]
        assert secret["secret"]["name"] == name
        assert "ca.crt" not in {item["key"] for item in secret["secret"]["items"]}
        assert trust["configMap"]["name"] == "pgbearer-trust"
        assert "optional" not in trust["configMap"]
        kept = secret["secret"]["items"] + trust["configMap"]["items"]
        assert sorted(kept, key=str) == sorted(before[0]["secret"]["items"], key=str)  # the paths and modes as before


def projected(manifests: Rendered) -> list[list[Json]]:
    """What the certificates of the Cluster and of the service come from."""
    pod = manifests.one("Deployment", "pgbearer")["spec"]["template"]["spec"]
    (tls,) = (volume["projected"]["sources"] for volume in pod["volumes"] if volume["name"] == "tls")
    return [manifests.one("Cluster", "pg")["spec"]["projectedVolumeTemplate"]["sources"], tls]


def test_keys_are_kept_from_others_and_from_git(tmp_path: Path) -> None:
    assert (
        subprocess.run([MAKE_CERTIFICATES], capture_output=True).returncode != 0
    )  # not into the folder that is shipped
    assert not (MAKE_CERTIFICATES.parent / "made").exists()
    subprocess.run([MAKE_CERTIFICATES, tmp_path / "mine"], check=True, capture_output=True)
    assert not [file for file in (tmp_path / "mine/made").iterdir() if file.stat().st_mode & 0o077]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    listed = ["git", "ls-files", "--others", "--exclude-standard"]
    seen = subprocess.run(listed, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    assert sorted(seen) == ["mine/.gitignore", "mine/kustomization.yaml"]


def test_certificates_from_elsewhere(tmp_path: Path) -> None:
    with_external = ["components/service", "components/secrets-external"]
    manifests = with_components(tmp_path, ["base"], with_external, namespace="databases")
    judged(manifests, tmp_path)
    for kind in ("service", "client"):
        secret = manifests.one("ExternalSecret", f"pgbearer-{kind}-tls")["spec"]
        assert set(secret["target"]["template"]["data"]) == {"tls.crt", "tls.key", "ca.crt"}
        assert secret["target"]["name"] in mounted(manifests)
        assert "data" not in secret  # each entry of that would be a read of its own
        assert len(secret["dataFrom"]) == 1


def mounted(manifests: Rendered) -> set[str]:
    """The Secrets that the service and the instances are given."""
    (cluster,) = manifests.of("Cluster")
    volumes: list[Json] = manifests.one("Deployment", "pgbearer")["spec"]["template"]["spec"]["volumes"]
    sources = [*cluster["spec"]["projectedVolumeTemplate"]["sources"]]
    sources += [source for volume in volumes for source in volume.get("projected", {}).get("sources", ())]
    return {source["secret"]["name"] for source in sources if "secret" in source}


def test_the_realm_is_the_one_that_people_import(tmp_path: Path) -> None:
    manifests = with_components(
        tmp_path, ["overlays/service"], ["components/keycloak-realm-import"], namespace="databases"
    )
    judged(manifests, tmp_path)
    assert manifests.one("KeycloakRealmImport", "pgbearer-corp")["spec"]["realm"] == production_realm()
    text = (CNPG / "components/keycloak-realm-import/realm.yaml").read_text()
    assert not re.search(r"^ *-? *(users|credentials|secret|value):", text, re.MULTILINE)


def test_another_trust_domain_is_named_only_where_spire_is_told_of_it(tmp_path: Path) -> None:
    """SPIRE refuses an entry with one that it knows nothing of; the service would have no identity, and no keys."""
    manifests = with_components(tmp_path, ["overlays/service"], ["components/spire"], namespace="databases")
    judged(manifests, tmp_path)
    assert [
        each["metadata"]["name"] for each in manifests.of("ClusterSPIFFEID") if "federatesWith" in each["spec"]
    ] == []
    federated = rendered("spire")
    (known,) = federated.of("ClusterFederatedTrustDomain")
    own, other = (federated.one("ClusterSPIFFEID", name)["spec"] for name in ("pgbearer", "pgbearer-partner"))
    assert other["federatesWith"] == [known["spec"]["trustDomain"]]
    assert "federatesWith" not in own
    assert own["podSelector"] == other["podSelector"]
    assert own["spiffeIDTemplate"] != other["spiffeIDTemplate"]


@pytest.mark.parametrize(
    ("below", "component"),
    [("base", "sidecar"), ("overlays/service", "kubernetes-workloads"), ("overlays/service", "spire")],
)
def test_a_policy_of_ones_own_stays_where_a_component_comes_in(below: str, component: str, tmp_path: Path) -> None:
    """kustomize adds components after what the same file generates, so the policy of one is a part of its own."""
    (tmp_path / "pgbearer.yaml").write_text("of: mine\n")
    settings = {"name": "pgbearer", "namespace": "databases", "behavior": "merge", "files": ["pgbearer.yaml"]}
    generator = [{**settings, "options": {"disableNameSuffixHash": True}}]

    def policy(*more: str) -> str:
        components = [f"components/{component}", *more]
        made = with_components(tmp_path, [below], components, configMapGenerator=generator)
        text: str = made.one("ConfigMap", "pgbearer")["data"]["pgbearer.yaml"]
        return text

    assert policy() == "of: mine\n"
    assert (
        policy(f"components/{component}/policy") == (CNPG / f"components/{component}/policy/pgbearer.yaml").read_text()
    )


def test_a_sidecar_with_the_policy_of_another_service_is_found(tmp_path: Path) -> None:
    alone = with_components(tmp_path, ["base"], ["components/sidecar"], namespace="databases").text
    assert [found.code for found in check_text(alone) if found.counts] == ["socket_unknown"]


def test_every_overlay_takes_the_monitoring(tmp_path: Path) -> None:
    for overlay in OVERLAYS:
        folder = tmp_path / overlay
        folder.mkdir()
        assert with_components(folder, [f"overlays/{overlay}"], ["components/monitoring"]).of("PrometheusRule")
