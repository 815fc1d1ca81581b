"""A token that a file or a program named by the options gives, instead of what a profile says."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pgbearer.errors import UsageError

if TYPE_CHECKING:
    from pgbearer.client import SourceSettings, TokenSource

__all__ = ["Given", "TokenCommand", "TokenFile", "given"]

TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Use the token in this file, which is read at each use. Nobody is asked to log in.",
    ),
]
TokenCommand = Annotated[
    str | None,
    typer.Option(
        "--token-command",
        metavar="'CMD ARGS'",
        help="Use the token that this program prints; no shell reads the words. Nobody is asked to log in.",
    ),
]

_OF_A_LOGIN: Final = {
    "client_id": "--client-id",
    "scope": "--scope",
    "device": "--device",
    "qr": "--qr",
    "no_browser": "--no-browser",
}
"""Options that only a person's login uses, by their parameters' names."""


@dataclass(frozen=True, slots=True)
class Given:
    """What gives the token, made once a command, so that a program's token is kept from the first question on."""

    settings: "SourceSettings"
    """As a profile would say it."""
    source: "TokenSource"
    option: str
    """How it was said."""

    def issuer(self) -> str | None:
        """The issuer that the token itself names, unverified: it can only narrow where the token may go.

        From here on this process keeps its memory to itself. Raises PgbearerError: there is no token.
        """
        from pgbearer.client import issuer_in
        from pgbearer.hardening import forbid_dumps

        forbid_dumps()
        return issuer_in(self.source.token())


def given(context: typer.Context, token_file: Path | None, token_command: str | None) -> Given | None:
    """What the two options come to; None where neither is there. Reads and runs nothing yet.

    Args:
        context: of the command, which knows what else was typed. What the environment says of a login may stay.
        token_file: relative to the working folder.
        token_command: a program and its arguments, quoted as a shell would have them.

    Raises:
        UsageError: both are there, or an option that only a person's login uses, or the command has no words.
    """
    from pgbearer.client import CommandSource, FileSource
    from pgbearer.client.sources.settings import CommandSettings, FileSettings

    if token_file is None and token_command is None:
        return None
    option = "--token-file" if token_command is None else "--token-command"
    if token_file is not None and token_command is not None:
        raise UsageError("--token-file and --token-command exclude each other", hint="Say where the token is once.")
    for name, other in _OF_A_LOGIN.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"{other} is for a person's login, and {option} asks nobody", hint="Leave one of them out."
            )
    if token_file is not None:
        path = token_file.absolute()
        return Given(FileSettings(path=str(path)), FileSource(path), option)
    words = _words(token_command or "")
    return Given(CommandSettings(command=words), CommandSource(words), option)


def _words(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--token-command: {str(error).lower()}", hint="Close what is quoted in it.") from None
    if not words:
        raise UsageError("--token-command names no program", hint="Say it as one word: --token-command 'CMD ARGS'.")
    return words
