"""The name of the service's user is looked up once: what then becomes of the directory concerns no login."""

import pwd
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.fix_postgres import MakeServer
from tests.lying_service import LyingService
from tests.parts.needs import COMPILER, ROOT

_DIRECTORY = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pwd.h>
#include <unistd.h>

struct passwd *getpwnam(const char *name)
{
    struct passwd *(*real)(const char *) = (struct passwd *(*)(const char *)) dlsym(RTLD_NEXT, "getpwnam");
    return access(FORGETS, F_OK) == 0 ? NULL : real(name);
}
"""
"""A directory that knows nobody any more as soon as a file is there."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a server of another uid can look."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_directory_that_has_lost_the_user_since_stops_no_login(
    postgres_server: MakeServer, need: Callable[..., None], folder: Path
) -> None:
    need(ROOT, COMPILER)
    forgets, source, library = folder / "forgets", folder / "directory.c", folder / "directory.so"
    source.write_text(_DIRECTORY)
    subprocess.run(["cc", "-shared", "-fPIC", f'-DFORGETS="{forgets}"', "-o", library, source], check=True)
    server = postgres_server({"pgbearer.service_user": "daemon"}, under=("env", f"LD_PRELOAD={library}"))
    server.sql("CREATE ROLE app LOGIN")
    service = LyingService(server.socket, uid=pwd.getpwnam("daemon").pw_uid)
    service.start()
    service.allow()
    forgets.touch()
    server.reload()
    server.login().close()
    server.sql("ALTER SYSTEM SET pgbearer.service_user = 'bin'")  # this one has to be looked up
    server.reload()
    assert server.refusal().startswith("service_user_unknown")
    service.stop()
