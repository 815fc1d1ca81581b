"""What SQL does to who gets in, as far as its words show it: roles that it makes, passwords, and the server itself."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final, Literal

from pgbearer.cnpg.sql_words import name, streams

__all__ = ["MAX_LENGTH", "POWERS", "Does", "what_it_does"]

MAX_LENGTH: Final = 1024 * 1024
"""Characters: a ConfigMap or a Secret has no more."""

POWERS: Final = ("superuser", "createrole", "bypassrls", "replication")
"""Attributes of a role by which it is no ordinary one."""
_MOST: Final = 10_000
"""Things that one text may do."""
_TABLES: Final = frozenset({"pg_authid", "pg_auth_members"})
_LIBRARIES: Final = frozenset({"session_preload_libraries", "local_preload_libraries", "dynamic_library_path"})
_FILES: Final = frozenset(
    {"pg_read_file", "pg_read_binary_file", "pg_ls_dir", "lo_import", "lo_export", "pg_file_write"}
)
_ESCAPES: Final = re.compile(r"\bu&[\"']", re.IGNORECASE)  # section 4.1.2.3 of PostgreSQL's manual
_UNTRUSTED: Final = frozenset({"c", "plpython3u", "plpythonu", "plperlu", "pltclu"})
_KINDS: Final = frozenset({"role", "user", "group"})
_NEXT_WORDS_SAY: Final = frozenset({"load", "lo_export", "language", "extension", "security"})
_BEFORE_NAMES: Final = frozenset({"role", "user", "group", "admin", "to", ","})
_NAMED_AS_WORDS: Final = 8
"""Names in one statement that are words which begin one."""
_FALSE: Final = frozenset({"'false", "'f", "'off", "'of", "'no", "'n", "'0"})
_DEFINES: Final = (["function"], ["routine"])
_MARKS: Final = frozenset(";,().")


@dataclass(frozen=True, slots=True)
class Does:
    """One thing that a statement does.

    ``password``: gives `role` one. ``power``: gives `role` the attribute `what`. ``member``: makes `role` a member of
    the role `what`. ``server``: changes files, settings, programs or libraries of the server, `what` says which.
    ``unseen``: runs what does not stand there, `what` says how.
    """

    kind: Literal["password", "power", "member", "server", "unseen"]
    role: str
    what: str = ""


def what_it_does(sql: str) -> list[Does]:
    """All that the words of `sql` show, in no order. Pure.

    Raises:
        ValueError: it is too long to be looked at, or does too much.
    """
    if len(sql) > MAX_LENGTH:
        raise ValueError(f"more than {MAX_LENGTH // 1024**2} MiB")
    if _ESCAPES.search(sql):
        raise ValueError("names or strings in it are written as U&")
    found = list(islice((does for words in streams(sql) for does in _of(words)), _MOST + 1))
    if len(found) > _MOST:
        raise ValueError(f"it does more than {_MOST} things")
    return list(dict.fromkeys(found))


def _of(words: Sequence[str]) -> Iterator[Does]:
    for index, word in enumerate(words):
        if (read := _READ.get(name(word) if word == '"lo_export"' else word)) is not None:
            yield from read(_statement(words, index))
        elif name(word) in _TABLES and _is_written(words, index):
            yield Does("server", "", f"the table {name(word)}")
        elif name(word).lower() in _LIBRARIES and not {"set", "system"}.isdisjoint(words[max(index - 2, 0) : index]):
            yield Does("server", "", f"which libraries are loaded, by {name(word).lower()}")
        elif name(word) == "set_config":
            yield from _set_config(words, index)
        elif word == "execute" and not _is_constant(words, index + 1):
            yield Does("unseen", "", "EXECUTE runs what is put together, or not here")


def _set_config(words: Sequence[str], index: int) -> Iterator[Does]:
    """SET as a function, whose first argument is the setting; a right to it, or its definition, is no call."""
    before = index - 2 if words[max(index - 2, 0) : index] == ["pg_catalog", "."] else index
    if words[index + 1 : index + 2] != ["("] or words[max(before - 1, 0) : before] in _DEFINES:
        return
    first, following = (*words[index + 2 : index + 4], "", "")[:2]
    setting = first.removeprefix("'")
    if first == setting or "\\" in setting or following != ",":
        yield Does("unseen", "", "set_config sets what is put together, or named elsewhere")
    elif setting in _LIBRARIES:
        yield Does("server", "", f"which libraries are loaded, by set_config of {setting}")
    elif setting.startswith("pgbearer."):
        yield Does("server", "", f"the module's {setting}, by set_config")


def _is_written(words: Sequence[str], index: int) -> bool:
    """Whether the table at `index` is the one that a statement changes."""
    place = index - 1
    while place >= 0 and name(words[place]) in ("pg_catalog", ".", "only", "("):
        place -= 1
    before = words[max(place - 1, 0) : place + 1]
    return before[-1:] in (["update"], ["into"]) or before == ["delete", "from"]


def _is_constant(words: Sequence[str], place: int) -> bool:
    """Whether EXECUTE has one string, which is looked into; a right, a trigger or what was prepared is none of it."""
    if not words[place : place + 1] or words[place] in ("on", "function", "procedure", ",", ";"):
        return True
    begin = place
    while place < len(words) and words[place].startswith("'"):
        place += 1
    return place > begin and (place == len(words) or words[place] in (";", "using", "into"))


def _statement(words: Sequence[str], begin: int) -> Sequence[str]:
    """What follows the word at `begin`, to where it ends or another begins: so none is looked at over and over."""
    if name(words[begin]) in _NEXT_WORDS_SAY:
        return words[begin + 1 : begin + 5]
    stops = (";", "grant") if words[begin] == "grant" else (";", "grant", "create", "alter", "copy")
    found = (place for place in range(begin + 1, len(words)) if words[place] in stops)
    for count, end in enumerate(found):
        if words[end] == ";" or words[end - 1] not in _BEFORE_NAMES:
            return words[begin + 1 : end]
        if count == _NAMED_AS_WORDS:
            raise ValueError("too many names in it are words that begin a statement")
    return words[begin + 1 :]


def _grant(words: Sequence[str]) -> Iterator[Does]:
    """Of roles, unless it says of what: then only what is granted on parameters is the server's."""
    if "to" not in words:
        return
    before, after = words[: words.index("to")], words[words.index("to") + 1 :]
    if "on" in before:
        if before[before.index("on") + 1 :][:1] == ["parameter"]:
            yield Does("server", "", "who may set parameters")
        elif not _FILES.isdisjoint(map(name, before)):
            yield Does("server", "", "who may read or write its files")
        return
    roles = _names(before)
    yield from (Does("member", member, role) for member in _names(after) for role in roles)


