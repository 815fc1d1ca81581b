"""A process that holds tokens keeps its memory to itself."""

import subprocess
import sys

import pytest

_LOOK = (
    "import ctypes, resource; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))"
)


@pytest.mark.parametrize(
    "close",
    [
        "from pgbearer.hardening import forbid_dumps; forbid_dumps()",
        ("from pgbearer.cli import asking; asking.ask(None, 'https://sso.example.com', None, None, None).source()"),
    ],
    ids=["the function", "a command before it asks for a token"],
)
def test_neither_dumps_nor_other_eyes(close: str) -> None:
    def look(first: str) -> str:
        return subprocess.run([sys.executable, "-c", first + _LOOK], capture_output=True, text=True, timeout=60).stdout

    assert look("").startswith("1 "), "the test must be able to fail"
    assert look(close + "\n") == "0 (0, 0)\n"
