"""What comes of rows of pg_hba_file_rules; tests/integration/test_cnpg_live.py asks a real server for them."""

from typing import Any

import pytest

from pgbearer.cnpg.live import judge_answer, judge_rules

SETTINGS = {
    "oauth_validator_libraries": "pgbearer",
    "shared_preload_libraries": "pgbearer",
    "pgbearer.forbid_passwords": "*",
}
OAUTH = ["issuer=https://issuer.example", "scope=openid", "validator=pgbearer", "delegate_ident_mapping=true"]


def rows(*lines: tuple[str, str, list[str] | None]) -> list[dict[str, Any]]:
    """Of lines as ``TYPE DATABASE USER [ADDRESS]``, a method and options."""
    made = []
    for number, (words, method, options) in enumerate(lines, start=1):
        kind, database, user, *address = words.split()
        made.append(
            {
                "rule_number": number,
                "file_name": "/data/pg_hba.conf",
                "line_number": number * 10,
                "type": kind,
                "database": database.split(","),
                "user_name": user.split(","),
                "address": address[0] if address else None,
                "netmask": None,
                "auth_method": method,
                "options": options,
                "error": None,
            }
        )
    return made


OPERATED = rows(
    ("local all cnpg_metrics_exporter", "peer", ["map=cnpg_metrics_exporter"]),
    ("local all all", "peer", ["map=local"]),
    ("hostssl postgres streaming_replica all", "cert", ["map=cnpg_streaming_replica", "clientcert=verify-full"]),
    ("hostssl all +people all", "oauth", OAUTH),
    ("host all all all", "reject", None),
    ("host all all all", "scram-sha-256", None),
)


def idents(*lines: str) -> list[dict[str, Any]]:
    """Of lines of pg_ident.conf, without their quotes, as the view has them."""
    return [
        {
            "map_number": number,
            "file_name": "/data/pg_ident.conf",
            "line_number": number,
            "error": None,
            **dict(zip(("map_name", "sys_name", "pg_username"), line.replace('"', "").split(), strict=True)),
        }
        for number, line in enumerate(lines, start=1)
    ]


OWN_MAPS = (
    "local postgres postgres",
    "cnpg_streaming_replica streaming_replica streaming_replica",
    "cnpg_metrics_exporter postgres cnpg_metrics_exporter",
)
MAPS = idents(*OWN_MAPS)


def test_the_operators_lines_are_not_yours() -> None:
    assert judge_rules(OPERATED, SETTINGS, MAPS, []) == []


def test_its_last_line_is_told_of_when_it_is_reached() -> None:
    (finding,) = judge_rules([*OPERATED[:4], OPERATED[5]], SETTINGS, MAPS, [])
    assert finding.code == "operator_line_reached"


def test_where_there_is_no_operator_that_line_is_yours() -> None:
    found = judge_rules(OPERATED[3:4] + OPERATED[5:], SETTINGS, MAPS, [])
    assert [finding.code for finding in found] == ["hba_plaintext", "beside_oauth"]
    assert [(finding.file, finding.line) for finding in found] == [("/data/pg_hba.conf", 60)] * 2


def test_a_line_that_is_refused_without_a_word_is_told_of() -> None:
    nothing = dict.fromkeys(OPERATED[0]) | {"rule_number": None, "file_name": "/data/pg_hba.conf", "line_number": 7}
    (finding,) = judge_rules([*OPERATED, nothing], SETTINGS, MAPS, [])
    assert (finding.code, finding.line, finding.message) == ("hba_syntax", 7, "the server refuses the line")


def test_a_name_in_quotes_is_no_keyword() -> None:
    file = "\n" * 49 + 'host "all" all all reject\n'
    answer = {"rules": OPERATED, "settings": SETTINGS, "idents": MAPS, "files": {"/data/pg_hba.conf": file}}
    assert [finding.code for finding in judge_answer(answer)] == ["operator_line_reached"]
    assert judge_answer({**answer, "files": {"/data/pg_hba.conf": file.replace('"', "")}}) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("people /^(.*)@corp$ \\1", []),
        ("people somebody app", []),
        ('people somebody "all"', []),
        ("people somebody all", ["map_wide"]),
        ("people /.* app", ["map_wide"]),
        ("local somebody postgres", ["map_of_operator"]),
        ("cnpg_streaming_replica /.* streaming_replica", ["map_of_operator"]),
    ],
)
def test_lines_of_maps_are_judged(line: str, expected: list[str]) -> None:
    file = {"/data/pg_ident.conf": "\n".join([*OWN_MAPS, line])}
    found = judge_rules(OPERATED, SETTINGS, idents(*OWN_MAPS, line), [], file)
    assert [finding.code for finding in found] == expected
    assert all((finding.file, finding.line) == ("/data/pg_ident.conf", 4) for finding in found)


def test_where_there_is_no_operator_its_maps_are_anybodys() -> None:
    rules = [OPERATED[3], OPERATED[4]]
    assert judge_rules(rules, SETTINGS, idents("local somebody postgres"), []) == []
    (finding,) = judge_rules(rules, SETTINGS, idents("local /.* postgres"), [])
    assert finding.code == "map_wide"


def test_a_line_of_a_map_that_is_refused_is_told_of() -> None:
    nothing = dict.fromkeys(MAPS[0]) | {"file_name": "/data/pg_ident.conf", "line_number": 7, "error": "missing entry"}
    (finding,) = judge_rules(OPERATED, SETTINGS, [*MAPS, nothing], [])
    assert (finding.code, finding.line, finding.message) == ("hba_syntax", 7, "missing entry")


def test_passwords_are_told_of() -> None:
    found = judge_rules(OPERATED, SETTINGS, MAPS, ["app", "postgres"])
    assert [(each.code, each.counts) for each in found] == [("password_unused", False), ("superuser_access", True)]


@pytest.mark.parametrize(
    ("method", "code"), [("scram-sha-256", "role_password"), ("md5", "role_password"), ("ldap", "password_unused")]
)
def test_a_password_opens_something_where_a_line_asks_for_it(method: str, code: str) -> None:
    rules = [*OPERATED[:4], *rows(("hostssl all other all", method, None)), *OPERATED[4:]]
    assert code in [finding.code for finding in judge_rules(rules, SETTINGS, MAPS, ["app"])]
