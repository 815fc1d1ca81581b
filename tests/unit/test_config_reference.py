"""The schema, the reference pages and the command say what the code says."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from docs.generate import PAGES, ROOT
from pgbearer import policy
from pgbearer.cli import app
from pgbearer.config import PolicyFile, load
from pgbearer.config.decode import keys_of
from pgbearer.config.reference import duration_text, reference
from pgbearer.config.schema import json_schema

EXAMPLE = ROOT / "examples" / "pgbearer.yaml"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The shipped example, where only its owner can change it."""
    path = tmp_path / "pgbearer.yaml"
    path.write_bytes(EXAMPLE.read_bytes())
    path.chmod(0o600)
    return path


def invoke(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words), standalone_mode=False)
    if result.exception:
        raise result.exception
    return int(result.return_value or 0), result.output


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_hold_what_an_editor_shows(name: str) -> None:
    assert PAGES[name]().replace("\n", "").isprintable()


def test_a_file_that_others_can_write_is_told_of_once(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(example.parent)
    example.chmod(0o666)
    assert invoke("config", "check", example.name)[1].count("not trusted") == 1


def test_the_shipped_example_is_good(example: Path) -> None:
    loaded = load(example, policy.compile, today=date(2026, 12, 1))
    assert loaded.warnings == ()
    assert len(loaded.checked.policy.rules) == 5


def test_the_schema_is_one_and_takes_the_example() -> None:
    schema = json_schema()
    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema)
    validator(schema).validate(plain())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("rulez",), []),
        (("issuers", "corp", "profile"), "keycloack"),
        (("issuers", "corp", "issuer"), "http://sso.example.com"),
        (("defaults", "session", "max"), 10),
        (("limits",), {"token_bytes": 1}),
        (("rules", 0, "roles"), "app_readonly"),
        (("rules", 0, "from"), [8]),
        (("rules", 0, "from_"), ["10.0.0.0/8"]),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(path: tuple[Any, ...], value: Any) -> None:
    settings = plain()
    inner = settings
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(settings, json_schema())


def test_every_setting_is_described() -> None:
    settings = list(reference())
    assert not [setting.path for setting in settings if not setting.meaning]
    assert {"issuers.NAME.keys.max_stale", "rules[].roles_from.strip", "rules[].from", "http.address"} <= {
        setting.path for setting in settings
    }


def test_every_description_is_in_the_schema() -> None:
    schema = json_schema()
    sections = [schema, *schema["$defs"].values()]
    bare = [
        (section["title"], name)
        for section in sections
        for name, value in section.get("properties", {}).items()
        if "description" not in value and "$ref" not in value and "anyOf" not in value
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (10, "10s"), (60, "1m"), (90, "90s"), (36000, "10h"), (86400, "1d"), (90000, "25h")],
)
def test_durations_are_written_as_they_are_read(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text


def test_keys_are_known_for_every_section() -> None:
    assert "from" in (keys_of(("rules", 3)) or ())
    assert keys_of(("issuers", "corp", "keys")) == ("refresh", "max_stale", "max_stale_critical", "deny")
    assert keys_of(("rules", 0, "session")) == ("until", "max")
    assert keys_of(("issuers", "corp", "claims")) is None


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == PAGES[name](), "run make docs"


def test_every_reason_of_the_module_is_on_the_page() -> None:
    header = (ROOT / "validator/pgmodule/reasons.h").read_text(encoding="utf-8")
    page = PAGES["reasons.md"]()
    names = [line.split("(")[1].split(",")[0] for line in header.splitlines() if line.strip().startswith("REASON(")]
    assert names
    assert [name for name in names if f"| `{name}` |" not in page] == []


class TestCommand:
    def test_a_good_file(self, example: Path) -> None:
        code, output = invoke("config", "check", str(example))
        assert code == 0
        assert f"{example}: good, 5 rules, sha256 " in output

    def test_a_bad_file_says_every_problem_and_exits_2(self, example: Path) -> None:
        example.write_text(example.read_text().replace("any_role", "any_rule").replace("acr:", "arc:"))
        code, output = invoke("config", "check", str(example))
        assert code == 2
        assert output.count('unknown key "any_rule"; did you mean "any_role"?') == 3
        assert output.splitlines()[-1].endswith("3 errors; the service would refuse this file")

    def test_json_is_the_same(self, example: Path) -> None:
        example.write_text(example.read_text().replace("databases: [payroll]", "databases: [on]"))
        code, output = invoke("config", "check", str(example), "--json")
        result = json.loads(output)
        assert code == 2
        assert result["ok"] is False
        assert [(problem["path"], problem["severity"]) for problem in result["problems"]] == [
            ("rules[4].databases[0]", "error")
        ]

    def test_a_missing_file(self, tmp_path: Path) -> None:
        code, output = invoke("config", "check", str(tmp_path / "none.yaml"))
        assert code == 2
        assert "cannot be read: No such file or directory" in output

    def test_the_schema_is_printed(self) -> None:
        code, output = invoke("config", "schema")
        assert code == 0
        assert json.loads(output) == json_schema()

    def test_the_schema_of_policy_d_takes_such_a_file(self) -> None:
        code, output = invoke("config", "schema", "--policy-d")
        assert code == 0
        schema = json.loads(output)
        assert schema == json_schema(PolicyFile)
        limits = {"databases": ["a"], "roles": ["b"]}
        jsonschema.validate({"owner": "team", "limits": limits, "rules": plain()["rules"]}, schema)
        for wrong in ({"owner": "team", "rules": []}, {"owner": "team", "limits": limits, "rules": [], "issuers": {}}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(wrong, schema)


def plain() -> Any:
    """The example as an editor sees it: JSON values, dates as text."""
    return json.loads(json.dumps(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")), default=str))
