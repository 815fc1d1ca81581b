"""One proxy for several local users: the kernel says who they are, and each has the tokens of a profile."""

import functools
from collections.abc import Mapping
from typing import Final

from pgbearer.client.local.seen import SeenSource
from pgbearer.client.plain import plain
from pgbearer.client.profiles import ClientFile, Profile, source_of_profile
from pgbearer.errors import UsageError
from pgbearer.sockets import uid_of

__all__ = ["Peers"]

_HINT: Final = "Give it a source that asks nobody: client-credentials, kubernetes, spiffe, exchange, command or file."


class Peers:
    """The local users that ``[peers]`` names, with one source for each of their profiles.

    Args:
        file: the client's; nothing is asked of anybody yet.

    Raises:
        UsageError: it names nobody, or somebody this machine does not know, or a profile for which a person is asked.
    """

    def __init__(self, file: ClientFile) -> None:
        if not file.peers:
            raise UsageError(
                "there are no [peers]", where=str(file.path), hint='Name them: [peers] alice = "a-profile"'
            )
        self._file = file
        self._profiles: dict[int, tuple[str, str]] = {}
        for user, name in file.peers.items():
            where = f"peers.{plain(user)}"
            if file.profile(name).source.interactive:
                raise UsageError(f"the profile {name} asks a person, which this proxy cannot", where=where, hint=_HINT)
            uid = _uid(user, where)
            if uid in self._profiles:
                raise UsageError(f"uid {uid} is named twice", where=where)
            self._profiles[uid] = user, name
        self._source = functools.cache(self._source_of)

    def sources(self, wanted: Profile, behind: str | None = None) -> Mapping[int, tuple[str, SeenSource]]:
        """Names and sources of the users, by uid, whose profiles are of the same issuer and for the same servers.

        Args:
            wanted: the profile that counts for the upstream.
            behind: what the upstream itself says; it goes before what the profiles say.

        Raises:
            UsageError: nobody's is.
        """
        found = {
            uid: (user, self._source(name))
            for uid, (user, name) in self._profiles.items()
            if _fits(self._file.profile(name), wanted, behind)
        }
        if not found:
            servers = behind or wanted.behind
            there = f" and behind {servers}" if servers else ""
            raise UsageError(f"no profile of [peers] is of {wanted.issuer}{there}", where=str(self._file.path))
        return found

    def _source_of(self, name: str) -> SeenSource:
        profile = self._file.profile(name)
        return SeenSource(source_of_profile(profile, name=name, folder=self._file.path.parent))


def _fits(profile: Profile, wanted: Profile, behind: str | None) -> bool:
    return profile.issuer == wanted.issuer and (behind is not None or profile.behind == wanted.behind)


def _uid(user: str, where: str) -> int:
    try:
        return uid_of(int(user) if user.isdigit() else user)
    except UsageError as error:
        raise UsageError(error.what, where=where, hint=error.hint) from None
