"""The programs of a Kubernetes control plane, of what runs on it, and of SPIRE, built from Go modules.

What they are built from is pinned in folders of requirements/. What is made of Kubernetes' libraries is one workspace,
of one list of versions, so that those are compiled once.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from tests.parts import golang
from tests.parts.cache import cached
from tests.parts.needs import COMPILER, demand

__all__ = [
    "apiserver",
    "buildx",
    "cert_manager",
    "controller_manager",
    "etcd",
    "external_secrets",
    "kubeconform",
    "kubectl",
    "kubectl_cnpg",
    "kubelet_streams",
    "kustomize",
    "offline_check",
    "operator",
    "spire_agent",
    "spire_server",
    "vault",
    "version",
]

_REQUIREMENTS = Path(__file__).parents[2] / "requirements"
_CHECK = Path(__file__).parent / "check"
_CERTMANAGER = Path(__file__).parent / "certmanager"
_STREAMS = Path(__file__).parent / "streams"
_EXTERNALSECRETS = Path(__file__).parent / "externalsecrets"
_VAULTSERVER = Path(__file__).parent / "vaultserver"
_WORKSPACE = _REQUIREMENTS / "kubernetes.work"
_KUBERNETES, _ETCD, _SPIRE = "k8s.io/kubernetes", "go.etcd.io/etcd/server/v3", "github.com/spiffe/spire"
_OPERATOR = "github.com/cloudnative-pg/cloudnative-pg"
_CERT_MANAGER = "github.com/cert-manager/cert-manager"
_EXTERNAL_SECRETS = "github.com/external-secrets/external-secrets"
_VAULT = "github.com/hashicorp/vault"
_BUILDX = "github.com/docker/buildx"
_KUSTOMIZE, _KUBECONFORM = "sigs.k8s.io/kustomize/kustomize/v5", "github.com/yannh/kubeconform"


def apiserver() -> Path:
    """`kube-apiserver`.

    Raises:
        GoError: no Go to be had, or it does not build.
    """
    return _kubernetes("kube-apiserver")


def controller_manager() -> Path:
    """`kube-controller-manager`, which makes pods of jobs and clears up; raises as `apiserver`."""
    return _kubernetes("kube-controller-manager")


def kubectl() -> Path:
    """`kubectl`; raises as `apiserver`."""
    return _kubernetes("kubectl")


def etcd() -> Path:
    """`etcd`, which keeps what the API server is told; raises as `apiserver`."""
    return _program("kubernetes", _ETCD, "etcd", _ETCD)


def operator() -> Path:
    """`manager`: CloudNativePG's operator, and the instance manager in its pods; raises as `apiserver`."""
    linker = f"-X {_OPERATOR}/pkg/versions.buildVersion={version(_OPERATOR)}"
    return _program("cloudnative-pg", _OPERATOR, "manager", f"{_OPERATOR}/cmd/manager", linker=linker)


def kubectl_cnpg() -> Path:
    """`kubectl-cnpg`: what is ``kubectl cnpg`` to people; raises as `apiserver`."""
    linker = f"-X {_OPERATOR}/pkg/versions.buildVersion={version(_OPERATOR)}"
    return _program("kubectl-cnpg", _OPERATOR, "kubectl-cnpg", f"{_OPERATOR}/cmd/kubectl-cnpg", linker=linker)


def kustomize() -> Path:
    """`kustomize`; raises as `apiserver`."""
    linker = f"-X sigs.k8s.io/kustomize/api/provenance.version=v{version(_KUSTOMIZE)}"
    return _program("kustomize", _KUSTOMIZE, "kustomize", _KUSTOMIZE, linker=linker)


def kubeconform() -> Path:
    """`kubeconform`; raises as `apiserver`."""
    return _program("kubeconform", _KUBECONFORM, "kubeconform", f"{_KUBECONFORM}/cmd/kubeconform")


def buildx() -> Path:
    """`buildx`, which reads what images are made of; to make one it would need an engine. Raises as `apiserver`."""
    return _program("buildx", _BUILDX, "buildx", f"{_BUILDX}/cmd/buildx")


def offline_check() -> Path:
    """What the API server and the operator's webhook would say of manifests, without either; raises as `apiserver`."""
    return _of_ours(_CHECK, "offlinecheck", _OPERATOR)


def cert_manager() -> Path:
    """cert-manager's controllers and webhook, by a main of ours: upstream's is no module that a proxy has.

    Raises as `apiserver`.
    """
    linker = f"-X {_CERT_MANAGER}/pkg/util.AppVersion=v{version(_CERT_MANAGER)}"
    return _of_ours(_CERTMANAGER, "certmanager", _CERT_MANAGER, linker)


