"""Files in policy.d, by table: what they may say, where their problems are shown, and when nothing is used."""

import hashlib
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer import policy
from pgbearer.config import ConfigError, Loaded, load, look, read_fingerprint
from pgbearer.config.patterns import covers
from pgbearer.policy import Compiled
from pgbearer.policy.names import Glob

MAIN = """\
version: 1
servers: {local: {}, pay-eu: {socket: /run/pgbearer/login/pay.sock}}
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:pay-eu
    clients: [pgbearer-cli]
    identity: "corp:{sub}"
    claims: {department: string}
defaults: {session: {until: sso, max: 10h}}
rules:
  - {name: leavers, deny: true, any_group: [/leavers]}
"""
PAYMENTS = """\
owner: payments@example.com
limits: {servers: [pay-eu], databases: [payments, "pay_*"], roles: ["pay_*", postgres]}
rules:
  - name: payments
    servers: [pay-eu]
    databases: [payments]
    any_role: [payments]
    roles: [pay_reader]
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write pgbearer.yaml, and files of policy.d by their names; None takes one away."""
    (tmp_path / "policy.d").mkdir(mode=0o700)

    def write(main: str = MAIN, **files: str | None) -> Path:
        named = {"pgbearer.yaml": main} | {f"policy.d/{name}.yaml": text for name, text in files.items()}
        for name, text in named.items():
            if text is None:
                (tmp_path / name).unlink()
            else:
                (tmp_path / name).write_text(text)
                (tmp_path / name).chmod(0o600)
        return tmp_path / "pgbearer.yaml"

    return write


def loaded(path: Path) -> Loaded[Compiled]:
    return load(path, policy.compile, today=date(2026, 11, 23))


def found(path: Path) -> list[str]:
    """Every problem, as ``FILE:LINE:COLUMN path: message``."""
    try:
        problems = loaded(path).warnings
    except ConfigError as error:
        problems = error.problems
    return [str(problem).removeprefix(f"{path.parent}/") for problem in problems]


