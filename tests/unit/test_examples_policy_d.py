"""The shipped policy.d: good as it is, and held to its limits as soon as a team writes beyond them."""

import json
from datetime import date
from pathlib import Path

import jsonschema
import pytest
import yaml

from pgbearer import policy
from pgbearer.cli import main
from pgbearer.config import ConfigError, PolicyFile, load
from pgbearer.config.schema import json_schema
from tests.unit.shipped import EXAMPLES, copy_examples

FILES = sorted((EXAMPLES / "policy.d").glob("*.yaml"))
TODAY = date(2026, 12, 1)


def test_there_are_several_each_with_an_owner_of_its_own_and_all_are_in_force() -> None:
    loaded = load(EXAMPLES / "pgbearer.yaml", policy.compile, today=TODAY, in_force=False)
    assert [problem for problem in loaded.warnings if not problem.about_trust] == []
    owners = {origin.file.name: origin.owner for origin in loaded.origins if origin.owner is not None}
    assert owners.keys() == {file.name for file in FILES}
    assert len(set(owners.values())) == len(FILES) >= 2


def test_config_check_finds_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = copy_examples(tmp_path / "examples")
    monkeypatch.setattr("sys.argv", ["pgbearer", "config", "check", str(file)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "".join(capsys.readouterr()).startswith(f"{file}: good, 10 rules")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_schema_of_such_a_file_takes_it(file: Path) -> None:
    plain = json.loads(json.dumps(yaml.safe_load(file.read_text(encoding="utf-8")), default=str))
    jsonschema.Draft202012Validator(json_schema(PolicyFile)).validate(plain)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.parametrize("key", ["databases", "roles"])
def test_a_rule_beyond_the_limits_keeps_all_from_being_used(file: Path, key: str, tmp_path: Path) -> None:
    path = copy_examples(tmp_path / "examples")
    spoilt = path.parent / "policy.d" / file.name
    with spoilt.open("a", encoding="utf-8") as text:
        reach = {"databases": "[payroll]", "roles": "[payroll_owner]"}
        text.write(f"\n  - {{name: more, servers: [pay-eu], any_role: [x], {key}: {reach.pop(key)}, ")
        text.write("roles: [pay_x, report_reader]}\n" if key == "databases" else "databases: [pay_x, warehouse]}\n")
    with pytest.raises(ConfigError) as refused:
        load(path, policy.compile, today=TODAY)
    assert any(
        problem.file == str(spoilt) and f"beyond limits.{key}" in str(problem) for problem in refused.value.problems
    )