def external_secrets() -> Path:
    """External Secrets' own command; of all the stores that it knows, with Vault alone, and without generators.

    All would bring every cloud's library. Raises as `apiserver`.
    """
    instead = {
        f"pkg/{what}/register/register.go": _EXTERNALSECRETS / f"{what}.go" for what in ("provider", "generator")
    }
    return _program("external-secrets", _EXTERNAL_SECRETS, "external-secrets", _EXTERNAL_SECRETS, instead=instead)


def vault() -> Path:
    """Vault's core and API, by a main of ours that has one storage and no cloud; raises as `apiserver`."""
    return _of_ours(_VAULTSERVER, "vault", _VAULT)


def kubelet_streams() -> Path:
    """What the API server connects to for `kubectl exec`, `logs` and `port-forward`; raises as `apiserver`."""
    return _of_ours(_STREAMS, "kubelet-streams", _KUBERNETES)


def spire_server() -> Path:
    """`spire-server`; raises as `apiserver`, and MissingError without a C compiler: it brings SQLite as C."""
    return _spire("spire-server")


def spire_agent() -> Path:
    """`spire-agent`; raises as `spire_server`."""
    return _spire("spire-agent")


def version(module: str) -> str:
    """The pinned version of a Go module, without its v."""
    for pinned in (*sorted(_REQUIREMENTS.glob("*/go.mod")), _VAULTSERVER / "go.mod"):
        pins = pinned.read_text()
        if found := re.search(rf"^\s(?:require )?{re.escape(module)} v(\S+)", pins, re.MULTILINE):
            return found[1]
    raise LookupError(module)


def _kubernetes(name: str) -> Path:
    named = version(_KUBERNETES)
    major, minor, _ = named.split(".")
    what = {"gitVersion": f"v{named}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    linker = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in what.items())
    return _program("kubernetes", _KUBERNETES, name, f"{_KUBERNETES}/cmd/{name}", linker=linker)


def _spire(name: str) -> Path:
    demand(COMPILER)
    linker = f"-X {_SPIRE}/pkg/common/version.gittag={version(_SPIRE)}"
    return _program("spire", _SPIRE, name, f"{_SPIRE}/cmd/{name}", linker=linker, cgo=True)


def _of_ours(folder: Path, name: str, module: str, linker: str = "") -> Path:
    """A program whose source is in `folder`, with its own go.mod, and of which most is `module`'s."""
    return _built(folder, module, name, ".", linker)


def _program(
    pins: str,
    module: str,
    name: str,
    package: str,
    *,
    linker: str = "",
    cgo: bool = False,
    instead: Mapping[str, Path] | None = None,
) -> Path:
    """A command of `module`, as requirements/ has it; `instead`: files of ours in the place of some of the module's."""
    return _built(_REQUIREMENTS / pins, module, name, package, linker, cgo=cgo, instead=instead)


def _built(
    folder: Path,
    module: str,
    name: str,
    package: str,
    linker: str,
    *,
    cgo: bool = False,
    instead: Mapping[str, Path] | None = None,
) -> Path:
    workspace = _WORKSPACE if folder.resolve() in _members(_WORKSPACE) else None
    ours = instead or {}
    key = "".join([linker, *(file.read_text() for file in _made_of(folder, workspace))])
    key += "".join(f"{file}: {other.read_text()}" for file, other in ours.items())

    def make(into: Path) -> None:
        with golang.changed(folder, module, ours) if ours else nullcontext(folder) as pinned:
            golang.build(pinned, package, into / name, linker=linker, cgo=cgo, workspace=workspace)

    return cached(f"{name}-{version(module)}", key, make) / name


def _made_of(folder: Path, workspace: Path | None) -> Sequence[Path]:
    """The files that decide what is built in `folder`."""
    own = [file for file in sorted(folder.rglob("*")) if file.suffix in (".go", ".mod", ".sum")]
    if workspace is None:
        return own
    pins = [member / file for member in _members(workspace) for file in ("go.mod", "go.sum")]
    return [*own, *pins, workspace, workspace.with_suffix(".work.sum")]


def _members(workspace: Path) -> Sequence[Path]:
    """The folders that a file as go.work names."""
    named = re.findall(r"^\t(\S+)$", workspace.read_text(), re.MULTILINE)
    return [(workspace.parent / folder).resolve() for folder in named]
