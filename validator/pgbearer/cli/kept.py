"""Which logins there are: those of the profiles, and those that were made without one."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgbearer.client import ClientFile, PersonSource

__all__ = ["every_login", "logins_by_name"]


def every_login(ca_file: Path | None = None) -> "list[PersonSource]":
    """Every login that is kept. Raises UsageError, and StoreError if a store cannot be read."""
    return [source for _, source in logins_by_name(ca_file) if source.kept() is not None]


def logins_by_name(ca_file: Path | None = None) -> "list[tuple[str | None, PersonSource]]":
    """A source for each profile that a person logs in for, with its name, then one for each other key of each store.

    Nobody is asked by them.

    Args:
        ca_file: PEM certificates to trust for the issuers of those without a profile, instead of the system's.

    Raises:
        UsageError: client.toml cannot be used.
        StoreError: a store cannot be read.
    """
    from pgbearer.client import PersonSource, every_store, load_client_file
    from pgbearer.hardening import forbid_dumps

    forbid_dumps()
    file = load_client_file()
    found: list[tuple[str | None, PersonSource]] = [*_of_profiles(file)]
    known = {(source.where, source.key) for _, source in found}
    others = [(store, key) for store in every_store() for key in store.keys() if (store.where, key) not in known]  # noqa: SIM118  a store is no dict
    return found + [(None, PersonSource(*key, how="never", store=store, ca_file=ca_file)) for store, key in others]


def _of_profiles(file: "ClientFile") -> "list[tuple[str, PersonSource]]":
    from pgbearer.client import LoginSettings, Manner, login_of_profile

    return [
        (name, login_of_profile(profile, name=name, folder=file.path.parent, manner=Manner(how="never")))
        for name, profile in file.profiles.items()
        if isinstance(profile.source, LoginSettings)
    ]
