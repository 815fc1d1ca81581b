"""Judges what a running server has: its pg_hba.conf and pg_ident.conf as it reads them itself, settings, passwords.

The views are of the files, whether they are in force or not: with an error in one, PostgreSQL keeps what it had.
Reading them takes a superuser, or who was granted it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import psycopg

from pgbearer.cnpg import operator
from pgbearer.cnpg.about_lines import asks_for_passwords
from pgbearer.cnpg.check import check_force
from pgbearer.cnpg.finding import Finding, Found
from pgbearer.cnpg.force import Force, Placed, libraries
from pgbearer.cnpg.live_maps import judge_maps, place_of
from pgbearer.config import KeyPath
from pgbearer.errors import PgbearerError
from pgbearer.hba import Line, Token, parse
from pgbearer.hba.line import Field

__all__ = ["QUESTION", "check_live", "judge_answer", "judge_rules"]

QUESTION: Final = """
    SELECT json_build_object(
      'rules', (SELECT json_agg(r) FROM (
        SELECT rule_number, file_name, line_number, type, database, user_name, address, netmask, auth_method, options,
          error
        FROM pg_hba_file_rules ORDER BY rule_number NULLS LAST, file_name, line_number LIMIT 10000) r),
      'settings', (SELECT json_object_agg(name, setting) FROM (
        SELECT name, setting FROM pg_file_settings WHERE name LIKE 'pgbearer.%' AND error IS NULL
          AND name NOT IN (SELECT name FROM pg_settings)
        UNION ALL SELECT name, setting FROM pg_settings
        WHERE name LIKE 'pgbearer.%' OR name IN ('oauth_validator_libraries', 'shared_preload_libraries')) s),
      'files', (SELECT json_object_agg(file_name, pg_read_file(file_name, 0, 1048576, true)) FROM (
        SELECT file_name FROM pg_hba_file_rules UNION SELECT file_name FROM pg_ident_file_mappings
        ORDER BY 1 LIMIT 40) f),
      'idents', (SELECT json_agg(i) FROM (
        SELECT map_number, file_name, line_number, map_name, sys_name, pg_username, error
        FROM pg_ident_file_mappings ORDER BY map_number NULLS LAST, file_name, line_number LIMIT 10000) i),
      'passwords', (SELECT json_agg(rolname) FROM (
        SELECT rolname FROM pg_authid WHERE rolcanlogin AND rolpassword IS NOT NULL ORDER BY 1 LIMIT 1000) p))
