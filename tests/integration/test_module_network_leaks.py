"""The module's TLS many times in one process under the address and leak sanitizers, whatever happens."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lying_network import LyingNetwork
from tests.parts.authority import Authority, Certificate
from tests.parts.module import SOURCE
from tests.parts.needs import SANITIZER
from tests.parts.postgres import Installation

COUNT = 30
NAME = "pgbearer.test"
ID = "spiffe://prod.test/pgbearer"
_HERE = Path(__file__).parent
_STAND_INS = _HERE.parent / "parts" / "headers"


@pytest.fixture(scope="module", params=["-idirafter", "-isystem"], ids=["real headers", "stand-in headers"])
def program(
    request: pytest.FixtureRequest,
    tls_installation: Installation,
    tmp_path_factory: pytest.TempPathFactory,
    need: Callable[..., None],
) -> Path:
    """module_tls_loop, compiled with the module's own source; the stand-ins searched last, then first."""
    need(SANITIZER)
    made = tmp_path_factory.mktemp("loop") / "module_tls_loop"
    headers, libraries = (_asked(tls_installation, option) for option in ("--includedir-server", "--libdir"))
    sources = (_HERE / "module_tls_loop.c", SOURCE / "tls.c", SOURCE / "tls_files.c", SOURCE / "endpoint.c")
    command = [
        *("cc", "-g", "-O1", "-no-pie", "-Wall", "-Wextra", "-Werror"),
        *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"),
        *("-isystem", headers, f"-I{SOURCE}", request.param, str(_STAND_INS), *map(str, sources)),
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
    assert int(done.stdout) == answered
