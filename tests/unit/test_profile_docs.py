"""Every whole configuration on the pages about issuers loads, and warns of nothing; every profile has its page."""

import re
from datetime import date
from pathlib import Path

import pytest

from pgbearer import policy
from pgbearer.config import load
from pgbearer.tokens.profiles import PROFILES

DOCS = Path(__file__).parents[2] / "docs"
WORKLOADS = frozenset({"kubernetes", "spiffe"})
"""Their pages are run against the real parts: tests/e2e."""
PEOPLES = [page for page in sorted((DOCS / "profiles").glob("*.md")) if page.stem not in WORKLOADS]
PAGES = (*PEOPLES, DOCS / "introspection.md", DOCS / "moving-issuers.md")
WHOLE = re.compile(r"```yaml pgbearer\.yaml\n(.*?)```", re.DOTALL)
_FILE = re.compile(r"(_file: )(/\S+)")

BLOCKS = {
    f"{page.stem}-{number}": block
    for page in PAGES
    for number, block in enumerate(WHOLE.findall(page.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_the_configuration_on_the_page_is_good(block: str, tmp_path: Path) -> None:
    """Files that it names are stood in for by one of the test's own."""
    secret = tmp_path / "secret"
    path = tmp_path / "pgbearer.yaml"
    for file, text in ((secret, "secret\n"), (path, _FILE.sub(rf"\1{secret}", block))):
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
    loaded = load(path, policy.compile, today=date(2026, 12, 1))
    assert [str(problem) for problem in loaded.warnings if problem.severity != "notice"] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "index"])
def test_the_page_has_one(page: Path) -> None:
    assert WHOLE.search(page.read_text(encoding="utf-8"))


def test_every_profile_has_its_page_and_its_row() -> None:
    index = (DOCS / "profiles" / "index.md").read_text(encoding="utf-8")
    for name in PROFILES:
        assert (DOCS / "profiles" / f"{name}.md").is_file()
        assert f"]({name}.md) |" in index
