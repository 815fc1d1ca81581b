"""What Django loads as the backend: its own for PostgreSQL, but for how connections log in and when they end."""

from functools import cache
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base

from pgbearer.client.connection.connect import Connection
from pgbearer.client.connection.session import SessionEndedError
from pgbearer.client.profiles import ProfileArguments, profile_arguments

__all__ = ["DatabaseWrapper"]


class _Driver:
    """psycopg as Django uses it, but for how it connects."""

    connect = Connection.connect

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, name)


class DatabaseWrapper(base.DatabaseWrapper):  # type: ignore[misc]  # Django brings no types
    """Django's backend for PostgreSQL, whose connections log in with a token.

    ``OPTIONS`` has a ``source`` (`pgbearer.client.TokenSource`), which is asked for a token for each new connection, or
    the name of a ``profile`` in client.toml, and if need be other arguments of `pgbearer.connect`. A persistent
    connection is replaced between two requests when its session has ended or is about to; so are those of
    ``OPTIONS["pool"]`` (the extra ``[pool]``). As safe in threads as Django's own.
    """

    Database = _Driver()

    def get_connection_params(self) -> dict[str, Any]:
        """The arguments of `pgbearer.connect`.

        Raises:
            ImproperlyConfigured: there is no source and no profile, or both.
            UsageError: the profile cannot be used.
        """
        parameters: dict[str, Any] = super().get_connection_params()
        profile = parameters.pop("profile", None)
        if (parameters.get("source") is None) == (profile is None):
            raise ImproperlyConfigured(
                f'DATABASES["{self.alias}"]["OPTIONS"] needs a "source" of tokens, or a "profile" (docs/python.md)'
            )
        if profile is not None:
            said = _arguments_of(profile)
            parameters["source"] = said["source"]
            parameters.setdefault("behind", said["behind"])
        return parameters

    def close_if_unusable_or_obsolete(self) -> None:
        """Django calls this between requests; the look at the session costs microseconds."""
        if self.connection is not None and not self.in_atomic_block:
            try:
                self.connection.check_session()
            except SessionEndedError:
                self.close()
        super().close_if_unusable_or_obsolete()

    @property
    def pool(self) -> Any:
        """The pool of ``OPTIONS["pool"]``, made when it is first asked for; None if there is to be none."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            made = self._make_pool({} if options is True else options)
            self._connection_pools.setdefault(
                self.alias, made
            )  # it is not open yet, so the second of two costs nothing
        return self._connection_pools[self.alias]

    def _make_pool(self, options: dict[str, Any]) -> Any:
        from pgbearer.client.pool import ConnectionPool

        if self.settings_dict.get("CONN_MAX_AGE", 0) != 0:
            raise ImproperlyConfigured("Pooling doesn't support persistent connections.")
        parameters = self.get_connection_params() | {"autocommit": True}  # Django sets it as it needs it later on
        return ConnectionPool(
            source=parameters.pop("source"),
            kwargs=parameters,
            open=False,
            configure=self._configure_connection,
            check=ConnectionPool.check_connection if self.settings_dict["CONN_HEALTH_CHECKS"] else None,
            **options,
        )


@cache
def _arguments_of(profile: str) -> ProfileArguments:
    """One for all threads, each of which has wrappers of its own: a token that one has got is good for the others."""
    return profile_arguments(profile)
