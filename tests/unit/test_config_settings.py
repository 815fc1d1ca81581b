"""Settings files, by table: what one change to a good file leads to."""

import re
from pathlib import Path
from typing import Any

import pytest

from pgbearer import policy
from pgbearer.config import ConfigError, load
from tests.unit.fix_settings import GOOD, TODAY, found

SECOND = """\
  batch:
    profile: rfc9068
    issuer: https://batch.example.com
    audience: db:pay-eu
    clients: [nightly]
    identity: "batch:{sub}"
defaults:"""


def test_a_good_file(write: Any) -> None:
    loaded = load(write(GOOD), policy.compile, today=TODAY)
    assert loaded.warnings == ()
    assert loaded.settings.defaults.session.max == 36000
    assert loaded.settings.servers["local"].uid == "postgres"
    assert loaded.settings.issuers["corp"].algorithms == ("RS256", "PS256", "ES256", "EdDSA")
    assert [rule.name for rule in loaded.checked.policy.rules] == ["readers"]
    assert re.fullmatch("[0-9a-f]{64}", loaded.digest)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        # shape
        ("version: 1", "version: 2", "1:10 version: must be 1"),
        ("version: 1\n", "", "version: required, but not given"),
        ("    clients:", "    client:", '7:5 issuers.corp.client: unknown key "client"; did you mean "clients"?'),
        ("any_role:", "anyrole:", '13:5 rules[0].anyrole: unknown key "anyrole"; did you mean "any_role"?'),
        (
            "profile: keycloak",
            "profile: keycloack",
            "or 'github-actions'; did you mean \"keycloak\"?",
        ),
        ("max: 10h", "max: 10", "10:39 defaults.session.max: must be a duration such as 30s, 15m, 10h or 7d"),
        ("max: 10h", 'max: "10 h"', "10:39 defaults.session.max: must be a duration"),
        ("max: 10h", "max: 0s", "10:39 defaults.session.max: must be at least 1s"),
        ("max: 10h", "max: 400d", "10:39 defaults.session.max: must be at most 366d"),
        ("max: 10h", "max: 99999999999999999999999d", "10:39 defaults.session.max: must be at most 366d"),
        (", max: 10h", "", "10:12 defaults.session.max: required, but not given"),
        ("[appdb]", "appdb", "14:16 rules[0].databases: must be a list: [one, two]"),
        ("[appdb]", "[12]", "14:17 rules[0].databases[0]: must be text; quote it if it looks like a number"),
        ("[appdb]", "[true]", "14:17 rules[0].databases[0]: must be text; quote it"),
        ("[appdb]", "[2027-01-31]", "14:17 rules[0].databases[0]: must be text; quote it"),
        ("[appdb]", "[null]", "14:17 rules[0].databases[0]: must be text; quote it"),
        ("[appdb]", "[on]", "14:17 rules[0].databases[0]: bare 'on' means different things"),
        ("[appdb]", "['']", "14:17 rules[0].databases[0]: must have at least 1 character"),
        ("acr: string", "acr: text", "9:19 issuers.corp.claims.acr: must be 'string', 'int', 'bool' or 'string_list'"),
        ("https:", "http:", "5:13 issuers.corp.issuer: must be an https URL, without query and fragment"),
        (
            "    roles: [app_readonly]",
            "    roles: [app_readonly]\n    ask: {all: [opa]}",
            'rules[0].ask.all[0]: no "opa" under deciders',
        ),
        (
            "    roles: [app_readonly]",
            "    roles: [app_readonly]\n    tier: critical",
            '16:11 rules[0].tier: issuer "corp" does not say what is critical; write issuers.corp.critical.clients',
        ),
        (
            "    roles: [app_readonly]",
            "    roles: [app_readonly]\n    tier: high",
            "16:11 rules[0].tier: must be 'normal' or 'critical'",
        ),
        (
            "    any_role: [db-read]",
            "    deny: true\n    tier: critical",
            "14:11 rules[0].tier: means nothing in a deny rule",
        ),
        (
            "    clients:",
            "    critical: {acr: [mfa]}\n    clients:",
            "7:5 issuers.corp.critical.clients: required, but not given",
        ),
        (
            "    clients:",
            "    critical: {clients: [pgbearer-clo]}\n    clients:",
            'issuers.corp.critical.clients[0]: "pgbearer-clo" is not among the clients of issuer "corp"; did you',
        ),
        (
            "    clients:",
            "    critical: {clients: [pgbearer-cli]}\n    clients:",
            "issuers.corp.critical.clients: warning: every client of the issuer is one of the critical tier",
        ),
        ("    clients:", "    keys: {max_stale: 5m}\n    clients:", "must be longer than keys.refresh, 5m"),
        (
            "    clients:",
            "    keys: {refresh: 2h}\n    clients:",
            "issuers.corp.keys.max_stale: must be longer than keys.refresh, 2h",
        ),
        (
            "    clients: [pgbearer-cli]",
            "    keys: {refresh: 10m}\n    critical: {clients: [a]}\n    clients: [a, b]",
            "issuers.corp.keys.max_stale_critical: must be longer than keys.refresh, 10m",
        ),
        (
            "    clients:",
            "    keys: {max_stale_critical: 2h}\n    clients:",
            "7:32 issuers.corp.keys.max_stale_critical: must not be longer than keys.max_stale, 1h",
        ),
        ("    clients:", "    audience_exclusive: 'off'\n    clients:", "audience_exclusive: must be true or false"),
        ("    clients:", "    audience_exclusive: 0\n    clients:", "audience_exclusive: must be true or false"),
        ("version: 1", "version: true", "1:10 version: must be 1"),
        ("version: 1", "version: 1\nlimits: {in_flight: '5'}", "2:21 limits.in_flight: must be a whole number"),
        ("version: 1", "version: 1\nlimits: {in_flight: true}", "2:21 limits.in_flight: must be a whole number"),
        # what must agree
        ("    clients: [pgbearer-cli]\n", "", "3:3 issuers.corp.clients: required for profile keycloak"),
        ("{sub}", "{sup}", '8:15 issuers.corp.identity: "sup" is neither sub, client nor a declared claim'),
        ("{sub}", "{level}", '8:15 issuers.corp.identity: "level" is neither'),
        ("{sub}", "{sub", "8:15 issuers.corp.identity: 'corp:{sub' is not a template"),
        ("corp:{sub}", "corp", "8:15 issuers.corp.identity: is the same for everybody; write {sub} into it"),
        ("{sub}", "{client}{sub}", "8:15 issuers.corp.identity: two identities could look alike"),
        ("{sub}", "{client}-{sub}", "8:15 issuers.corp.identity: two identities could look alike"),
        ("{sub}", "{sub}:{sub}", "8:15 issuers.corp.identity: two identities could look alike"),
        ("{sub}", "{acr}", "8:15 issuers.corp.identity: warning: does not hold {sub}, which alone is stable"),
        ("    databases: [appdb]\n", "", '12:5 rules[0].databases: required in an allow rule; write ["*"] for all'),
        ("    roles: [app_readonly]\n", "", "12:5 rules[0].roles: an allow rule needs roles or roles_from"),
        (
            "    any_role: [db-read]",
            "    servers: [lokal]",
            '13:15 rules[0].servers[0]: no "lokal" under servers; did you mean "local"?',
        ),
        (
            "    any_role: [db-read]",
            "    issuers: [crop]",
            '13:15 rules[0].issuers[0]: no "crop" under issuers; did you mean "corp"?',
        ),
        (
            "    any_role: [db-read]",
            "    from: [10.0.0.1/8]",
            "13:12 rules[0].from[0]: not a network: 10.0.0.1/8 has host bits set; write 10.0.0.0/8",
        ),
        ("    any_role: [db-read]", "    from: [10.0.0.0/33]", "13:12 rules[0].from[0]: not a network"),
        ("    any_role: [db-read]", "    from: [example.com]", "13:12 rules[0].from[0]: not a network"),
        (
            "    any_role: [db-read]",
            "    expires: 2026-11-22",
            '13:14 rules[0].expires: warning: the rule "readers" has expired; remove it',
        ),
        (
            "    any_role: [db-read]",
            "    deny: true\n    session: {until: token}",
            "14:14 rules[0].session: means nothing in a deny rule",
        ),
        (
            "    any_role: [db-read]",
            "    deny: true\n    privileged: true",
            "14:17 rules[0].privileged: means nothing in a deny rule",
        ),
        (
            "roles: [app_readonly]",
            "roles: ['app_*_{sub}']",
            "15:13 rules[0].roles[0]: a template yields exact names; it cannot hold a glob",
        ),
        (
            "roles: [app_readonly]",
            "roles: ['{dep}']",
            '15:13 rules[0].roles[0]: "dep" is neither sub, client nor a declared claim',
        ),
        ("roles: [app_readonly]", f"roles: [{'r' * 64}]", "15:13 rules[0].roles[0]: longer than the 63 bytes"),
        (
            "roles: [app_readonly]",
            "roles_from: {claim: level}",
            '15:25 rules[0].roles_from.claim: no claim "level" of type string or string_list',
        ),
        ("roles: [app_readonly]", "roles_from: {claim: token_role}", 'did you mean "token_roles"?'),
        (
            "version: 1",
            "version: 1\nadmin: {socket: /run/pgbearer/login/admin.sock}",
            "servers.local.socket: stands in the folder of the admin socket",
        ),
        ("version: 1", "version: 1\nadmin: {socket: admin.sock}", "2:17 admin.socket: must be an absolute path"),
        ("version: 1", f"version: 1\nadmin: {{socket: /{'s' * 107}}}", "2:17 admin.socket: longer than the 107 bytes"),
        (
            "version: 1",
            "version: 1\nservers: {a: {}, b: {}}",
            '2:21 servers.b: cannot be told from "a": same socket, same uid',
        ),
        # several issuers
        (
            "defaults:",
            SECOND.replace("batch:{sub}", "{sub}"),
            'issuers.batch.identity: could yield an identity of issuer "corp"; begin each with',
        ),
        (
            "defaults:",
            SECOND.replace("batch:{sub}", "corp:x{sub}"),
            'issuers.batch.identity: could yield an identity of issuer "corp"',
        ),
        (
            "defaults:",
            SECOND.replace("https://batch.example.com", "https://sso.example.com/realms/corp"),
            'issuers.batch.issuer: the same iss as issuer "corp"',
        ),
        (
            "defaults:",
            SECOND.replace("https://batch.example.com", "https://sso.example.com/realms/corp/"),
            'issuers.batch.issuer: the address of issuer "corp", but for a slash',
        ),
        (
            "defaults:",
            SECOND.replace("    clients: [nightly]\n", ""),
            "issuers.batch.clients: warning: any client of this issuer may log in",
        ),
        # conditions
        (
            "    any_role: [db-read]",
            "    when: clams.acr == 'mfa'",
            '13:11 rules[0].when: unknown name "clams.acr"; did you mean "claims.acr"?',
        ),
        (
            "    any_role: [db-read]",
            "    when: claims.arc == 'mfa'",
            'rules[0].when: issuer "corp" declares no claim "arc"; did you mean "claims.acr"?',
        ),
        (
            "    any_role: [db-read]",
            "    when: claims.ip == 'x'",
            "declare it under issuers.corp.claims, or name the issuers of the rule",
        ),
        (
            "    any_role: [db-read]",
            "    when: claims.level",
            "13:11 rules[0].when: is of type int, not bool; compare it with something",
        ),
        (
            "    any_role: [db-read]",
            "    when: claims.acr.matches('mfa')",
            "rules[0].when: warning: 'mfa' matches anywhere in the text",
        ),
        (
            "    any_role: [db-read]",
            "    when: claims.acr.matches('^a|b$')",
            "rules[0].when: warning: '^a|b$' matches anywhere in the text",
        ),
        (
            "    any_role: [db-read]",
            "    when: request.unverified.application_name == 'x'",
            "rules[0].when: warning: request.unverified.* is whatever the client says",
        ),
        # rules that are not meant
        (
            "    any_role: [db-read]",
            "    privileged: true\n    roles_from: {claim: groups}",
            "13:17 rules[0].privileged: notice: may",
        ),
        (
            "    roles: [app_readonly]",
            "    privileged: true\n    roles: ['*']",
            "rules[0].privileged: warning: has no effect: the rule names no role exactly",
        ),
        (
            "rules:",
            "rules:\n  - {name: never, deny: true, databases: ['app*']}",
            '13:11 rules[1].name: warning: never allows anything: the deny rule "never"',
        ),
        (
            "rules:",
            "rules:\n  - {name: again, any_role: [db-read], databases: [appdb], roles: [app_readonly]}",
            'rules[1].name: warning: says the same as the rule "again"',
        ),
        (
            "rules:",
            "rules:\n  - {name: readers, deny: true, any_group: [/leavers]}",
            '13:11 rules[1].name: another rule is called "readers"',
        ),
    ],
)
def test_one_change(write: Any, old: str, new: str, problem: str | None) -> None:
    assert old in GOOD
    problems = found(write(GOOD.replace(old, new, 1)))
    if problem is None:
        assert problems == []
    else:
        assert len([line for line in problems if problem in line]) == 1, problems


