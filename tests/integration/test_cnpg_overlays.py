"""Each overlay of cnpg/, as it is built: what judges it finds nothing, and what must hold after it does."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgbearer.client import load_client_file
from pgbearer.client.sources.settings import KubernetesSettings
from pgbearer.cnpg import check_text
from pgbearer.config import load
from pgbearer.config.settings import Settings
from pgbearer.policy import compile as compile_policy
from tests.cnpg.cluster import made, made_of
from tests.cnpg.manifests import CNPG, OVERLAYS, Json, Rendered, pod_specs, rendered, with_components
from tests.cnpg.network import reach
from tests.cnpg.places import PLACES, PORTS
from tests.cnpg.restricted import faults
from tests.klite import crds
from tests.klite.verdict import conform, judge

ASSERTIONS = Path(__file__).parents[1] / "cnpg" / "overlays"
SCHEMAS = Path(__file__).parents[1] / "schemas"
ADMITS = re.compile(r"(?:hostssl \S+ \S+ \S+ (?:cert|oauth)|host \S+ \S+ \S+ reject)( |$)")
IMAGE = re.compile(r"[\w.-]+(:\d+)?/[\w./-]+(:(?!latest)[\w.-]+)?(@sha256:[0-9a-f]{64})?")
SECRET_WORDS = re.compile(
    r"BEGIN [A-Z ]*PRIVATE KEY|eyJ[\w-]{10,}\.|\bpassword:|client_secret:|stringData", re.IGNORECASE
)


def expected(overlay: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ASSERTIONS / f"{overlay}.yaml").read_text())
    return loaded


def differences(part: Any, whole: Any, path: str = "") -> Iterator[str]:
    """Where `whole` lacks what `part` has. Items of a list are found by their name, else by their place."""
    if isinstance(part, dict) and isinstance(whole, dict):
        for key, value in part.items():
            yield from differences(value, whole.get(key), f"{path}.{key}")
    elif isinstance(part, list) and isinstance(whole, list):
        named = {each["name"]: each for each in whole if isinstance(each, dict) and "name" in each}
        for index, value in enumerate(part):
            name = value.get("name") if isinstance(value, dict) else None
            there = named.get(name) if name else whole[index] if index < len(whole) else None
            yield from differences(value, there, f"{path}[{name or index}]")
    elif part != whole:
        yield f"{path}: {whole!r}, not {part!r}"


def names(manifests: Rendered) -> list[str]:
    """Of all objects, without the suffixes of kustomize."""
    full = (f"{each['kind']}/{each['metadata']['name']}" for each in manifests.objects)
    return sorted(re.sub(r"(?<=^ConfigMap/)(.*)-[a-z0-9]{10}$", r"\1", name) for name in full)


def pods(overlay: str) -> dict[str, Json]:
    """Every pod, the operator's among them."""
    return {**dict(pod_specs(rendered(overlay).objects)), "instance": made(overlay).pod["spec"]}


def containers(overlay: str) -> Iterator[Json]:
    for spec in pods(overlay).values():
        yield from (*spec.get("initContainers", ()), *spec["containers"])


def logging_in(overlay: str) -> list[Json]:
    """The roles that somebody can have: they are in the group of a line for tokens."""
    roles: list[Json] = rendered(overlay).one("Cluster", "pg")["spec"]["managed"]["roles"]
    groups = {line.split()[2].removeprefix("+") for line in made(overlay).hba if " oauth " in line}
    return [role for role in roles if groups & set(role.get("inRoles", ()))]


def policy(overlay: str) -> str:
    text: str = rendered(overlay).one("ConfigMap", "pgbearer")["data"]["pgbearer.yaml"]
    return text


every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def test_each_overlay_says_what_must_hold_after_it() -> None:
    assert sorted(file.stem for file in ASSERTIONS.glob("*.yaml")) == list(OVERLAYS)


