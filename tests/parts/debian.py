"""A Debian root with PostgreSQL as Debian ships it: psql with its device flow, clients that are older, and servers to
compile the module for.

A root is made once by debootstrap and never written to again. Each command runs in mount and process namespaces of its
own: what it needs of this run (the authority it trusts, folders, /tmp) is mounted over the root, and no mount and no
process outlives it. The network is the host's, so 127.0.0.1 is the same machine. Needs root.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.parts.cache import cached
from tests.parts.needs import DEBOOTSTRAP, ROOT, demand

__all__ = [
    "CLIENT",
    "COMPILE_18",
    "COMPILE_19",
    "INSIDE",
    "OLD_CLIENTS",
    "PROMETHEUS",
    "PYTHON",
    "PYTHON_PIP",
    "DebianError",
    "DebianRoot",
    "Recipe",
    "unpacked",
]

INSIDE = "/mnt/work"
"""A folder of every root, empty, over which something of this machine can be bound."""
_LLVM = re.compile(r"(lib)?(clang|llvm|z3-)")
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"

# $1 root, $2 what lies below it, $3 user, $4 folder inside, then FROM TO pairs up to --, then words that run what
# follows up to --, then the command
_ENTER = """
root=$1 below=$2 user=$3 folder=$4; shift 4
[ -z "$below" ] || mount -t overlay overlay -o "lowerdir=$root:$below" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind /etc/hosts "$root/etc/hosts"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done
shift
prefix=
while [ "$1" != -- ]; do prefix="$prefix $1"; shift; done  # words without spaces
shift
group=$($prefix chroot "$root" id -g "$user")
exec $prefix chroot "$root" setpriv --reuid="$user" --regid="$group" --init-groups --no-new-privs \
  env -i --chdir="$folder" HOME=/tmp LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""


class DebianError(Exception):
    """A root could not be made; the message ends with the tail of the log."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a root is made of: a suite and packages, and packages added from a second suite."""

    suite: str
    packages: tuple[str, ...]
    extra_suite: str | None = None
    extra_packages: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the cache calls it: the suite and the most telling package."""
        return f"debian-{self.suite}-{(self.extra_packages or self.packages)[0]}"


_COMPILER = ("gcc", "libc6-dev", "libkrb5-dev", "libssl-dev", "make", "python3")  # Python for cnpg/image/assemble

CLIENT = Recipe("forky", ("postgresql-client-18", "libpq-oauth", "ca-certificates"))
"""psql 18 with its device flow."""
COMPILE_18 = Recipe("forky", ("postgresql-server-dev-18", "postgresql-18", *_COMPILER))
"""PostgreSQL 18 built with OpenSSL, and what compiles the module for it."""
COMPILE_19 = Recipe(
    "sid",
    (*_COMPILER, "ca-certificates"),
    "experimental",
    ("postgresql-19", "postgresql-server-dev-19", "postgresql-client-19", "libpq5", "libpq-dev"),
)
"""The same for the pre-release 19."""
OLD_CLIENTS = Recipe("bookworm", ("postgresql-client-15", "pgbouncer"))
"""psql and pg_dump from before OAuth, and PgBouncer, which has none either."""

PROMETHEUS = Recipe("forky", ("prometheus",))
"""promtool, which tries alerts on made-up series."""

PYTHON = Recipe("trixie", ("python3", "ca-certificates"))
"""What the service's image stands on."""
PYTHON_PIP = Recipe("trixie", ("python3-pip", "ca-certificates"))
"""Where that image's layer is put together."""


@dataclass(frozen=True, slots=True)
class DebianRoot:
    """A root in the cache, ready to run commands in."""

    path: Path
    binds: Mapping[Path, str] = field(default_factory=dict)
    """Host folders or files, and where each stands inside."""
    below: Path | None = None
    """A folder of which is seen what the root has not."""
    run_by: tuple[str, ...] = ()
    """The words, none with a space in it, by which the way into the root is run."""

    @classmethod
    def of(cls, recipe: Recipe) -> "DebianRoot":
        """The root of `recipe`, made now if it is not in the cache: a minute, or three with compilers.

        Raises:
            MissingError: not root, or no debootstrap.
            DebianError: debootstrap or apt failed.
        """
        demand(ROOT, DEBOOTSTRAP)
        return cls(cached(recipe.name, repr(recipe), lambda folder: _make(folder, recipe)))

    def trusting(self, ca_file: Path, folder: Path) -> "DebianRoot":
        """The same root with `ca_file` in its system store; `folder` keeps the bundle for as long as it is used."""
        bundle = folder / "ca-certificates.crt"
        bundle.write_bytes((self.path / _BUNDLE).read_bytes() + ca_file.read_bytes())
        return self.with_bind(bundle, f"/{_BUNDLE}")

    def with_bind(self, outside: Path, inside: str) -> "DebianRoot":
        """The same root with `outside` visible as `inside`, which must exist in the root (`INSIDE` does, for this)."""
        return replace(self, binds={**self.binds, outside: inside})

    def command(self, *words: str | Path, user: str = "nobody", folder: str = "/") -> list[str]:
        """The command line, to be run by root on the host, that runs `words` inside as `user`.

        Nothing of its environment goes in: begin with ``env NAME=VALUE`` for that. Killing it kills all that it began.
        """
        pairs = [part for outside, inside in self.binds.items() for part in (str(outside), inside)]
        own = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        inside = [str(word) for word in words]
        place = [str(self.path), str(self.below or ""), user, folder]
        return [*own, "sh", "-ec", _ENTER, "enter", *place, *pairs, "--", *self.run_by, "--", *inside]