def _make(words: Sequence[str]) -> Iterator[Does]:
    """CREATE or ALTER: of a role, or of the server."""
    if words[:1] == ["system"] and words[1:2] != ["on"]:  # GRANT ALTER SYSTEM ON PARAMETER is none
        yield Does("server", "", "settings, by ALTER SYSTEM")
    if words[:2] == ["user", "mapping"]:
        yield from _map(words)
    if not words or words[0] not in _KINDS or words[1:2] in ([], ["mapping"]):
        return
    role, said = name(words[1]), words[2:]
    yield from (Does("power", role, attribute) for attribute in POWERS if attribute in said)
    for index, (before, word) in enumerate(pairwise(["", *said])):
        if word == "password" and said[index + 1 : index + 2] != ["null"]:
            yield Does("password", role)
        elif before == "in" and word in _KINDS:
            yield from (Does("member", role, other) for other in _names(said, index + 1))
        elif word in ("role", "user", "admin") and before != "drop":
            yield from (Does("member", other, role) for other in _names(said, index + 1))


def _map(words: Sequence[str]) -> Iterator[Does]:
    """Without it, who uses the mapping is whoever the server's user is elsewhere (postgres_fdw, dblink)."""
    for word, following in pairwise(words):
        if name(word) == "password_required" and following in _FALSE:
            yield Does("server", "", "who connects elsewhere as its own user, by password_required")


def _copy(words: Sequence[str]) -> Iterator[Does]:
    for word, following in pairwise(words):
        if word in ("to", "from") and following == "program":
            yield Does("server", "", "what runs there, by COPY ... PROGRAM")
        elif word == "to" and following.startswith("'"):
            yield Does("server", "", "its files, by COPY ... TO")


def _security(words: Sequence[str]) -> Iterator[Does]:
    """Made by postgres, it is postgres to whoever calls it, and everybody may call it unless that is revoked."""
    if words[:1] == ["definer"]:
        yield Does("server", "", "what everybody may do, by a function that is SECURITY DEFINER")


def _load(words: Sequence[str]) -> Iterator[Does]:
    if words[:1] and words[0].startswith("'"):
        yield Does("server", "", "which libraries are loaded, by LOAD")


def _export(words: Sequence[str]) -> Iterator[Does]:
    if words[:1] == ["("]:
        yield Does("server", "", "its files, by lo_export")


def _language(words: Sequence[str]) -> Iterator[Does]:
    """Functions in these do what the server's user may do."""
    named = words[3:] if list(words[:3]) == ["if", "not", "exists"] else words
    if named and (shown := name(named[0]).removeprefix("'")) in _UNTRUSTED:
        yield Does("server", "", f"what runs there, in the language {shown}")


_READ: Final = {
    "grant": _grant,
    "create": _make,
    "alter": _make,
    "copy": _copy,
    "load": _load,
    "lo_export": _export,
    "security": _security,
    "language": _language,
    "extension": _language,
}


def _names(words: Sequence[str], begin: int = 0) -> list[str]:
    """A list of names with commas between them, to its end."""
    found: list[str] = []
    for index in range(begin, len(words), 2):
        if words[index] in _MARKS or words[index].startswith("'"):
            break
        found.append(name(words[index]))
        if words[index + 1 : index + 2] != [","]:
            break
    return found
