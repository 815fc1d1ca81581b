"""The programs of a Kubernetes control plane and of SPIRE, built from Go modules, without a container engine.

What they are built from is pinned in requirements/kubernetes and requirements/spire. Cold, on two cores: the API server
seven minutes, SPIRE six, etcd half a minute; then they are in the cache.
"""

import re
from collections.abc import Callable
from pathlib import Path

from tests.parts import golang
from tests.parts.cache import cached
from tests.parts.needs import COMPILER, demand

__all__ = ["apiserver", "etcd", "spire_agent", "spire_server", "version"]

_REQUIREMENTS = Path(__file__).parents[2] / "requirements"
_KUBERNETES, _ETCD, _SPIRE = "k8s.io/kubernetes", "go.etcd.io/etcd/server/v3", "github.com/spiffe/spire"


def apiserver() -> Path:
    """`kube-apiserver`.

    Raises:
        GoError: no Go to be had, or it does not build.
    """
    named = version(_KUBERNETES)
    major, minor, _ = named.split(".")
    what = {"gitVersion": f"v{named}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    linker = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in what.items())
    return _program("kubernetes", _KUBERNETES, "kube-apiserver", f"{_KUBERNETES}/cmd/kube-apiserver", linker=linker)


def etcd() -> Path:
    """`etcd`, which keeps what the API server is told; raises as `apiserver`."""
    return _program("kubernetes", _ETCD, "etcd", _ETCD)


def spire_server() -> Path:
    """`spire-server`; raises as `apiserver`, and MissingError without a C compiler: it brings SQLite as C."""
    return _spire("spire-server")


def spire_agent() -> Path:
    """`spire-agent`; raises as `spire_server`."""
    return _spire("spire-agent")


def version(module: str) -> str:
    """The pinned version of a Go module, without its v."""
    for folder in ("kubernetes", "spire"):
        pins = (_REQUIREMENTS / folder / "go.mod").read_text()
        if found := re.search(rf"^\s(?:require )?{re.escape(module)} v(\S+)", pins, re.MULTILINE):
            return found[1]
    raise LookupError(module)


def _spire(name: str) -> Path:
    demand(COMPILER)
    linker = f"-X {_SPIRE}/pkg/common/version.gittag={version(_SPIRE)}"
    return _program("spire", _SPIRE, name, f"{_SPIRE}/cmd/{name}", linker=linker, cgo=True)


def _program(pins: str, module: str, name: str, package: str, *, linker: str = "", cgo: bool = False) -> Path:
    folder = _REQUIREMENTS / pins
    key = "".join([linker, *((folder / file).read_text() for file in ("go.mod", "go.sum"))])
    return cached(f"{name}-{version(module)}", key, _maker(folder, package, name, linker, cgo=cgo)) / name


def _maker(folder: Path, package: str, name: str, linker: str, *, cgo: bool) -> Callable[[Path], None]:
    return lambda into: golang.build(folder, package, into / name, linker=linker, cgo=cgo)
