"""A profile's source by its name alone, for programs that are told no more."""

import os
from collections.abc import Mapping

from pgbearer.client.profiles.build import Manner, source_of_profile
from pgbearer.client.profiles.file import load_client_file
from pgbearer.client.sources.source import TokenSource
from pgbearer.errors import UsageError

__all__ = ["profile_source"]

_VARIABLE = "PGBEARER_PROFILE"


def profile_source(
    name: str | None = None, *, manner: Manner | None = None, environ: Mapping[str, str] = os.environ
) -> TokenSource:
    """The source of the profile `name` in client.toml. Make it once: what it holds is not shared with a second one.

    Args:
        name: if None, what PGBEARER_PROFILE says, else the file's default.
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
    return source_of_profile(file.profile(wanted), name=wanted, folder=file.path.parent, manner=manner)
