"""What is in the images, file by file: what must be, nothing else, and the same each time."""

import hashlib
import importlib.util
import json
import re
import stat
import subprocess
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from tests.integration.fix_image import command, needed
from tests.parts import image
from tests.parts.cache import home
from tests.parts.debian import INSIDE, PYTHON_PIP, DebianRoot
from tests.unit.test_image_locks import pins

ROOT = Path(__file__).parents[2]
PACKAGES = "usr/local/lib/python3.13/dist-packages"
ABOUT_THE_MODULE = {"licenses/pgbearer/LICENSE": 0o644, "sbom/pgbearer-module.cdx.json": 0o644}
EPOCH = 315532800
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}")
TESTS = re.compile(r"/(tests?|testing|test_\w*|conftest)(/|\.\w+$)")
NO_TESTS = {
    "pygments/lexers/testing.py",  # reads what tests print
    "cryptography/hazmat/bindings/_rust/test_support.pyi",  # types of what is in its one library
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    loader = SourceFileLoader("assemble", str(ROOT / "cnpg" / "image" / "assemble"))
    spec = importlib.util.spec_from_loader("assemble", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="session", params=["module-18", "module-19", "operand-18", "operand-19", "service"])
def tree(request: pytest.FixtureRequest, need: Callable[..., None], service_tree: Path) -> Path:
    """Each tree."""
    kind, _, major = request.param.partition("-")
    return service_tree if kind == "service" else {"module": image.module, "operand": image.operand}[kind](int(major))


def modes(tree: Path) -> dict[str, int]:
    """Every file's."""
    return {str(path.relative_to(tree)): path.stat().st_mode & 0o7777 for path in tree.rglob("*") if path.is_file()}


def folders(tree: Path) -> set[str]:
    """Those without a file in them."""
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_dir() and not any(path.iterdir())}


def bill(tree: Path) -> dict[str, Any]:
    (file,) = (tree / "sbom").iterdir()
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_what_is_in_the_extension_image(module_tree: tuple[int, Path]) -> None:
    _, tree = module_tree
    assert modes(tree) == {"lib/pgbearer.so": 0o755} | ABOUT_THE_MODULE
    assert folders(tree) == {"share/extension"}


def test_what_is_laid_over_the_operand(operand_tree: tuple[int, Path], module_tree: tuple[int, Path]) -> None:
    major, tree = operand_tree
    library = f"usr/lib/postgresql/{major}/lib/pgbearer.so"
    assert modes(tree) == {library: 0o755} | ABOUT_THE_MODULE
    assert folders(tree) == set()
    if major == module_tree[0]:
        assert (tree / library).read_bytes() == (module_tree[1] / "lib/pgbearer.so").read_bytes()
    assert (image.compiler(major).path / library).parent.is_dir()


def test_the_module_needs_no_library_that_postgresql_has_not_loaded(module_tree: tuple[int, Path]) -> None:
    major, tree = module_tree
    server = image.compiler(major).path / f"usr/lib/postgresql/{major}/bin/postgres"
    assert "libcrypto.so.3" in needed(tree / "lib/pgbearer.so")
    assert needed(tree / "lib/pgbearer.so") <= needed(server)


def test_the_service_is_what_is_locked_and_ours(service_tree: Path) -> None:
    found: dict[str, str] = {}
    for folder in (service_tree / PACKAGES).glob("*.dist-info"):
        name, version = folder.name.removesuffix(".dist-info").split("-")
        found[canonicalize_name(name)] = version
    ours = found.pop("pgbearer")
    assert found == {name: next(iter(pin.specifier)).version for name, pin in pins("service.txt").items()}
    assert bill(service_tree)["metadata"]["component"]["version"] == ours


def test_our_own_code_is_whole(service_tree: Path) -> None:
    package = service_tree / PACKAGES / "pgbearer"
    for source, below in (("validator/pgbearer", ""), ("cnpg/base", "cnpg/manifests/base")):
        for file in (ROOT / source).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert (package / below / file.relative_to(ROOT / source)).read_bytes() == file.read_bytes()


def test_where_the_services_files_are(service_tree: Path) -> None:
    assert {path.name for path in service_tree.iterdir()} == {"licenses", "sbom", "usr"}
    assert {path.name for path in (service_tree / "usr/local/bin").iterdir()} == {"pgbearer"}
    assert {str(path.relative_to(service_tree)) for path in (service_tree / "usr/local/lib").iterdir()} == {
        "usr/local/lib/python3.13"
    }
    assert (service_tree / "usr/local/bin/pgbearer").read_text().startswith("#!/usr/bin/python3 -I\n")
    assert (image.base() / "usr/bin/python3").resolve().name == "python3.13"


