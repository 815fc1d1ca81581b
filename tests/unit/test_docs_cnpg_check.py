"""The page on checking Clusters: what it shows is what comes of it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pgbearer.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "cloudnativepg-check.md").read_text()
MANIFEST, COMMAND, SHOWN = (re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[0] for kind in ("yaml", "sh", "text"))


def test_the_example_comes_to_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgbearer.cnpg.check._contents", {"cluster.yaml": MANIFEST}.__getitem__)
    result = CliRunner().invoke(app, COMMAND.split()[1:])
    assert result.stdout == SHOWN
    assert result.exit_code == 1