@pytest.mark.parametrize("claim", ["preferred_username", "email", "upn", "name", "phone_number"])
def test_an_identity_that_people_can_edit_is_refused(write: Any, claim: str) -> None:
    """Together with sub it only changes with what they edit, which is reported."""
    declared = GOOD.replace("claims: {", f"claims: {{{claim}: string, ")
    message = f'people can change "{claim}" themselves, and so become somebody else; write {{sub}}'
    (alone,) = found(write(declared.replace("{sub}", f"{{{claim}}}")))
    assert alone.startswith(f"8:15 issuers.corp.identity: {message}")
    (beside,) = found(write(declared.replace("{sub}", f"{{sub}}:{{{claim}}}")))
    assert beside.startswith(f"8:15 issuers.corp.identity: warning: {message}")


def test_a_rule_for_several_issuers_uses_what_all_declare(write: Any) -> None:
    two = GOOD.replace("defaults:", SECOND, 1)
    rule = two.replace("    any_role: [db-read]", "    when: claims.acr == 'mfa'", 1)
    (line,) = found(write(rule))
    assert line.startswith(
        '19:11 rules[0].when: issuer "batch" declares no claim "acr"; declare it under issuers.batch'
    )
    assert found(write(rule.replace("    when:", "    issuers: [corp]\n    when:"))) == []


