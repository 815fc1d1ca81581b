"""Drivers that cannot do OAuth, each by way of the proxy, into the real database with a person's login."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.fix_proxy import Gate
from tests.parts.drivers import DRIVERS, Driver


@pytest.mark.parametrize("driver", [driver for driver in DRIVERS if driver.unix_sockets], ids=lambda each: each.name)
def test_over_the_unix_socket(driver: Driver, need: Callable[..., None], gate: Gate, tmp_path: Path) -> None:
    need(*driver.needs)
    uses_the_database(driver, gate.where, tmp_path)
    assert gate.asked <= 1


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda each: each.name)
def test_over_the_loopback_with_the_secret_of_the_run(
    driver: Driver, need: Callable[..., None], loopback_gate: Gate, tmp_path: Path
) -> None:
    need(*driver.needs)
    uses_the_database(driver, loopback_gate.where, tmp_path)
    assert loopback_gate.asked <= 1


def uses_the_database(driver: Driver, where: dict[str, str], folder: Path) -> None:
    said = driver.run(folder, where)

    assert re.fullmatch("oauth:demo:[0-9a-f-]{36}", said.pop("system_user"))
    assert said.pop("current_user") == "app_readonly"
    assert said.pop("copied", 3) == 3
    assert said == {"sum": 42, "cancelled": True, "after": 2}, "the same connection answers after the cancel"
