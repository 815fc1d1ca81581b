"""Files that were made to hurt: each is refused with a place, and nothing of it is built, followed or waited for."""

import tracemalloc
from pathlib import Path

import pytest

from pgbearer import policy
from pgbearer.config import ConfigError, load
from pgbearer.config.sources import MAX_BYTES
from pgbearer.config.yaml_file import MAX_ITEMS, MAX_NODES, MAX_PROBLEMS
from tests.unit.fix_settings import GOOD

LAUGHS = "a: &a [x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MANY = 10_000


def refusal(tmp_path: Path, data: bytes) -> ConfigError:
    path = tmp_path / "pgbearer.yaml"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        load(path, policy.compile)
    return caught.value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, 'anchor "&a" is not allowed'),
        ("a: &a\n  b: *a\n", 'anchor "&a" is not allowed'),
        ("version: !!python/object/apply:os.system [id]\n", 'tag "tag:yaml.org,2002:python/object/apply:os.system"'),
        ("version: !!binary aGk=\n", 'tag "tag:yaml.org,2002:binary" is not allowed'),
        ("version: !!int 1\n", 'tag "tag:yaml.org,2002:int" is not allowed'),
        ("<<: {version: 1}\n", "merge keys (<<) are not allowed"),
        ("[" * 100_000, "nested too deeply"),
        ("{" * 100_000, "a key must be plain text"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(100)), "nested too deeply"),
        ("- " * 100_000, "nested too deeply"),
        ("? " * 100_000, "a key must be plain text"),
        ("a: [" + f"[{'1,' * 1000}]," * (MAX_NODES // 1000) + "]", f"more than {MAX_NODES} values, all files together"),
        ("a: [" + "1," * MAX_ITEMS + "1]", f"more than {MAX_ITEMS} entries in one list or mapping"),
        ("".join(f"k{number}: 1\n" for number in range(MAX_ITEMS + 1)), f"more than {MAX_ITEMS} entries in one list"),
        ("a: [" + "on," * (MAX_PROBLEMS + 1) + "]", "too many problems to read on"),
        ("---\n" * 100_000, "a second document begins here"),
        ("a: 1\n...\nb: 2\n", "not YAML"),
        ("\0" * 1000, "not YAML"),
        ("version: 1\x1b[2J\n", "not YAML"),
        ("\x7fELF" + "\x01" * 100, "not YAML"),
        ('a: "' + "x" * 100_000, "not YAML"),
        ("%" * 100_000, "not YAML"),
    ],
    ids=range(22),
)
def test_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text.encode()).diagnostics()


@pytest.mark.parametrize(
    "data", [bytes(range(256)) * 100, b"\xff\xfe" + "version: 1".encode("utf-16-le"), b"\x1f\x8b\x08"]
)
def test_binary_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "not UTF-8" in refusal(tmp_path, data).diagnostics()


def test_fifty_megabytes_are_refused_and_not_held(tmp_path: Path) -> None:
    data = GOOD.encode() + b"#" * 50_000_000
    tracemalloc.start()
    try:
        assert "larger than" in refusal(tmp_path, data).diagnostics()
        assert tracemalloc.get_traced_memory()[1] < 2 * MAX_BYTES
    finally:
        tracemalloc.stop()


def test_problems_without_end_are_not_all_told(tmp_path: Path) -> None:
    error = refusal(tmp_path, (GOOD + "  - {wrong: 1}\n" * 2000).encode())
    assert len(error.problems) == MAX_PROBLEMS + 1
    assert "more problems like these" in error.diagnostics()


EMPTY_RULES = "  - {}\n" * MANY
UNKNOWN_KEYS = "  - {rols: [a], databses: [b], nane: c}\n" * MANY
MANY_VALUES = "x: [" + f"[{'1,' * 1000}]," * 2000 + "]\n"
A_LONG_SUM = "x: 1" + ":1" * 2_000_000 + "x\n"
ISSUERS = "".join(f"  i{number}: {{}}\n" for number in range(MANY))


@pytest.mark.parametrize(
    "text",
    [
        GOOD + EMPTY_RULES,
        GOOD + UNKNOWN_KEYS,
        GOOD + MANY_VALUES,
        GOOD + A_LONG_SUM,
        GOOD.replace("issuers:\n", f"issuers:\n{ISSUERS}"),
    ],
    ids=["empty rules", "unknown keys", "many values", "a long sum", "many issuers"],
)
def test_what_is_refused_takes_no_more_memory_than_what_is_accepted(tmp_path: Path, text: str) -> None:
    assert len(text) < MAX_BYTES
    tracemalloc.start()
    try:
        assert refusal(tmp_path, text.encode()).problems
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 150 * 1024 * 1024


def test_what_files_may_hold_they_hold_together(tmp_path: Path) -> None:
    head = "owner: x\nlimits: {databases: ['*'], roles: ['*']}\n"
    (tmp_path / "policy.d").mkdir(mode=0o700)
    for number in range(3):
        file = tmp_path / "policy.d" / f"{number}.yaml"
        file.write_text(head + "rules: [" + ("[" + "1," * 1000 + "],") * (MAX_NODES // 2500) + "]\n")
        file.chmod(0o600)
    said = refusal(tmp_path, GOOD.encode()).diagnostics()
    assert "2.yaml:3:" in said
    assert f"more than {MAX_NODES} values, all files together" in said


def test_more_rules_than_may_be_are_refused_wherever_they_stand(tmp_path: Path) -> None:
    rule = "  - {{name: r{0}, any_role: [a], databases: [d], roles: [r]}}\n"
    (tmp_path / "policy.d").mkdir(mode=0o700)
    for name, numbers in (("a", range(MAX_ITEMS // 2)), ("b", range(MAX_ITEMS // 2, MAX_ITEMS))):
        file = tmp_path / "policy.d" / f"{name}.yaml"
        rules = "".join(rule.format(number) for number in numbers)
        file.write_text(f"owner: x\nlimits: {{databases: ['*'], roles: ['*']}}\nrules:\n{rules}")
        file.chmod(0o600)
    assert f"more than {MAX_ITEMS} rules, all files together" in refusal(tmp_path, GOOD.encode()).diagnostics()


def test_a_word_of_megabytes_is_shown_in_part(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, GOOD.encode() + b'"' + b"x" * 1000 + b'": 1\n').diagnostics()) < 5000
    assert len(refusal(tmp_path, GOOD.encode() + b"? " + b"x" * 2_000_000 + b"\n: 1\n").diagnostics()) < 5000


def test_ten_thousand_rules_load_within_memory(tmp_path: Path) -> None:
    rule = '  - {{name: r{0}, any_role: [t{0}], databases: [db{0}], roles: [r{0}], when: claims.acr == "x{1}"}}\n'
    path = tmp_path / "pgbearer.yaml"
    path.write_text(GOOD + "".join(rule.format(number, number % 50) for number in range(MANY)))
    path.chmod(0o600)
    tracemalloc.start()
    try:
        loaded = load(path, policy.compile)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(loaded.checked.policy.rules) == MANY + 1
    assert loaded.warnings == ()
    assert kept < 60 * 1024 * 1024, "6 KiB a rule"
    assert most < 150 * 1024 * 1024