def test_every_problem_of_every_kind_is_reported_at_once(write: Any) -> None:
    text = GOOD.replace("profile: keycloak", "profile: keycloak\n    colour: red").replace("db:pay-eu", "on")
    text += "  - {name: b, databases: [12], roles: [x]}\n  - {name: c, databases: [x], roles: [z], when: clams}\n"
    problems = "\n".join(found(write(text)))
    for part in ('unknown key "colour"', "bare 'on'", "rules[1].databases[0]: must be text"):
        assert part in problems


def test_rules_that_decode_are_checked_although_others_do_not(write: Any) -> None:
    text = GOOD + "  - {name: b, databases: [12], roles: [x]}\n  - {name: c, databases: [x], roles: [z], when: clams}\n"
    assert found(write(text)) == [
        "16:27 rules[1].databases[0]: must be text; quote it if it looks like a number, a date, true or false",
        '17:49 rules[2].when: unknown name "clams"; did you mean "claims"?',
    ]


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ("limits: {in_fligt: 3}", 'limits.in_fligt: unknown key "in_fligt"; did you mean "in_flight"?'),
        ("limits: {in_flight: many}", "limits.in_flight: must be a whole number"),
        ("audit: {file: 7, fil: x}", 'audit.fil: unknown key "fil"; did you mean "file"?'),
        ("http: {adress: '[::1]:1'}", 'http.adress: unknown key "adress"; did you mean "address"?'),
        ("state: {folder: relative}", "state.folder: must be an absolute path"),
    ],
)
def test_rules_are_checked_although_a_key_that_they_do_not_depend_on_is_wrong(
    write: Any, section: str, complaint: str
) -> None:
    """Duplicate names and conditions: what takes more than decoding."""
    rules = "  - {name: readers, databases: [x], roles: [z], when: clams}\n"
    problems = found(write(GOOD + rules + section + "\n"))
    for part in (complaint, 'another rule is called "readers"', 'unknown name "clams"'):
        assert [part] == [part for problem in problems if part in problem], problems


