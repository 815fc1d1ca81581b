"""`pgbearer cnpg check` of files, of a pipe, and of what is no file that can be read."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pgbearer.cli import app
from pgbearer.cnpg.stream import MAX_BYTES
from tests.unit.cnpg_samples import GOOD, changed, hba, masked, puts


def run(*words: str, stdin: str | None = None) -> tuple[int, str]:
    """The exit code, and what was said."""
    result = CliRunner().invoke(app, ["cnpg", "check", *words], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return int(getattr(result.exception, "exit_code", -1)), str(result.exception)
    return result.exit_code, result.stdout


def test_files_together(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(json.dumps(GOOD))
    bad.write_text(json.dumps(changed(hba())))
    assert run(str(good)) == (0, "nothing to mend\n")
    code, said = run(str(good), str(bad), "--json")
    found = json.loads(said)
    assert (code, found["ok"]) == (1, False)
    assert {finding["file"] for finding in found["findings"]} == {str(bad)}


def test_a_pipe() -> None:
    assert run("-", stdin=json.dumps(GOOD)) == (0, "nothing to mend\n")
    code, said = run("-", stdin="{")
    assert code == 2
    assert "not_yaml" in said


def test_a_sidecars_image_may_be_named(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    container = masked({"name": "pgbearer", "image": "registry.other.example/pgbearer:1"})
    file.write_text(json.dumps(changed(puts("/spec/initContainers/-", container))))
    assert "image_elsewhere" in run(str(file))[1]
    assert run(str(file), "--image", "registry.other.example/pgbearer") == (0, "nothing to mend\n")


@pytest.mark.parametrize("words", [[], ["x.yaml", "--live", "host=x"], ["--live", "host=x", "--image", "r/x"]])
def test_one_or_the_other(words: list[str]) -> None:
    assert run(*words)[0] == 2


def test_what_cannot_be_read(tmp_path: Path) -> None:
    binary, large = tmp_path / "binary", tmp_path / "large"
    binary.write_bytes(b"a: \xff")
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for place, why in (
        (tmp_path, "kubectl kustomize"),
        (tmp_path / "x", "No such file"),
        (binary, "UTF-8"),
        (large, "MiB"),
    ):
        code, said = run(str(place))
        assert code == 2
        assert why in said


def test_notices_alone_are_nothing_to_mend() -> None:
    code, said = run("-", stdin=f"{json.dumps(GOOD)}\n---\na: on")
    assert code == 0
    assert "notice yaml_ambiguous" in said