def unpacked(recipe: Recipe, architecture: str) -> Path:
    """The files of `recipe` for another processor: what packages would do when they are installed is not done.

    That would be done by that processor's programs. For the same reason there is nothing of LLVM, which nobody calls.

    Raises:
        MissingError: not root, or no debootstrap.
        DebianError: debootstrap failed, or a package is broken.
    """
    demand(ROOT, DEBOOTSTRAP)
    name = f"{recipe.name}-{architecture}"
    return cached(name, repr(recipe), lambda folder: _unpack(folder, recipe, architecture))


def _make(folder: Path, recipe: Recipe) -> None:
    log = folder.with_name(folder.name + ".log")
    _debootstrap(folder, recipe.suite, recipe.packages, log)
    if recipe.extra_suite:
        _add_suite(folder, recipe, log)
    for package in _packages(folder):
        package.unlink()
    log.unlink()


def _unpack(folder: Path, recipe: Recipe, architecture: str) -> None:
    log = folder.with_name(folder.name + ".log")
    more = [f"--extra-suites={recipe.extra_suite}"] if recipe.extra_suite else []
    packages = (*recipe.packages, *recipe.extra_packages)
    _debootstrap(folder, recipe.suite, packages, log, "--foreign", f"--arch={architecture}", *more)
    for package in _packages(folder):
        if not _LLVM.match(package.name):
            _logged(["dpkg-deb", "--extract", package, folder], log)
        package.unlink()
    log.unlink()


def _debootstrap(folder: Path, suite: str, packages: Sequence[str], log: Path, *options: str) -> None:
    own = ["unshare", "--mount", "--pid", "--fork", "--mount-proc"]  # servers that packages start end with it
    script = [] if _knows(suite) else ["", "sid"]  # an empty mirror: debootstrap's own default
    wanted = ["--variant=minbase", f"--include={','.join(packages)}", *options]
    _logged([*own, "debootstrap", *wanted, suite, folder, *script], log)
    (folder / INSIDE.lstrip("/")).mkdir(parents=True)
    (folder / "etc").mkdir(exist_ok=True)
    (folder / "etc/hosts").touch()


def _packages(folder: Path) -> list[Path]:
    return sorted((folder / "var/cache/apt/archives").glob("*.deb"))


def _add_suite(folder: Path, recipe: Recipe, log: Path) -> None:
    sources = folder / "etc/apt/sources.list"
    line = sources.read_text().splitlines()[0]
    sources.write_text(f"{line}\n{line.replace(f' {recipe.suite} ', f' {recipe.extra_suite} ')}\n")
    shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
    inside: list[str | Path] = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        f"--mount-proc={folder / 'proc'}",
        "chroot",
        folder,
    ]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = [*inside, "apt-get", "--option=Acquire::Check-Valid-Until=false"]  # a mirror may lag behind by weeks
    _logged([*apt, "update"], log, environment)
    chosen = [f"{package}/{recipe.extra_suite}" for package in recipe.extra_packages]  # all else from the first suite
    _logged([*apt, "install", "--yes", "--no-install-recommends", *chosen], log, environment)


def _knows(suite: str) -> bool:
    scripts = Path(os.environ.get("DEBOOTSTRAP_DIR", "/usr/share/debootstrap")) / "scripts"
    return (scripts / suite).exists()


def _logged(command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None) -> None:
    with log.open("ab") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, env=environment, check=False)
    if done.returncode != 0:
        raise DebianError(f"{command[-1]}: exit code {done.returncode}\n{log.read_text(errors='replace')[-2000:]}")
