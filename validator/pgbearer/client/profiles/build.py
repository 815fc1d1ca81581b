"""From a profile to the source of its tokens."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pgbearer.client.login.request import BROWSER_CLIENT
from pgbearer.client.login.steps import DeviceCode
from pgbearer.client.notice import Notice, notice_on_stderr
from pgbearer.client.profiles.profile import Profile
from pgbearer.client.sources.ask import How
from pgbearer.client.sources.build import source_of
from pgbearer.client.sources.person import PersonSource
from pgbearer.client.sources.settings import LoginSettings
from pgbearer.client.sources.source import TokenSource
from pgbearer.errors import UsageError

__all__ = ["Manner", "login_of_profile", "source_of_profile"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a person is spoken to, where a profile's tokens are a person's: arguments of `PersonSource`."""

    how: How = "auto"
    show: Callable[[DeviceCode], None] | None = None
    browse: Callable[[str], None] | None = None
    notice: Notice = notice_on_stderr


def source_of_profile(
    profile: Profile, *, name: str | None = None, folder: Path | None = None, manner: Manner | None = None
) -> TokenSource:
    """The source that `profile` describes; asks nobody and reads nothing yet.

    Args:
        profile: what is asked for.
        name: what it is called, for messages.
        folder: where relative paths in it begin; the working folder if None.
        manner: how a person is spoken to; as is sensible here if None.

    Raises:
        UsageError: keys that exclude or need each other.
        MissingExtraError: the kind of source needs packages that are not installed.
    """
    if isinstance(profile.source, LoginSettings):
        return login_of_profile(profile, name=name, folder=folder, manner=manner)
    ca_file = _at(folder, profile.ca_file)
    return source_of(profile.source, issuer=profile.issuer, scope=profile.scope, ca_file=ca_file, folder=folder)


def login_of_profile(
    profile: Profile, *, name: str | None = None, folder: Path | None = None, manner: Manner | None = None
) -> PersonSource:
    """As `source_of_profile`, for what only a person's login can do: log in, log out, be looked at.

    Raises:
        UsageError: the profile's tokens are no person's.
    """
    if not isinstance(profile.source, LoginSettings):
        kind = profile.source.__struct_config__.tag
        raise UsageError(
            f'this profile has its tokens from a source of kind "{kind}": nobody logs in or out there',
            where=None if name is None else f"profiles.{name}",
            hint="Use it with pgbearer token or connect, or name another profile.",
        )
    manner = manner or Manner()
    return PersonSource(
        profile.issuer,
        profile.client_id,
        profile.scope,
        device_client_id=profile.device_client_id,
        how=manner.how,
        show=manner.show,
        browse=manner.browse,
        store=profile.store,
        ca_file=_at(folder, profile.ca_file),
        how_to_log_in=_way_in(profile, name),
        notice=manner.notice,
    )


def _way_in(profile: Profile, name: str | None) -> str:
    """The command that makes the login that is looked for: one with other clients or another scope is another one."""
    if name:
        return f"pgbearer login --profile {name}"
    client = None if profile.client_id == BROWSER_CLIENT else profile.client_id
    more = {"--scope": profile.scope, "--ca-file": profile.ca_file, "--client-id": client}
    said = [word for option, value in more.items() if value for word in (option, value)]
    return shlex.join(["pgbearer", "login", "--issuer", profile.issuer, *said])


def _at(folder: Path | None, written: str | None) -> Path | None:
    if written is None:
        return None
    try:
        return (folder or Path()) / Path(written).expanduser()
    except RuntimeError:
        raise UsageError("has no home folder to begin in", where=written) from None
