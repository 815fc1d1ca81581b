"""The client's file, client.toml: found, read if nobody else can write it, and decoded whole or not at all."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
import platformdirs

from pgbearer.client.login.metadata import check_issuer
from pgbearer.client.plain import plain
from pgbearer.client.profiles.decode import near, problems_in
from pgbearer.client.profiles.profile import Profile
from pgbearer.client.profiles.upstream import UpstreamSettings
from pgbearer.client.sources.trusted_file import read_trusted
from pgbearer.errors import UsageError

__all__ = ["ClientFile", "ProfilesError", "client_file_path", "load_client_file"]

_VARIABLE: Final = "PGBEARER_CONFIG_FILE"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


class ProfilesError(UsageError):
    """The client's file cannot be used. `problems` holds everything that is wrong with it."""

    def __init__(self, file: Path, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}"
        super().__init__(count, where=str(file), hint="\n  ".join(problems))


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand in the file."""

    default: str | None = None
    profiles: dict[str, Profile] = {}
    upstreams: dict[str, UpstreamSettings] = {}
    peers: dict[str, str] = {}


class ClientFile:
    """The profiles and upstreams of one file. Immutable; safe in threads and tasks.

    Args:
        path: where it is, or would be.
        profiles: by name.
        default: the name of the one that is meant where none is named; None: there is none.
        upstreams: by name.
        peers: the name of a profile for each local user, by name or uid, whom one proxy serves beside its own.
    """

    def __init__(
        self,
        path: Path,
        profiles: Mapping[str, Profile],
        default: str | None = None,
        upstreams: Mapping[str, UpstreamSettings] = MappingProxyType({}),
        peers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.path = path
        self.profiles = profiles
        self.default = default
        self.upstreams = upstreams
        self.peers = peers

    def profile(self, name: str) -> Profile:
        """The profile called `name`.

        Raises:
            UsageError: there is none.
        """
        if name not in self.profiles:
            none = f"The file has none, or is not there. Write [profiles.{plain(name)}] there, or give --issuer URL."
            hint = f"It has {', '.join(self.profiles)}." if self.profiles else none
            raise UsageError(
                f"no profile is called {plain(name)!r}{near(name, self.profiles)}", where=str(self.path), hint=hint
            )
        return self.profiles[name]

    def named_for(self, issuer: str) -> str | None:
        """The name of the profile for `issuer`: the default one if it is for it, else the first; None if none is."""
        names = [self.default, *self.profiles] if self.default else [*self.profiles]
        return next((name for name in names if self.profiles[name].issuer == issuer), None)

    def named_for_servers_of(self, issuer: str) -> str | None:
        """As `named_for`, for servers that ask for tokens of `issuer`: `Profile.behind` goes before its own issuer."""
        names = [self.default, *self.profiles] if self.default else [*self.profiles]
        return next((name for name in names if self.profiles[name].server_issuer == issuer), None)


def client_file_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the file is: as PGBEARER_CONFIG_FILE says, else ``client.toml`` in the platform's folder for settings.

    Raises:
        UsageError: neither is known: a user without a home, as in a container.
    """
    if named := environ.get(_VARIABLE):
        return Path(named)
    try:
        return platformdirs.user_config_path("pgbearer") / "client.toml"
    except RuntimeError:
        raise UsageError(
            "this user has no home folder, where client.toml would be", hint=f"Set HOME, or {_VARIABLE} to a file."
        ) from None


def load_client_file(environ: Mapping[str, str] = os.environ) -> ClientFile:
    """Read the client's file; without one there are no profiles.

    Raises:
        ProfilesError: it is not what such a file may say; all problems at once, with their paths.
        UsageError: others can write it, it cannot be read, or PGBEARER_CONFIG_FILE names one that is not there; or as
            `client_file_path`.
    """
    path = client_file_path(environ)
    if not environ.get(_VARIABLE) and not path.exists():
        return ClientFile(path, {})
    written = _decode(path, read_trusted(path))
    return ClientFile(path, written.profiles, written.default, written.upstreams, written.peers)


def _decode(path: Path, content: bytes) -> _Written:
    try:
        document = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProfilesError(path, [f"not TOML: {plain(str(error))}"]) from None
    problems = problems_in(document, _Written)
    problems += _about_names(document)
    if problems:
        raise ProfilesError(path, problems)
    written = msgspec.convert(document, _Written)
    problems = _about_issuers(written)
    if problems:
        raise ProfilesError(path, problems)
    return written


def _about_names(document: Mapping[str, Any]) -> list[str]:
    """Names that are none, and names of profiles that are not there."""
    profiles, upstreams, peers = (document.get(table, {}) for table in ("profiles", "upstreams", "peers"))
    if not all(isinstance(table, Mapping) for table in (profiles, upstreams, peers)):
        return []
    problems = [
        f"{table}.{plain(name, limit=100)}: a name has letters, digits, '_', '-' and '.' only, 63 at most"
        for table, names in (("profiles", profiles), ("upstreams", upstreams))
        for name in names
        if not _NAME.fullmatch(name)
    ]
    meant = {"default": document.get("default")}
    meant |= {
        f"upstreams.{plain(name, limit=100)}.profile": one.get("profile")
        for name, one in upstreams.items()
        if isinstance(one, Mapping)
    }
    meant |= {f"peers.{plain(user, limit=100)}": name for user, name in peers.items()}
    return problems + [
        f"{where}: no profile is called {plain(name, limit=100)!r}{near(name, profiles)}"
        for where, name in meant.items()
        if isinstance(name, str) and name not in profiles
    ]


def _about_issuers(written: _Written) -> list[str]:
    said = {f"profiles.{name}.issuer": profile.issuer for name, profile in written.profiles.items()}
    said |= {f"profiles.{name}.behind": profile.behind for name, profile in written.profiles.items() if profile.behind}
    said |= {f"upstreams.{name}.behind": one.behind for name, one in written.upstreams.items() if one.behind}
    problems = []
    for where, issuer in said.items():
        try:
            check_issuer(issuer)
        except UsageError as error:
            problems.append(f"{where}: {error.what}")
    return problems
