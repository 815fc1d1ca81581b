"""The module's TLS many times in one process under the address and leak sanitizers, whatever happens."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lying_network import LyingNetwork
from tests.parts.authority import Authority, Certificate
from tests.parts.module import SOURCE
from tests.parts.needs import COMPILER, SANITIZER
from tests.parts.postgres import Installation

COUNT = 30
NAME = "pgbearer.test"
ID = "spiffe://prod.test/pgbearer"
_HERE = Path(__file__).parent
_STAND_INS = _HERE.parent / "parts" / "headers"


_SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


@pytest.fixture(scope="module", params=["-idirafter", "-isystem"], ids=["real headers", "stand-in headers"])
def program(
    request: pytest.FixtureRequest,
    tls_installation: Installation,
    tmp_path_factory: pytest.TempPathFactory,
    need: Callable[..., None],
) -> Path:
    """module_tls_loop under the sanitizers, with the module's own source; the stand-ins searched last, then first."""
    need(SANITIZER)
    return _compiled(tls_installation, tmp_path_factory.mktemp("loop"), request.param, *_SANITIZED)


def _compiled(installation: Installation, folder: Path, stand_ins: str, *options: str) -> Path:
    made = folder / "module_tls_loop"
    headers, libraries = (_asked(installation, option) for option in ("--includedir-server", "--libdir"))
    names = ("tls.c", "tls_files.c", "trusted_file.c", "endpoint.c")
    sources = (_HERE / "module_tls_loop.c", *(SOURCE / name for name in names))
    command = [
        *("cc", "-g", "-O1", "-no-pie", "-Wall", "-Wextra", "-Werror", *options),
        *("-isystem", headers, f"-I{SOURCE}", stand_ins, str(_STAND_INS), *map(str, sources)),
        *(f"{libraries}/libpgcommon.a", f"{libraries}/libpgport.a", "-l:libssl.so.3", "-l:libcrypto.so.3", "-lm"),
        *("-o", str(made)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def _asked(installation: Installation, option: str) -> str:
    said = subprocess.run([installation.pg_config, option], check=True, capture_output=True, text=True)
    return said.stdout.strip()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def lying(authority: Authority) -> Iterator[LyingNetwork]:
    service = LyingNetwork(authority.server("service", [NAME]), authority.ca_file)
    service.start()
    service.allow()
    yield service
    service.stop()


@pytest.mark.parametrize(
    ("peer", "happens", "answered"),
    [
        (f"hostname={NAME}", lambda lying, authority: None, COUNT),
        (f"spiffe={ID}", lambda lying, authority: lying.show(authority.server("svid", [ID])), COUNT),
        (f"spiffe={ID}", lambda lying, authority: lying.show(authority.server("other", [ID + "2"])), 0),
        ("hostname=other.test", lambda lying, authority: None, 0),
        (f"hostname={NAME}", lambda lying, authority: lying.show(authority.server("old", [NAME], days=-1)), 0),
        (f"hostname={NAME}", lambda lying, authority: lying.instead_of_tls(lambda _: None), 0),
        (f"hostname={NAME}", lambda lying, authority: lying.cut_after(0), 0),
        (f"hostname={NAME}", lambda lying, authority: authority.ca_file.write_text("nothing"), 0),
    ],
    ids=["hostname", "SPIFFE", "other SPIFFE", "other hostname", "expired", "no TLS", "cut", "no authority"],
)
def test_nothing_is_left_and_nothing_is_touched_that_is_not_ours(
    program: Path,
    authority: Authority,
    lying: LyingNetwork,
    peer: str,
    happens: Callable[[LyingNetwork, Authority], object],
    answered: int,
) -> None:
    own: Certificate = authority.client("module", ["spiffe://prod.test/postgres/pay"])
    ca = authority.ca_file.read_bytes()
    happens(lying, authority)
    try:
        done = subprocess.run(
            [program, str(COUNT), lying.endpoint(peer), own.cert_file, own.key_file, authority.ca_file],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1"},
        )
    finally:
        authority.ca_file.write_bytes(ca)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) == answered


def test_what_openssl_keeps_is_once_a_process(
    tls_installation: Installation, tmp_path: Path, authority: Authority, lying: LyingNetwork, need: Callable[..., None]
) -> None:
    need(COMPILER)
    program = _compiled(tls_installation, tmp_path, "-idirafter")
    own = authority.client("module", ["spiffe://prod.test/postgres/pay"])
    command = [str(program), str(COUNT), lying.endpoint(), *map(str, (own.cert_file, own.key_file, authority.ca_file))]
    counted = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}  # what lies there counts as allocated
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=counted)
    answered, grown = map(int, done.stdout.split())
    assert answered == COUNT
    assert grown < 1024, "bytes in 28 more logins"