def test_rules_of_all_files_are_in_force(write: Write) -> None:
    path = write(payments=PAYMENTS, a=PAYMENTS.replace("name: payments", "name: a").replace("pay_reader", "pay_a"))
    here = loaded(path)
    assert here.warnings == ()
    assert [rule.name for rule in here.checked.policy.rules] == ["leavers", "a", "payments"]
    assert [(origin.file.name, origin.line, origin.owner) for origin in here.origins] == [
        ("pgbearer.yaml", 13, None),
        ("a.yaml", 4, "payments@example.com"),
        ("payments.yaml", 4, "payments@example.com"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        # shape
        ("owner: payments@example.com\n", "", "owner: required, but not given"),
        ("owner:", "owned:", '1:1 owned: unknown key "owned"; did you mean "owner"?'),
        (', roles: ["pay_*", postgres]', "", "2:1 limits.roles: required, but not given"),
        ('databases: [payments, "pay_*"]', "databases: []", "limits.databases: must have at least 1 item"),
        ("rules:", "issuers: {}\nrules:", '3:1 issuers: unknown key "issuers"'),
        ("rules:", "defaults: {session: {until: sso, max: 99h}}\nrules:", 'unknown key "defaults"'),
        ("servers: [pay-eu],", "servers: [pay-us],", '2:20 limits.servers[0]: no "pay-us" under servers; did you mean'),
        ("    roles: [pay_reader]", "    rolls: [pay_reader]", '8:5 rules[0].rolls: unknown key "rolls"; did you mean'),
        ("[pay_reader]", "[12]", "8:13 rules[0].roles[0]: must be text"),
        ("any_role: [payments]", "when: clams", '7:11 rules[0].when: unknown name "clams"; did you mean "claims"?'),
        ("name: payments", "name: leavers", '4:11 rules[0].name: another rule is called "leavers"'),
        ("any_role: [payments]", "expires: 2026-11-22", "7:14 rules[0].expires: warning: the rule"),
        # limits
        ("    servers: [pay-eu]\n", "", "4:5 rules[0].servers: required here, because limits.servers is [pay-eu]"),
        ("    servers: [pay-eu]", "    servers: [pay-eu, local]", '5:23 rules[0].servers[1]: "local" is beyond'),
        ("databases: [payments]", "databases: [payroll]", '6:17 rules[0].databases[0]: "payroll" is beyond'),
        ("databases: [payments]", "databases: ['pay*']", '6:17 rules[0].databases[0]: "pay*" is beyond'),
        ("databases: [payments]", "databases: ['*']", '6:17 rules[0].databases[0]: "*" is beyond limits.databases'),
        ("databases: [payments]", "databases: ['{department}']", 'rules[0].databases[0]: "{department}" is beyond'),
        ("[pay_reader]", "[app_readonly]", '8:13 rules[0].roles[0]: "app_readonly" is beyond limits.roles, [pay_*, p'),
        ("[pay_reader]", "['*']", 'rules[0].roles[0]: "*" is beyond'),
        ("[pay_reader]", "['?ay_x']", 'rules[0].roles[0]: "?ay_x" is beyond'),
        ("[pay_reader]", "['{sub}']", 'rules[0].roles[0]: "{sub}" is beyond'),
        ("[pay_reader]", "[pay_owner]\n    privileged: true", '"pay_owner" must itself be in limits.roles'),
        ("roles: [pay_reader]", "roles_from: {claim: groups}", "8:17 rules[0].roles_from: a token may name any role"),
        (
            "    any_role: [payments]",
            "    replication: [physical]",
            "7:18 rules[0].replication: physical replication reads every database",
        ),
        # a deny rule is held to the same
        ("any_role: [payments]\n    roles: [pay_reader]", "deny: true", "rules[0].roles: required here"),
        ("    databases: [payments]\n    any_role: [payments]", "    deny: true", "rules[0].databases: required here"),
    ],
)
def test_one_change_is_refused(write: Write, old: str, new: str, problem: str) -> None:
    assert old in PAYMENTS
    problems = found(write(payments=PAYMENTS.replace(old, new, 1)))
    assert len([line for line in problems if problem in line]) == 1, problems
    assert all(line.startswith("policy.d/payments.yaml:") for line in problems), problems


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("databases: [payments]", "databases: ['pay_*']"),
        ("databases: [payments]", "databases: ['pay_eu_??', 'pay_{department}']"),
        ("[pay_reader]", "['pay_{sub}']"),
        ("[pay_reader]", "[postgres]\n    privileged: true"),
        ('roles: ["pay_*", postgres]', "roles: ['*']"),
        ("servers: [pay-eu], ", ""),
        ("any_role: [payments]", "deny: true"),
    ],
)
def test_one_change_is_within(write: Write, old: str, new: str) -> None:
    assert old in PAYMENTS
    problems = found(write(payments=PAYMENTS.replace(old, new, 1)))
    assert [line for line in problems if "notice: may give privileged roles" not in line] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "\xff".encode("latin-1"),
        "rules: [" * 50,
        b"\0" * 100,
        "a: &a [1]\nb: *a",
        "!!python/object:os.system x",
    ],
)
def test_one_bad_file_keeps_all_from_being_used(write: Write, tmp_path: Path, text: str | bytes) -> None:
    path = write(payments=PAYMENTS)
    bad = tmp_path / "policy.d" / "bad.yaml"
    bad.write_bytes(text if isinstance(text, bytes) else text.encode())
    bad.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        loaded(path)
    assert {problem.file for problem in caught.value.problems} == {str(bad)}