def test_a_key_that_others_are_held_against_is_not_guessed(write: Any) -> None:
    """With a default in its place the decider would be found wrong, which it is not."""
    decider = "deciders: {opa: {type: opa, url: https://127.0.0.1:8181/v1/data/a/allow, timeout: 10s}}\n"
    rules = "  - {name: b, databases: [x], roles: [z], any_role: [r], ask: {all: [opa]}, when: clams}\n"
    assert len(found(write(GOOD + rules + decider + "limits: {asking: soon}\n"))) == 1


def test_no_half_policy_comes_out_of_a_bad_file(write: Any) -> None:
    loaded = load(write(GOOD.replace("    any_role: [db-read]", "    deny: true\n    when: clams", 1)), today=TODAY)
    with pytest.raises(ConfigError):
        _ = policy.compile(loaded.settings).policy


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"[1]", "must be a mapping of keys to values"),
        (b"version: \xff", "1:1: not UTF-8"),
        (b"a: 1\nb: \xc3(", "2:1: not UTF-8"),
    ],
)
def test_what_is_no_settings_file_at_all(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "pgbearer.yaml"
    path.write_bytes(data)
    path.chmod(0o600)
    assert [line for line in found(path) if message in line]


def test_what_a_terminal_shows_is_what_the_file_says(write: Any) -> None:
    problems = found(write(GOOD + '"\\e[2J\\u202Ex": 1\n'))
    assert problems == ['16:1 ["\\x1b[2J\\u202ex"]: unknown key "\\x1b[2J\\u202ex"']
