"""That a run under sanitizers is one: the module is instrumented, and the server has the runtime."""

from pathlib import Path

from tests.integration.fix_postgres import BearerServer
from tests.parts.module import module_for
from tests.parts.postgres import Installation
from tests.parts.sanitize import sanitizing


def test_module_is_instrumented_if_it_shall_be(postgres: Installation) -> None:
    library = module_for(postgres.pg_config) / "pgbearer.so"
    for mark in (b"__asan_report", b"__ubsan_handle"):
        assert (mark in library.read_bytes()) == sanitizing()


def test_server_has_the_runtime_if_it_shall(bearer: BearerServer) -> None:
    libraries = Path(f"/proc/{bearer.pid}/maps").read_text()
    for runtime in ("libasan.so", "libubsan.so"):
        assert (runtime in libraries) == sanitizing()
