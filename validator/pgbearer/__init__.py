"""OAuth logins for PostgreSQL: the service that decides, and the client that logs in."""

__all__: list[str] = []
