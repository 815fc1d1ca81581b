"""What docs/cloudnativepg.md says, top to bottom, on a real API server with the real operator and cert-manager."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cnpg.manifests import CNPG
from tests.cnpg.own import AUDIENCE
from tests.e2e.fix_keycloak import issue
from tests.e2e.fix_operator import OperatorStage
from tests.e2e.reader import Page, Reader
from tests.klite.fleet import Fleet
from tests.klite.network import Network
from tests.klite.node import Node
from tests.klite.pods import Kubelet, Pod
from tests.parts import image
from tests.parts.keycloak import Keycloak
from tests.parts.needs import IPROUTE
from tests.parts.processes import wait_until

pytestmark = pytest.mark.timeout(400)  # the operator and Keycloak may have to be started first

PAGE = Page("cloudnativepg.md")
FILES = dict(re.findall(r"```yaml ((?!cnpg/)\S+)\n(.*?)```", PAGE.text, re.DOTALL))
OF_OURS, OF_THEIRS = "https://sso.example.com/realms/corp", "https://login.corp.example/realms/staff"
"""The issuer that what ships names, and the reader's own, which the page has them write in both places."""
SHOP = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"
SMALL = "- {op: replace, path: /spec/instances, value: 1}\n"
"""What else is the reader's of the Cluster: three instances would take minutes here."""


def files_of(keycloak: Keycloak, folder: Path) -> None:
    """What the page has the reader write before its commands, with an issuer of their own."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    def change(name: str, old: str, new: str) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    shutil.copy(CNPG / "base/pgbearer.yaml", folder / "databases/pgbearer.yaml")
    shutil.copy(keycloak.ca_file, folder / "databases/issuer-ca.crt")
    change("databases/cluster.yaml", OF_THEIRS, keycloak.issuer())
    change("databases/cluster.yaml", "db:pg", AUDIENCE)
    change(
        "databases/cluster.yaml", "- {op: replace, path: /spec/storage", f"{SMALL}- {{op: replace, path: /spec/storage"
    )
    issuer_ca = PAGE.command("ca_file: ")
    change("databases/pgbearer.yaml", OF_OURS, f"{keycloak.issuer()}\n    {issuer_ca}")
    change("databases/pgbearer.yaml", "audience: db:pg ", f"audience: {AUDIENCE} ")
    change("databases/kustomization.yaml", "files: [pgbearer.yaml]", PAGE.command("files: "))


@pytest.fixture
def folder(tmp_path: Path, keycloak: Keycloak) -> Path:
    """The reader's, beside a copy of cnpg/."""
    shutil.copytree(CNPG, tmp_path / "cnpg")
    files_of(keycloak, tmp_path)
    return tmp_path


@pytest.fixture
def kubelet(
    need: Callable[..., None],
    operator_stage: OperatorStage,
    keycloak: Keycloak,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Kubelet]:
    """On a network of pods, with our images where the page has them."""
    need(IPROUTE)
    ports = [urlsplit(each).port for each in (operator_stage.cluster.url, keycloak.url)]
    node = tmp_path_factory.mktemp("page") / "node"
    with (
        Network.start(node.parent, [port for port in ports if port is not None]) as network,
        Node.start(operator_stage.cluster, "page", node) as machine,
    ):
        images = operator_stage.kubelet.images
        images.register("registry.corp.example/pgbearer:0.1.0", image.service(), image.base())
        images.register("registry.corp.example/pgbearer-module:0.1.0-18-trixie", image.module(18))
        yield Kubelet(machine, images, network)


@pytest.fixture
def reader(operator_stage: OperatorStage, kubelet: Kubelet, folder: Path) -> Iterator[Reader]:
    """With the namespace shop."""
    assert kubelet.network is not None
    kubectl = operator_stage.cluster.kubectl
    kubectl("apply", "-f", "-", stdin=SHOP)
    yield Reader(folder, operator_stage.cluster.kubeconfig, kubelet.network.join())
    kubectl("-n", "databases", "delete", "cluster", "pg", "--ignore-not-found", "--timeout=60s")
    kubectl("delete", "-k", folder / "databases", "--ignore-not-found", "--wait=false")
    kubectl("wait", "--for=delete", "namespace/databases", "--timeout=120s")


def service_pods(kubelet: Kubelet, undo: ExitStack) -> list[Pod]:
    """Those that the Deployment makes, ready."""
    kubectl = kubelet.cluster.kubectl
    kubectl("-n", "databases", "wait", "--for=condition=Ready", "certificate", "--all", "--timeout=60s")
    kubectl("-n", "databases", "scale", "deployment/pgbearer", "--replicas=2")  # as its autoscaler would
    words = ["-n", "databases", "get", "pod", "-l", "app.kubernetes.io/name=pgbearer", "-o", "name"]
    wait_until(lambda: len(kubectl(*words).split()) == 2, 60, "two pods of the service", pause=0.3)
    pods = []
    for name in kubectl(*words).split():
        pods.append(kubelet.run("databases", name.removeprefix("pod/")))
        undo.callback(pods[-1].stop)
        pods[-1].await_ready()
    return pods


def test_what_the_page_says_is_so(
    reader: Reader, operator_stage: OperatorStage, kubelet: Kubelet, keycloak: Keycloak
) -> None:
    have, look, apply, fetch, make = PAGE.blocks()
    reader.run(have)
    assert "nothing to mend" in reader.run(look)
    assert "cluster.postgresql.cnpg.io/pg created" in reader.run(apply)
    assert "shop" in reader.run("kubectl get namespaces -l pg.databases.pgbearer.example/may-reach=postgresql -o name")
    with ExitStack() as undo:
        services = service_pods(kubelet, undo)
        fleet = undo.enter_context(Fleet.start(operator_stage.operator, kubelet, "databases", "pg"))
        reader.run(fetch)
        log_in(reader, keycloak, fleet)
        assert "nothing to mend" in reader.run(PAGE.command("pgbearer cnpg status"))
        change_the_policy(reader, services)
    reader.run(make)
    assert "name: pgbearer-service-tls" in reader.run("kubectl kustomize own-certificates")


def log_in(reader: Reader, keycloak: Keycloak, fleet: Fleet) -> None:
    """As a pod does that finds the Service, whom the server is verified for by its name."""
    file = reader.folder / "token"
    file.touch(mode=0o600)
    file.write_text(issue(keycloak).compact)
    where = [PAGE.command("sslmode="), "sslrootcert=pg-ca.crt", f"host={PAGE.command('pg-rw.databases.svc')}"]
    where += [f"hostaddr={fleet.running[fleet.primary].address}", "dbname=appdb user=app_readonly"]
    assert "app_readonly" in reader.run(f"pgbearer connect --token-file token '{' '.join(where)}'")


def change_the_policy(reader: Reader, services: list[Pod]) -> None:
    """Nothing is restarted, and it is in force once the pods have seen it."""
    generation = "kubectl -n databases get deployment pgbearer -o jsonpath='{.metadata.generation}'"
    before = reader.run(generation)
    policy = reader.folder / "databases/pgbearer.yaml"
    policy.write_text(policy.read_text() + "# changed\n")
    assert "configmap/pgbearer configured" in reader.run("kubectl apply -k databases")
    assert reader.run(generation) == before
    for pod in services:
        await_reload(pod)


def await_reload(pod: Pod) -> None:
    """Let it see the policy, and wait until it goes by it."""
    container = pod.running["pgbearer"]
    before = container.log().count("reloaded ")
    pod.refresh()
    wait_until(lambda: container.log().count("reloaded ") > before, 30, "the policy to be read")
