"""``pgbearer policy``: what a file would decide, before it decides."""

import typer

__all__ = ["policy"]

policy = typer.Typer(name="policy", help="Test, compare and question rules before they are live.", no_args_is_help=True)


@policy.callback()
def root() -> None:
    """Test, compare and question rules before they are live."""