@every_overlay
def test_nobody_finds_anything_wrong(overlay: str, tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(rendered(overlay).text)
    more = f"{SCHEMAS}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"
    assert conform(file, more_schemas=[more]) == ""
    verdicts = judge(file)
    assert [verdict for verdict in verdicts if verdict.problems] == []
    known_here = {verdict.what for verdict in verdicts if verdict.problems is not None}
    for each in rendered(overlay).objects:
        group, _, version = each["apiVersion"].rpartition("/")
        kind = each["kind"].lower()
        own = crds.schemas() / f"{kind}_{group or version}_{version}.json"
        assert f"{each['kind']}/{each['metadata']['name']}" in known_here or any(
            file.exists() for file in (own, SCHEMAS / group / f"{kind}_{version}.json")
        ), f"nobody has judged {each['kind']}"


@every_overlay
def test_what_is_made_is_what_is_expected(overlay: str) -> None:
    assert names(rendered(overlay)) == expected(overlay)["objects"]
    for part in expected(overlay)["holds"]:
        whole = rendered(overlay).one(part["kind"], part["metadata"]["name"])
        assert list(differences(part, whole, part["kind"])) == []


@every_overlay
def test_the_operator_makes_of_it_what_is_expected(overlay: str) -> None:
    said, found = expected(overlay), made(overlay)
    assert list(found.hba) == said["hba"]
    assert found.settings.items() >= said["settings"].items()
    assert list(differences(said.get("instance", {}), found.pod["spec"])) == []


@every_overlay
def test_nobody_gets_in_beside_oauth(overlay: str) -> None:
    lines = list(made(overlay).hba)
    last = lines.index("host all all all reject")
    assert lines[last + 1 :] == ["host all all all scram-sha-256"]  # the operator's own, which is not reached
    over_the_network = [line for line in lines[:last] if not line.startswith("local ")]
    assert [line for line in over_the_network if not ADMITS.match(line)] == []
    assert [line.split()[-1] for line in lines if line.startswith("local ")] == [
        "map=cnpg_metrics_exporter",
        "map=local",  # the operator's: the postgres of this container, and nobody else
    ]


@every_overlay
def test_roles_have_no_passwords(overlay: str) -> None:
    spec = rendered(overlay).one("Cluster", "pg")["spec"]
    assert spec["enableSuperuserAccess"] is False
    for role in spec["managed"]["roles"]:
        assert role["disablePassword"] is True
        assert "passwordSecret" not in role
    forbidden = made(overlay).settings["pgbearer.forbid_passwords"].split(",")
    groups = [line.split()[2] for line in made(overlay).hba if " oauth " in line]
    assert forbidden == groups
    assert not [role for role in logging_in(overlay) if role.get("superuser")]


@every_overlay
def test_a_rule_means_what_the_catalog_will_say_of_its_roles(overlay: str) -> None:
    """A member of one of PostgreSQL's own roles is privileged: a rule that does not say so gives it to nobody."""
    (cluster,) = rendered(overlay).of("Cluster")
    inherits = {role["name"]: role.get("inRoles", ()) for role in cluster["spec"]["managed"]["roles"]}
    rules = yaml.safe_load(policy(overlay))["rules"]
    meant = {role: rule.get("privileged", False) for rule in rules for role in rule["roles"]}
    assert meant == {role: any(each.startswith("pg_") for each in inherits[role]) for role in meant}


@every_overlay
def test_no_secret_is_committed(overlay: str) -> None:
    assert rendered(overlay).of("Secret") == ()
    for file in CNPG.rglob("*.yaml"):
        assert not SECRET_WORDS.search(file.read_text()), file


@every_overlay
def test_every_container_is_restricted(overlay: str) -> None:
    namespace = rendered(overlay).one("Namespace", "databases")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    found = {name: reasons for name, spec in pods(overlay).items() if (reasons := list(faults(spec)))}
    assert found == expected(overlay).get("not_restricted", {})


@every_overlay
def test_every_image_has_a_name_and_a_version_of_its_own(overlay: str) -> None:
    images = {container["image"] for container in containers(overlay) if "image" in container}  # PostgreSQL's is below
    images |= {extension["image"]["reference"] for extension in cluster_extensions(overlay)}
    images.add(rendered(overlay).one("Cluster", "pg")["spec"]["imageName"])
    for image in images:
        assert (found := IMAGE.fullmatch(image)), image
        assert found[2] or found[3], f"{image} is whatever is newest"


def cluster_extensions(overlay: str) -> list[Json]:
    found: list[Json] = rendered(overlay).one("Cluster", "pg")["spec"]["postgresql"]["extensions"]
    return found


@every_overlay
def test_one_place_of_ones_own_pins_every_image(overlay: str, tmp_path: Path) -> None:
    """With the tag beside the digest, for the operator reads PostgreSQL's version there."""
    digest = "sha256:" + "a" * 64
    shipped = sorted(set(images_in(rendered(overlay))))
    parts = (image.rpartition(":") for image in shipped)
    named = [{"name": name, "newTag": tag, "digest": digest} for name, _, tag in parts]
    (tmp_path / "images").mkdir()
    (tmp_path / "images/kustomization.yaml").write_text(yaml.safe_dump({"kind": "Component", "images": named}))
    components = [
        os.path.relpath(tmp_path / "images", CNPG),
        *(["components/sidecar-image"] if overlay == "sidecar" else []),
    ]
    pinned = with_components(tmp_path, [f"overlays/{overlay}"], components)
    assert sorted(set(images_in(pinned))) == [f"{image}@{digest}" for image in shipped]
    ours = {each["image"] for each in made_of(pinned).pod["spec"]["initContainers"] if each["name"] == "pgbearer"}
    assert ours == ({f"registry.example/pgbearer:0.1.0@{digest}"} if overlay == "sidecar" else set())
    assert [str(found) for found in check_text(pinned.text) if found.counts] == []


def images_in(manifests: Rendered) -> list[str]:
    """All that a node will be asked to pull, also by what the annotation of the Cluster puts into its pods."""
    (cluster,) = manifests.of("Cluster")
    spec, annotations = cluster["spec"], cluster["metadata"].get("annotations", {})
    patch = json.loads(annotations.get("cnpg.io/podPatch", "[]"))
    beside = [operation["value"] for operation in patch if "image" in operation["value"]]
    pods = [
        each for _, pod in pod_specs(manifests.objects) for each in (*pod.get("initContainers", ()), *pod["containers"])
    ]
    images = [spec["imageName"], *(each["image"]["reference"] for each in spec["postgresql"]["extensions"])]
    return images + [container["image"] for container in (*pods, *beside)]


@every_overlay
def test_a_change_of_the_policy_restarts_nothing(overlay: str) -> None:
    found = rendered(overlay).one("ConfigMap", "pgbearer")  # under this name, so without a suffix
    assert "immutable" not in found
    sources = [
        source
        for spec in pods(overlay).values()
        for volume in spec.get("volumes", ())
        for source in volume.get("projected", {}).get("sources", ())
    ]
    assert {"configMap": {"name": "pgbearer"}} in sources
    for spec in pods(overlay).values():  # a plain volume's folder is open to all, and refused
        assert not [volume for volume in spec.get("volumes", ()) if {"configMap", "secret"} & set(volume)]
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            for mount in container.get("volumeMounts", ()):
                assert "subPath" not in mount or mount["name"] == "scratch-data", "it would never change"


@pytest.mark.parametrize("overlay", OVERLAYS if "listen" in Settings.model_fields else ["sidecar"])
def test_the_service_would_take_its_policy(overlay: str, tmp_path: Path) -> None:
    file = tmp_path / "pgbearer.yaml"
    file.write_text(policy(overlay))
    settings = load(file, compile_policy, in_force=False).settings  # the files it names are in its pods
    lines = [line for line in made(overlay).hba if " oauth " in line]
    named = {found[1] for line in lines if (found := re.search('issuer="([^"]+)"', line))}
    assert named == {address for each in settings.issuers.values() if (address := issuer_of_lines(each))}
    assert {word for line in lines for word in re.findall(r"db:\w+", line)} == {
        issuer.audience for issuer in settings.issuers.values()
    }
    given = {role for rule in settings.rules for role in rule.roles or ()}
    assert given == {role["name"] for role in logging_in(overlay)}
    assert {name for rule in settings.rules for name in rule.databases or ()} == {
        rendered(overlay).one("Cluster", "pg")["spec"]["bootstrap"]["initdb"]["database"]
    }
    assert all(rule.issuers for rule in settings.rules) or len(settings.issuers) == 1


def issuer_of_lines(issuer: Any) -> str | None:
    """What HBA lines call an issuer; None for one that comes behind another's."""
    address: str | None = issuer.spiffe.iss if issuer.spiffe else issuer.issuer
    return address


@every_overlay
def test_what_we_run_has_no_rights_but_those_that_are_named(overlay: str) -> None:
    manifests = rendered(overlay)
    bindings = [f"{each['kind']}/{each['metadata']['name']}" for each in manifests.objects if "roleRef" in each]
    assert bindings == expected(overlay).get("rights", [])
    assert not [each for each in manifests.objects if each["kind"] in ("Role", "ClusterRole")]
    assert all(account["automountServiceAccountToken"] is False for account in manifests.of("ServiceAccount"))
    for name, spec in pod_specs(manifests.objects):
        assert spec["automountServiceAccountToken"] is False, name
        sources = (source for volume in spec["volumes"] for source in volume.get("projected", {}).get("sources", ()))
        for_the_api = [
            source for source in sources if "audience" not in source.get("serviceAccountToken", {"audience": ""})
        ]
        assert bool(for_the_api) == (name == "Deployment/pgbearer" and bool(bindings)), name


@every_overlay
def test_who_can_reach_whom(overlay: str) -> None:
    assert reach(rendered(overlay).of("NetworkPolicy"), PLACES, PORTS) == expected(overlay)["reaches"]


@every_overlay
def test_everything_is_where_it_belongs(overlay: str) -> None:
    elsewhere = {each["kind"] for each in rendered(overlay).objects if "namespace" not in each["metadata"]}
    assert elsewhere <= {"Namespace", "ClusterRoleBinding", "ClusterSPIFFEID", "ClusterFederatedTrustDomain"}
    spaces = {name for each in rendered(overlay).objects if (name := each["metadata"].get("namespace"))}
    assert spaces <= {each["metadata"]["name"] for each in rendered(overlay).of("Namespace")}


def test_service_and_cluster_agree_on_names() -> None:
    manifests = rendered("service")
    endpoint = made("service").settings["pgbearer.endpoints"]
    found = re.fullmatch(r"tcp://(pgbearer\.databases\.svc):8443\?hostname=(\S+)", endpoint)
    assert found
    (login,) = manifests.one("Service", "pgbearer")["spec"]["ports"]
    (container,) = manifests.one("Deployment", "pgbearer")["spec"]["template"]["spec"]["containers"]
    assert {"name": login["targetPort"], "containerPort": 8443} in container["ports"]
    assert manifests.one("Certificate", "pgbearer-service-tls")["spec"]["dnsNames"] == [found[2]]
    asked_by = yaml.safe_load(policy("service"))["servers"]["pg"]["certificate"]
    assert manifests.one("Certificate", "pgbearer-client-tls")["spec"]["dnsNames"] == [asked_by]


def test_both_ways_have_the_same_rules() -> None:
    one, other = (yaml.safe_load(policy(overlay)) for overlay in ("service", "sidecar"))
    different = {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
    assert different == {"servers", "listen"}


def test_a_sidecar_shares_nothing_with_postgresql_but_its_socket() -> None:
    spec = made("sidecar").pod["spec"]
    (sidecar,) = (each for each in spec["initContainers"] if each["name"] == "pgbearer")
    (postgres,) = spec["containers"]
    theirs = {mount["name"] for mount in postgres["volumeMounts"]}
    assert {mount["name"] for mount in sidecar["volumeMounts"]} & theirs == {"scratch-data"}
    shared = [mount for mount in sidecar["volumeMounts"] if mount["name"] == "scratch-data"]
    assert shared == [{"name": "scratch-data", "mountPath": "/shared", "subPath": "pgbearer"}]
    assert {"name": "scratch-data", "mountPath": "/run"} in postgres["volumeMounts"]
    here, there = yaml.safe_load(policy("sidecar")), made("sidecar").settings["pgbearer.endpoints"]
    assert here["servers"]["pg"]["socket"].replace("/shared", "unix:/run/pgbearer", 1) == there
    assert not here["admin"]["socket"].startswith("/shared")


def test_an_issuer_that_is_away_takes_no_instance_out() -> None:
    spec = made("sidecar").pod["spec"]
    (sidecar,) = (each for each in spec["initContainers"] if each["name"] == "pgbearer")
    assert not {"readinessProbe", "startupProbe"} & set(sidecar)
    assert sidecar["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_what_is_wrong_would_be_found(tmp_path: Path) -> None:
    """The checks above see what they are for."""
    patch = [
        {"op": "add", "path": "/spec/postgresql/pg_hba/0", "value": "host all all all trust"},
        {"op": "add", "path": "/spec/instancez", "value": 1},
    ]
    worse = with_components(
        tmp_path, ["overlays/sidecar"], patches=[{"target": {"kind": "Cluster"}, "patch": json.dumps(patch)}]
    )
    file = tmp_path / "manifests.yaml"
    file.write_text(worse.text)
    assert [verdict.problems for verdict in judge(file) if verdict.problems] == [("unknown field spec.instancez",)]
    file.write_text(worse.text.replace("podSelector:", "podSelectors:"))
    assert "podSelectors" in conform(file)
    only_trust = with_components(
        tmp_path, ["overlays/sidecar"], patches=[{"target": {"kind": "Cluster"}, "patch": json.dumps(patch[:1])}]
    )
    assert "host all all all trust" in made_of(only_trust).hba
    assert not ADMITS.match("host all all all trust")
    assert not ADMITS.match("hostssl all all all scram-sha-256")
    pod = {"containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}]}
    assert len(list(faults(pod))) == 6


def test_the_application_and_its_proxy_agree(tmp_path: Path) -> None:
    manifests = rendered("kubernetes-workloads")
    (found,) = (each for each in manifests.of("ConfigMap") if each["metadata"]["namespace"] == "shop")
    file = tmp_path / "client.toml"
    file.write_text(found["data"]["client.toml"])
    client = load_client_file({"PGBEARER_CONFIG_FILE": str(file)})
    profile = client.profile(client.default or "")
    spec = manifests.one("Deployment", "orders")["spec"]["template"]["spec"]
    (proxy,), (app,) = spec["initContainers"], spec["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in proxy["volumeMounts"]}
    (token,) = next(each for each in spec["volumes"] if each["name"] == "database-token")["projected"]["sources"]
    assert isinstance(profile.source, KubernetesSettings)
    assert profile.source.token_file == f"{mounts['database-token']}/{token['serviceAccountToken']['path']}"
    cluster = yaml.safe_load(policy("kubernetes-workloads"))["issuers"]["cluster"]
    assert (profile.issuer, token["serviceAccountToken"]["audience"]) == (cluster["issuer"], cluster["audience"])
    (upstream,) = client.upstreams
    folder = proxy["args"][proxy["args"].index("--folder") + 1]
    variables = {each["name"]: each["value"] for each in app["env"]}
    assert variables["PGHOST"] == f"{folder}/{upstream}"
    assert folder.startswith(mounts["database-socket"] + "/")
    conninfo = dict(word.split("=", 1) for word in client.upstreams[upstream].conninfo.split())
    assert (conninfo["user"], conninfo["dbname"]) == (variables["PGUSER"], variables["PGDATABASE"])
    assert conninfo["sslrootcert"].startswith(mounts["database-ca"])
