"""What parts are fetched by: each by its hash, from whatever registry the machine's own clients use."""

import json
import re
from pathlib import Path

import pytest

from tests.parts import cerbos, golang, opa

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
LOCK = json.loads((REQUIREMENTS / "cerbos" / "package-lock.json").read_text())


def test_no_lock_names_a_host() -> None:
    for file in REQUIREMENTS.rglob("*"):
        if file.is_file() and file.suffix != ".md":
            assert not re.search(r"https?://|--index-url|\"resolved\"", file.read_text()), file.name


def test_every_package_of_npm_has_its_hash() -> None:
    packages = [package for name, package in LOCK["packages"].items() if name]
    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages)


def test_the_versions_are_those_of_the_locks() -> None:
    (wanted,) = json.loads((REQUIREMENTS / "cerbos" / "package.json").read_text())["dependencies"].values()
    assert cerbos.version() == wanted
    sums = (REQUIREMENTS / "opa" / "go.sum").read_text()
    assert f"github.com/open-policy-agent/opa v{opa.version()} h1:" in sums


@pytest.mark.parametrize(
    ("said", "wanted", "enough"),
    [
        ("go1.26.8", "1.26.0", True),
        ("go1.26.0", "1.26.0", True),
        ("go1.27", "1.26.8", True),
        ("go1.27rc1", "1.26.8", True),
        ("go1.9.7", "1.26.0", False),
        ("go1.25.9", "1.26.0", False),
        ("devel +abc", "1.26.0", False),
        ("", "1.26.0", False),
    ],
)
def test_an_older_go_is_not_enough(said: str, wanted: str, enough: bool) -> None:
    assert (golang._number(said) >= golang._number(f"go{wanted}")) == enough
