"""A directory of users that hangs, as over a network, holds up the change that asks it and no login."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.integration.fix_service import Start, local_server
from tests.parts.needs import COMPILER

_DIRECTORY = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

int getpwnam_r(const char *name, struct passwd *found, char *text, size_t size, struct passwd **result)
{
    int (*real)(const char *, struct passwd *, char *, size_t, struct passwd **) =
        (int (*)(const char *, struct passwd *, char *, size_t, struct passwd **)) dlsym(RTLD_NEXT, "getpwnam_r");
    int fd = open(HANGS, O_RDONLY);
    char byte;

    if (fd >= 0)
    {
        (void) !read(fd, &byte, 1);
        close(fd);
    }
    return real(name, found, text, size, result);
}
"""
"""Where a pipe is at that path, each question waits until somebody opens it, and then until they close it."""


def test_a_directory_that_hangs_holds_up_no_login(
    start_service: Start, need: Callable[..., None], tmp_path: Path
) -> None:
    need(COMPILER)
    hangs, source, library = tmp_path / "hangs", tmp_path / "directory.c", tmp_path / "directory.so"
    source.write_text(_DIRECTORY)
    subprocess.run(["cc", "-shared", "-fPIC", f'-DHANGS="{hangs}"', "-o", library, source], check=True)
    service = start_service(environment={"LD_PRELOAD": str(library)})
    os.mkfifo(hangs)
    other = {"socket": str(tmp_path / "login" / "other.sock"), "uid": "daemon", "group": os.getgid()}
    service.change(servers={"local": local_server(tmp_path), "other": other})
    with hangs.open("wb"):  # it is being asked
        assert service.login()["decision"] == "allow"
    service.await_line("a socket, .* changed")
