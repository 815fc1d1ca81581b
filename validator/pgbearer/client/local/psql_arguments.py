"""Psql's own arguments, read as psql reads them: what says where to connect is taken out, the rest is psql's.

The options are those of psql 18 (src/bin/psql/startup.c), of which older ones know fewer.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgbearer.client.plain import plain
from pgbearer.errors import UsageError

__all__ = ["PsqlCall", "read_psql_arguments"]

_SHORT_WITH_VALUE: Final = frozenset("cdfFhLopPRTUv")
_LONG_WITH_VALUE: Final = frozenset(
    {"command", "dbname", "field-separator", "file", "host", "log-file", "output", "port", "pset"}
    | {"record-separator", "set", "table-attr", "username", "variable"}
)
_LONG: Final = _LONG_WITH_VALUE | {
    *("csv", "echo-all", "echo-errors", "echo-hidden", "echo-queries", "expanded", "field-separator-zero", "help"),
    *("html", "list", "no-align", "no-password", "no-psqlrc", "no-readline", "password", "quiet"),
    *("record-separator-zero", "single-line", "single-step", "single-transaction", "tuples-only", "version"),
}
_OURS: Final = frozenset(
    {"ca-file", "client-id", "device", "issuer", "no-browser", "profile", "psql", "qr", "scope"}
    | {"token-command", "token-file"}
)
"""Of the command that runs psql, which would take their values for names of databases and roles."""
_TAKEN: Final = {
    "d": "dbname",
    "h": "host",
    "p": "port",
    "U": "user",
    "dbname": "dbname",
    "host": "host",
    "port": "port",
    "username": "user",
}
_WHERE: Final = frozenset({"host", "hostaddr", "port"})
_NO_CONNECTION: Final = frozenset({"?", "V", "help", "version"})
_PASSWORD: Final = frozenset({"W", "password"})


@dataclass(frozen=True, slots=True)
class PsqlCall:
    """What a command line of psql asks for."""

    upstream: str | None
    """The name of a configured upstream, if the first argument was one."""
    conninfo: str
    """Where to connect to, as psql would; what is to be changed of the upstream's own, if there is one."""
    rest: tuple[str, ...]
    """Psql's arguments without those."""
    connects: bool
    """False for its help and its version."""


def read_psql_arguments(arguments: Sequence[str], upstreams: Collection[str] = ()) -> PsqlCall:
    """Read a command line of psql. Pure.

    Args:
        arguments: without the program's name. A ``--`` after a first argument that is no option is left out, so that it
            may stand between where to connect and all else.
        upstreams: names that, as the first argument, mean an upstream instead of a database.

    Raises:
        UsageError: there is no value where one must be, no connection string where one should, a request to ask
            for a password, or an option that is not psql's but ours.
    """
    words = list(arguments)
    named: str | None = None
    if words and not words[0].startswith("-"):
        if words[1:2] == ["--"]:
            del words[1]
        if words[0] in upstreams:
            named = words.pop(0)
    said: dict[str, str] = {}
    rest: list[str] = []
    connects = True
    for option, value, written in _options(words):
        if option is None:
            _positional(value or "", said)
            continue
        connects = connects and option not in _NO_CONNECTION
        _may_be_said(option)
        if option in _TAKEN:
            said[_TAKEN[option]] = value or ""
        else:
            rest += written
    try:
        conninfo = _conninfo(said)
    except UnicodeError:
        raise UsageError("psql is told where to connect in something else than UTF-8") from None
    if named is not None and _WHERE & set(conninfo_to_dict(conninfo)):
        raise UsageError(f"the upstream {named!r} says where it is", hint="Leave host and port out, or its name.")
    return PsqlCall(named, conninfo, tuple(rest), connects)


def _may_be_said(option: str) -> None:
    if option in _OURS:
        hint = f"Before where to connect, and before psql's: pgbearer psql --{option} ..."
        raise UsageError(f"--{option} is an option of pgbearer's, which come first", hint=hint)
    if option in _PASSWORD:
        raise UsageError("psql is told to ask for a password", hint="The login needs none: leave -W out.")


def _positional(word: str, said: dict[str, str]) -> None:
    """The first is the database, the next the role; more are none of psql's (parse_psql_options)."""
    keyword = "dbname" if "dbname" not in said else "user"
    if keyword in said:
        raise UsageError(f"an argument too many for psql: {plain(word)!r}")
    said[keyword] = word


def _conninfo(said: dict[str, str]) -> str:
    """A connection string in place of a database's name wins over options (conninfo_array_parse, fe-connect.c)."""
    dbname = said.get("dbname", "")
    if "=" not in dbname and not dbname.startswith(("postgresql://", "postgres://")):
        return make_conninfo(**{keyword: value for keyword, value in said.items() if value})
    try:
        own = conninfo_to_dict(dbname)
    except ProgrammingError as error:
        raise UsageError(f"not a connection string: {plain(str(error).strip())}") from None
    others = {keyword: value for keyword, value in said.items() if value and keyword != "dbname" and keyword not in own}
    return make_conninfo(dbname, **others)


def _options(words: Sequence[str]) -> Iterator[tuple[str | None, str | None, list[str]]]:
    """As getopt_long(3): option, its value, and how both are written; for what is no option None and the word.

    Options may follow what is none, clusters of short ones may end in one with a value, long ones may be cut short.
    What is no option of psql's is handed on as one without a value, and psql says so.
    """
    left = list(words)
    others: list[str] = []
    while left:
        word = left.pop(0)
        if word == "--":
            others += left
            break
        if word.startswith("--"):
            yield _long(word, left)
        elif word.startswith("-") and len(word) > 1:
            yield from _cluster(word[1:], left)
        else:
            others.append(word)
    for word in others:
        yield None, word, [word]


def _long(word: str, left: list[str]) -> tuple[str, str | None, list[str]]:
    said, equals, value = word[2:].partition("=")
    meant = [said] if said in _LONG else [name for name in _LONG if name.startswith(said)]
    name = meant[0] if len(meant) == 1 else said
    if equals or name not in _LONG_WITH_VALUE:
        return name, value, [word]
    value = _value(word, left)
    return name, value, [word, value]


def _cluster(letters: str, left: list[str]) -> Iterator[tuple[str, str | None, list[str]]]:
    for index, letter in enumerate(letters):
        if letter not in _SHORT_WITH_VALUE:
            yield letter, None, [f"-{letter}"]
            continue
        value = letters[index + 1 :] or _value(f"-{letter}", left)
        yield letter, value, [f"-{letter}", value]
        return


def _value(option: str, left: list[str]) -> str:
    if not left:
        raise UsageError(f"psql's option {plain(option)} wants a value")
    return left.pop(0)