"""
"""All that is asked of a server, for one value of JSON."""
_VIEW: Final = "pg_hba_file_rules"


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    line: int


def check_live(connection: psycopg.Connection[Any]) -> list[Finding]:
    """Judge the server of `connection`, which must be a superuser's; only reads.

    Raises:
        PgbearerError: the server does not answer the questions, for want of rights or of PostgreSQL 18.
    """
    try:
        row = connection.execute(QUESTION.encode()).fetchone()
    except psycopg.Error as error:
        said = error.diag.message_primary or type(error).__name__
        raise PgbearerError(
            f"the server does not say what it has: {said[:200]}", hint="Connect as a superuser, e.g. postgres."
        ) from None
    return judge_answer(row[0] if row else {})


def judge_answer(answer: Mapping[str, Any]) -> list[Finding]:
    """Judge what a server answers to `QUESTION`. Pure."""
    settings = {name: value or "" for name, value in (answer.get("settings") or {}).items()}
    files = answer.get("files") or {}
    rules = _with_quotes(answer.get("rules") or (), files)
    return judge_rules(rules, settings, answer.get("idents") or (), answer.get("passwords") or (), files)


def judge_rules(
    rules: Sequence[Mapping[str, Any]],
    settings: Mapping[str, str],
    idents: Sequence[Mapping[str, Any]],
    passwords: Sequence[str],
    files: Mapping[str, str | None] = MappingProxyType({}),
) -> list[Finding]:
    """Judge rows of pg_hba_file_rules, settings by name, rows of pg_ident_file_mappings, who has a password. Pure.

    `files` are what these rows are of, by name.
    """
    places: dict[KeyPath, _Place] = {}
    placed = _placed(rules, places)
    places |= {place_of(row): _Place(row["file_name"], row["line_number"]) for row in idents}
    operated = any(each.path is None for each in placed)
    force = Force(
        lines=placed,
        lines_path=(_VIEW,),
        parameters=settings,
        parameters_path=("pg_settings",),
        preloaded=libraries(settings.get("shared_preload_libraries", "")),
        preload_path=("pg_settings", "shared_preload_libraries"),
        maps=frozenset(row["map_name"] for row in idents if row["error"] is None),
        endpoint_beside=True,
    )
    maps = judge_maps(idents, files, operated=operated)
    unwanted = _with_password(passwords, asked=asks_for_passwords(force))
    found = [*_refused(rules, places), *check_force(force), *maps, *unwanted]
    return [_finding(each, places) for each in found]


def _with_quotes(rules: Sequence[Mapping[str, Any]], files: Mapping[str, str | None]) -> list[Mapping[str, Any]]:
    """What the view leaves out (fill_hba_line of hbafuncs.c), from the file: ``"all"`` is a name, not the keyword."""
    quoted = {
        (name, line.number): {"databases_quoted": _quoted(line.databases), "users_quoted": _quoted(line.users)}
        for name, content in files.items()
        for line in parse(content or "").lines
    }
    return [{**rule, **quoted.get((rule["file_name"], rule["line_number"]), {})} for rule in rules]


def _quoted(field: Field) -> set[str]:
    """Names that stand there in quotes alone."""
    return {token.text for token in field if token.quoted} - {token.text for token in field if not token.quoted}


def _placed(rules: Sequence[Mapping[str, Any]], places: dict[KeyPath, _Place]) -> list[Placed]:
    lines = [(rule, _line(rule)) for rule in rules if not _is_refused(rule)]
    own = {_same(line) for line in parse("\n".join(operator.OWN_LINES)).lines}
    operated = any(_same(line) in own for _, line in lines)
    (last,) = parse(operator.LAST_LINE).lines
    placed: list[Placed] = []
    for index, (rule, line) in enumerate(lines):
        path: KeyPath = (_VIEW, int(rule["rule_number"]))
        places[path] = _Place(rule["file_name"], rule["line_number"])
        is_last = index == len(lines) - 1 and _same(line) == _same(last)
        operators = operated and (_same(line) in own or is_last)
        placed.append(Placed(line, None if operators else path))
    return placed


def _line(rule: Mapping[str, Any]) -> Line:
    options = dict(option.partition("=")[::2] for option in rule["options"] or ())
    if options.get("delegate_ident_mapping") == "true":  # get_hba_options of hbafuncs.c
        options["delegate_ident_mapping"] = "1"
    address = rule["address"]
    return Line(
        number=rule["line_number"],
        type=rule["type"],
        databases=tuple(Token(name, name in rule.get("databases_quoted", ())) for name in rule["database"]),
        users=tuple(Token(name, name in rule.get("users_quoted", ())) for name in rule["user_name"]),
        address=address,
        address_is_keyword=rule["netmask"] is None and address in ("all", "samehost", "samenet"),
        netmask=rule["netmask"],
        method=rule["auth_method"],
        options={name: value for name, value in options.items() if name != "include_realm"},
    )


def _same(line: Line) -> tuple[object, ...]:
    """What is compared to know a line of the operator's; the view adds options that nobody wrote."""
    return line.type, line.databases, line.users, line.address, line.netmask, line.method, line.options.get("map")


def _refused(rules: Sequence[Mapping[str, Any]], places: dict[KeyPath, _Place]) -> Iterator[Found]:
    for rule in rules:
        if _is_refused(rule):
            path: KeyPath = (_VIEW, "line", int(rule["line_number"] or 0))
            places[path] = _Place(rule["file_name"], rule["line_number"])
            hint = "mend it and reload: until then the server keeps the lines that it had"
            yield Found("hba_syntax", path, rule["error"] or "the server refuses the line", hint)


def _is_refused(rule: Mapping[str, Any]) -> bool:
    """For a wrong value of clientcert the view has no error, and nothing else (parse_hba_auth_opt of hba.c)."""
    return rule["error"] is not None or rule["type"] is None


def _with_password(names: Sequence[str], *, asked: bool) -> Iterator[Found]:
    """Where no line asks for it, it opens nothing: the operator gives the owner of every database one."""
    for name in names:
        path: KeyPath = ("pg_authid", name)
        if name == "postgres":
            yield Found("superuser_access", path, f"{name} has a password", "ALTER ROLE ... PASSWORD NULL")
        elif asked:
            yield Found("role_password", path, f"{name} has a password", "ALTER ROLE ... PASSWORD NULL")
        else:
            hint = "leave it to the operator if it is the owner of a database"
            yield Found("password_unused", path, f"{name} has a password, which no line asks for", hint)


def _finding(found: Found, places: Mapping[KeyPath, _Place]) -> Finding:
    place = places.get(found.path)
    return Finding(
        code=found.code,
        path=found.path,
        message=found.message,
        hint=found.hint,
        file=place.file if place else "server",
        line=place.line if place else None,
    )