class TestWhatIsRead:
    def test_hidden_and_other_files_are_not(self, write: Write, tmp_path: Path) -> None:
        path = write(payments=PAYMENTS)
        for name in (".a.yaml", "a.yaml~", "a.yaml.bak", "README"):
            (tmp_path / "policy.d" / name).write_text("not YAML: [")
        assert found(path) == []

    @pytest.mark.parametrize("name", ["a.yml", "a.YAML", "a b.yaml", "-a.yaml", "\u202e.yaml"])
    def test_what_was_meant_to_be_read_and_is_not_is_an_error(self, write: Write, tmp_path: Path, name: str) -> None:
        path = write()
        (tmp_path / "policy.d" / name).write_text(PAYMENTS)
        (line,) = found(path)
        assert "is not read: its name must be" in line

    @pytest.mark.parametrize("kind", ["folder", "link to nowhere", "pipe", "unreadable name"])
    def test_what_cannot_be_read_is_an_error(self, write: Write, tmp_path: Path, kind: str) -> None:
        path = write()
        there = tmp_path / "policy.d" / "a.yaml"
        if kind == "folder":
            there.mkdir()
        elif kind == "link to nowhere":
            there.symlink_to("gone")
        elif kind == "pipe":
            os.mkfifo(there)
        else:
            (tmp_path / "policy.d").rmdir()
            (tmp_path / "policy.d").write_text("")
        (line,) = found(path)
        assert "cannot be read" in line

    def test_more_than_can_be_read_is_an_error(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(a=PAYMENTS, b=PAYMENTS.replace("name: payments", "name: b"))
        monkeypatch.setattr("pgbearer.config.sources.MAX_BYTES", len(MAIN) + len(PAYMENTS) + 10)
        (line,) = found(path)
        assert line.startswith("policy.d/b.yaml: cannot be read")
        monkeypatch.setattr("pgbearer.config.sources.MAX_FILES", 1)
        assert any("holds more than 1 files" in line for line in found(path))

    @pytest.mark.parametrize("what", ["policy.d", "policy.d/payments.yaml"])
    def test_what_others_can_write_is_refused(self, write: Write, tmp_path: Path, what: str) -> None:
        path = write(payments=PAYMENTS)
        (tmp_path / what).chmod(0o777)
        assert any("writable by group or others" in line for line in found(path))

    def test_an_empty_folder_that_others_can_write_is_refused(self, write: Write, tmp_path: Path) -> None:
        path = write()
        (tmp_path / "policy.d").chmod(0o777)
        assert "writable by group or others" in found(path)[0]

    @pytest.mark.parametrize("change", ["removed", "added", "changed"])
    def test_a_folder_that_changes_while_it_is_read_is_not_used(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        from pgbearer.config import sources

        path = write(a=PAYMENTS, b=PAYMENTS.replace("name: payments", "name: b"))
        read = sources._read

        def reading(one: Path, most: int) -> sources.Source:
            result = read(one, most)
            if one.name == "b.yaml" and change == "removed":
                (tmp_path / "policy.d" / "a.yaml").unlink()
            elif one.name == "b.yaml":
                (tmp_path / "policy.d" / ("c.yaml" if change == "added" else "a.yaml")).write_text("owner: x")
            return result

        with monkeypatch.context() as patch:
            patch.setattr(sources, "_read", reading)
            assert any("came, went or changed while all were being read" in line for line in found(path))

    def test_a_folder_that_is_away_for_a_moment_takes_no_deny_rule_with_it(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when it is exchanged for another by renaming both."""
        from pgbearer.config import sources

        path = write(a=PAYMENTS)
        folder, away = path.parent / "policy.d", path.parent / "away"
        listed = sources._listed

        def listing(folder: Path) -> object:
            folder.rename(away)
            result = listed(folder)
            away.rename(folder)
            return result

        monkeypatch.setattr(sources, "_listed", listing)
        assert any("came, went or changed while all were being read" in line for line in found(path))
        assert folder.is_dir()

    def test_a_file_removed_after_it_was_listed_keeps_all_from_being_used(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from pgbearer.config import sources

        path = write(a=PAYMENTS)
        listed = sources._listed

        def listing(folder: Path) -> object:
            result = listed(folder)
            (folder / "a.yaml").unlink()
            return result

        monkeypatch.setattr(sources, "_listed", listing)
        assert any(line.startswith("policy.d/a.yaml: cannot be read: No such file") for line in found(path))


class TestDigest:
    def test_of_one_file_is_that_files(self, write: Write) -> None:
        assert loaded(write()).digest == hashlib.sha256(MAIN.encode()).hexdigest()

    def test_of_several_is_that_of_sha256sums_list(self, write: Write) -> None:
        other = PAYMENTS.replace("name: payments", "name: a")
        path = write(payments=PAYMENTS, a=other)
        named = {"pgbearer.yaml": MAIN, "policy.d/a.yaml": other, "policy.d/payments.yaml": PAYMENTS}
        lines = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in named.items())
        assert loaded(path).digest == hashlib.sha256(lines.encode()).hexdigest() == read_fingerprint(path)[0]

    def test_every_change_changes_it_and_what_is_seen_at_a_look(self, write: Write) -> None:
        seen = {(read_fingerprint(path := write()), look(path))}
        for files in ({"a": PAYMENTS}, {"a": PAYMENTS + "\n"}, {"b": PAYMENTS}, {"a": None}, {"b": MAIN}):
            path = write(**files)
            seen.add((read_fingerprint(path), look(path)))
        assert len({digest for digest, _ in seen}) == len({look for _, look in seen}) == 6

    def test_of_no_file_is_empty(self, tmp_path: Path) -> None:
        assert read_fingerprint(tmp_path / "pgbearer.yaml")[0] == ""


PATTERN = st.text(alphabet="ab*?", max_size=6)


@given(PATTERN, PATTERN, st.lists(st.text(alphabet="ab", max_size=5), max_size=20))
def test_what_a_pattern_covers_matches_whatever_the_inner_one_matches(outer: str, inner: str, names: list[str]) -> None:
    if covers(outer, inner):
        assert all(Glob.of(outer).matches(name) for name in names if Glob.of(inner).matches(name))


@given(PATTERN, st.text(alphabet="ab", max_size=6))
def test_a_pattern_covers_the_names_it_matches(outer: str, name: str) -> None:
    assert covers(outer, name) == Glob.of(outer).matches(name)
