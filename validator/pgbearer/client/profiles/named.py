"""A profile by its name alone, for programs that are told no more: its source, and what goes with it into `connect`."""

import os
from collections.abc import Mapping
from typing import TypedDict

from pgbearer.client.profiles.build import Manner, source_of_profile
from pgbearer.client.profiles.file import load_client_file
from pgbearer.client.sources.source import TokenSource
from pgbearer.errors import UsageError

__all__ = ["ProfileArguments", "profile_arguments", "profile_source"]

_VARIABLE = "PGBEARER_PROFILE"


class ProfileArguments(TypedDict):
    """What a profile says of a connection: arguments of `pgbearer.connect`."""

    source: TokenSource
    behind: str | None


def profile_arguments(
    name: str | None = None, *, manner: Manner | None = None, environ: Mapping[str, str] = os.environ
) -> ProfileArguments:
    """What `pgbearer.connect` takes of the profile `name`: ``connect("service=appdb", **profile_arguments("job"))``.

    Make it once: what the source holds is not shared with a second one.

    Args:
        name: of a profile in client.toml; if None, what PGBEARER_PROFILE says, else the file's default.
        manner: how a person is spoken to, where the profile's tokens are a person's; as is sensible here if None.
        environ: where PGBEARER_PROFILE and PGBEARER_CONFIG_FILE are looked up.

    Raises:
        UsageError: there is no such profile, or none is named; or the file cannot be used.
        MissingExtraError: the kind of source needs packages that are not installed.
    """
    file = load_client_file(environ)
    wanted = name or environ.get(_VARIABLE) or file.default
    if wanted is None:
        raise UsageError(
            "no profile is named", where=str(file.path), hint=f"Name one, set {_VARIABLE}, or give the file a default."
        )
    profile = file.profile(wanted)
    source = source_of_profile(profile, name=wanted, folder=file.path.parent, manner=manner)
    return ProfileArguments(source=source, behind=profile.behind)


def profile_source(
    name: str | None = None, *, manner: Manner | None = None, environ: Mapping[str, str] = os.environ
) -> TokenSource:
    """The source alone of `profile_arguments`, which see. A profile with `Profile.behind` needs those."""
    return profile_arguments(name, manner=manner, environ=environ)["source"]
