"""``pgbearer serve``: run the service in the foreground."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pgbearer.cli.extras import needing

__all__ = ["serve"]


def serve(
    *,
    config: Annotated[Path, typer.Option("-c", "--config", metavar="FILE", help="The policy file.")] = Path(
        "/etc/pgbearer/pgbearer.yaml"
    ),
    log: Annotated[
        Literal["plain", "json"], typer.Option("--log", help="How the service's own log looks, on standard error.")
    ] = "plain",
) -> None:
    """Decide logins for PostgreSQL, until SIGTERM.

    SIGTERM lets those under way finish. Reads the file again on SIGHUP and when it changes; one with errors is refused,
    and the one before stays in force.

    Example: pgbearer serve -c /etc/pgbearer/pgbearer.yaml
    """
    with needing("serve"):
        from pgbearer import service
    service.set_up_logging(log)
    service.serve(config)
