"""Signals that whoever starts the tests ignores are heard again: what a test starts would ignore them too (exec(3)).

`nohup` ignores SIGHUP, and a shell without job control ignores SIGINT and SIGQUIT for what it runs in the background.
"""

import signal
from typing import Any, Final

import pytest

__all__ = ["pytest_configure"]

_AS_USUAL: Final[dict[signal.Signals, Any]] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGQUIT: signal.SIG_DFL,
}


def pytest_configure(config: pytest.Config) -> None:
    """In the process that collects, and in each that runs tests."""
    for number, usual in _AS_USUAL.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
