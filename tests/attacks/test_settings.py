"""Settings made to hurt whoever reads them: refused whole, quickly, and the ones before stay in force."""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pgbearer import policy
from pgbearer.config import ConfigError, load
from pgbearer.wire import Reason
from tests.attacks.cases import claims
from tests.attacks.fix_door import Door

GOOD = claims("good", Reason.ALLOWED)
RULES = 10_000

Spoil = Callable[[bytes], bytes]


def before(text: str) -> Spoil:
    return lambda good: text.encode() + good


def after(text: str) -> Spoil:
    """What follows is in YAML's block style, so it stands before the good file's, which is one flow mapping."""
    return lambda good: good[:-1] + f", {text}}}".encode()


def bomb() -> str:
    levels = [f"{key}: &{key} [{', '.join([f'*{last}'] * 9)}]" for last, key in pairwise("abcdefghijkl")]
    return "\n".join(["a: &a [x, x, x, x, x, x, x, x, x]", *levels])


HOSTILE: dict[str, tuple[Spoil, str]] = {
    "50 MB of one value": (after(f'"padding": "{"x" * 50_000_000}"'), "larger than"),
    "50 MB of comments": (before("# nothing\n" * 5_000_000), "larger than"),
    "50 MB of zeros": (lambda _good: bytes(50_000_000), "larger than"),
    "binary": (lambda _good: random.Random(1).randbytes(4096), "not UTF-8"),  # noqa: S311 - the same each time
    "a program": (lambda _good: Path("/proc/self/exe").read_bytes()[:4096], "not UTF-8|not YAML"),
    "compressed": (gzip.compress, "not UTF-8|not YAML"),
    "UTF-16": (lambda good: good.decode().encode("utf-16"), "not UTF-8"),
    "NUL inside": (lambda good: good.replace(b"readers", b"read\0ers"), "not YAML"),
    "a bomb of aliases": (lambda _good: bomb().encode(), "is not allowed"),
    "a bomb of merges": (after('"x": {<<: [{<<: {}}, {<<: {}}]}'), "merge keys"),
    "an alias of itself": (after('"x": &x [*x]'), "is not allowed"),
    "a million brackets": (lambda _good: b"[" * 1_000_000, "nested too deeply"),
    "a million braces": (lambda _good: b"{a: " * 1_000_000, "nested too deeply"),
    "a thousand dashes": (lambda _good: b"- " * 1_000, "nested too deeply"),
    "a tag that runs": (after('"x": !!python/object/apply:os.system ["true"]'), "tag "),
    "a tag that imports": (after('"x": !!python/module:os ""'), "tag "),
    "a tag that reads": (after('"x": !include /etc/passwd'), "tag "),
    "a tag that decodes": (after('"x": !!binary "AAAA"'), "tag "),
    "a tag by its whole name": (after('"x": !<tag:evil.example,2000:x> ""'), "tag "),
    "rules twice": (after('"rules": []'), "stands here twice"),
    "rules twice, once by an escape": (after(r'"rul\u0065s": []'), "stands here twice"),
    "a second document": (lambda good: good + b"\n---\n" + good, "second document"),
    "a key that is no text": (after("? [a] : b"), "a key must be plain text"),
    "a key that looks so": (after('"rul\u0435s": []'), "unknown key"),
    "a control character": (after('"x\x1b[2J": 1'), "not YAML"),
    "an end of line of another script": (after('"x\u2028y": 1'), "unknown key|not YAML"),
    "a pattern that never ends": (
        lambda good: good.replace(b'"any_role"', b'"when": "request.role.matches(\'(a+)+)$\')", "any_role"'),
        "not a pattern",
    ),
    "a condition of a megabyte": (
        lambda good: good.replace(b'"any_role"', b'"when": "' + b"true && " * 125_000 + b'true", "any_role"'),
        "when",
    ),
    "a condition too deep": (
        lambda good: good.replace(
            b'"any_role"', b'"when": "' + b"(" * 5_000 + b"true" + b")" * 5_000 + b'", "any_role"'
        ),
        "when",
    ),
}
"""What becomes of a good file, and a part of what is said of it."""


@pytest.fixture
def reloading(door: Door) -> Iterator[Door]:
    """The door, whose settings are good again afterwards."""
    door.admit(GOOD)
    good = door.chain.service.file.read_bytes()
    yield door
    put(door, good)
    door.forget_keys()


def put(door: Door, data: bytes) -> None:
    """As an editor does."""
    file = door.chain.service.file
    new = file.with_suffix(".new")
    new.write_bytes(data)
    new.chmod(0o600)
    new.rename(file)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_refused_and_the_one_before_stays(reloading: Door, hostile: str, tmp_path: Path) -> None:
    spoil, said = HOSTILE[hostile]
    service = reloading.chain.service
    spoilt = spoil(service.file.read_bytes())
    refusals = service.count("the one before stays in force")
    put(reloading, spoilt)
    service.hang_up()
    service.await_count("the one before stays in force", refusals + 1)
    with reloading.chain.login():
        pass
    problems = "\n".join(json.loads(service.http("/readyz")[1])["config"]["problems"])
    assert any(part in problems for part in said.split("|"))
    assert not any(ord(character) < 32 and character != "\n" for character in problems)


def test_ten_thousand_rules_are_many_and_no_attack(tmp_path: Path, door: Door) -> None:
    file = tmp_path / "pgbearer.yaml"
    file.write_text(json.dumps(door.chain.service.settings | {"rules": many_rules()}))
    file.chmod(0o600)
    assert len(load(file, policy.compile).settings.rules) == RULES


def test_one_bad_rule_among_ten_thousand_is_named(tmp_path: Path, door: Door) -> None:
    rules = many_rules()
    rules[7_000]["rols"] = rules[7_000].pop("roles")
    file = tmp_path / "pgbearer.yaml"
    file.write_text(json.dumps(door.chain.service.settings | {"rules": rules}))
    file.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        load(file, policy.compile)
    assert any("rules[7000]" in str(problem) and '"rols"' in str(problem) for problem in caught.value.problems)


def many_rules() -> list[dict[str, Any]]:
    return [
        {"name": f"rule {number}", "any_role": [f"r{number}"], "databases": [f"db{number}"], "roles": ["app_readonly"]}
        for number in range(RULES)
    ]