def test_there_are_no_tests_nor_what_installs_more(service_tree: Path, tmp_path: Path) -> None:
    for name in modes(service_tree):
        assert not TESTS.search(name) or name.removeprefix(f"{PACKAGES}/") in NO_TESTS, name
    for name in ("pip", "setuptools", "hatchling", "ensurepip"):
        words = command([service_tree, image.base()], tmp_path, "python3", "-m", name)
        done = subprocess.run(words, capture_output=True, text=True)
        assert f"No module named {name}" in done.stderr


def test_all_is_compiled_for_its_python(service_tree: Path) -> None:
    for file in (service_tree / PACKAGES).rglob("*.py"):
        compiled = file.parent / "__pycache__" / f"{file.stem}.cpython-313.pyc"
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, "not by hash, or the source is compared at each start"
        assert str(file.relative_to(service_tree)).encode() in compiled.read_bytes()


def test_one_owner_two_modes_one_time(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        found = path.lstat()
        assert stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode), path
        assert (found.st_uid, found.st_gid) == (0, 0), path
        mode = stat.S_IMODE(found.st_mode)  # so nothing is setuid, nor writable for others
        assert mode == 0o755 or (mode == 0o644 and path.is_file()), path
        assert found.st_mtime == EPOCH, path


def test_nothing_tells_where_it_was_made(tree: Path) -> None:
    places = [str(ROOT), str(home()), str(Path.home()), INSIDE, "pgbearer-image-"]
    for path in tree.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [place for place in places if place != "/root" and place.encode() in content], path
        assert not PRIVATE_KEY.search(content), path
        assert path.name != "direct_url.json"


def test_licences_are_where_people_look(tree: Path) -> None:
    ours = (ROOT / "LICENSE").read_bytes()
    assert (tree / "licenses/pgbearer/LICENSE").read_bytes() == ours
    named = {canonicalize_name(path.name) for path in (tree / "licenses").iterdir() if any(path.iterdir())}
    assert named == {canonicalize_name(each["name"]) for each in bill(tree)["components"]} | {"pgbearer"}


def test_bill_of_materials_fits_the_schema(tree: Path) -> None:
    (file,) = (tree / "sbom").iterdir()
    assert bill(tree)["specVersion"] == "1.6"  # which the schema leaves open
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(file.read_text()) is None
    assert validator.validate_str(json.dumps(bill(tree) | {"serialNumber": "1"})) is not None
    assert "//" not in file.read_text(), "an address, of whatever packages came from"


def test_bill_of_the_module_has_its_digest(module_tree: tuple[int, Path]) -> None:
    major, tree = module_tree
    what = bill(tree)["metadata"]["component"]
    assert what["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256((tree / "lib/pgbearer.so").read_bytes()).hexdigest()}
    ]
    assert what["description"].startswith(f"pgbearer.so for PostgreSQL {major}")


def test_bill_of_the_service_names_each_package_by_a_locked_hash(service_tree: Path) -> None:
    lock = (ROOT / "requirements" / "service.txt").read_text()
    components = bill(service_tree)["components"]
    named = {f"pkg:pypi/{name}@{next(iter(pin.specifier)).version}" for name, pin in pins("service.txt").items()}
    assert {each["purl"] for each in components} == named
    for each in components:
        assert f"--hash=sha256:{each['hashes'][0]['content']}" in lock, each["name"]
        assert each["licenses"] != [{"license": {"name": "not said"}}], each["name"]


@pytest.mark.parametrize("kind", ["module", "operand"])
def test_another_run_elsewhere_gives_the_same_module(
    module_tree: tuple[int, Path], kind: str, script: ModuleType, tmp_path: Path
) -> None:
    major, _ = module_tree
    first = image.module(major) if kind == "module" else image.operand(major)
    words = ("--pg-config", image.PG_CONFIG.format(major=major))
    root, sources = image.compiler(major), image.MODULE_SOURCES
    again = image.assemble(tmp_path, kind, root, sources, *words, within="another/place")
    assert again == f"sha256:{script.digest(first)}" == f"sha256:{script.digest(tmp_path / 'tree')}"


def test_another_run_elsewhere_gives_the_same_service(service_tree: Path, script: ModuleType, tmp_path: Path) -> None:
    root, sources = DebianRoot.of(PYTHON_PIP), image.SERVICE_SOURCES
    again = image.assemble(tmp_path, "service", root, sources, within="another/place")
    assert again == f"sha256:{script.digest(service_tree)}"


def test_the_digest_sees_modes_names_and_content(script: ModuleType, tmp_path: Path) -> None:
    seen = {script.digest(tmp_path)}
    for change in (
        lambda: (tmp_path / "a").write_text("1"),
        lambda: (tmp_path / "a").write_text("2"),
        lambda: (tmp_path / "a").chmod(0o600),
        lambda: (tmp_path / "a").rename(tmp_path / "b"),
        (tmp_path / "c").mkdir,
    ):
        change()
        seen.add(script.digest(tmp_path))
    assert len(seen) == 6
