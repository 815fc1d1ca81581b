"""The options that say whose tokens a command uses: written once, and the same for each command that needs one."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Final, TypeVar, get_type_hints

import typer

from pgbearer.cli import asking
from pgbearer.cli.given import TokenCommand, TokenFile, given
from pgbearer.cli.upstreams import Options

__all__ = ["with_token_options"]

R = TypeVar("R")

_PLACE: Final = "options"


def with_token_options(command: Callable[..., R]) -> Callable[..., R]:
    """Let `command` have these options where its parameter ``options`` stands, which gets what they come to.

    Typer makes a command line of a function's signature, so the function that is returned has one with both.
    """
    own = _parameters(command)
    place = next(index for index, parameter in enumerate(own) if parameter.name == _PLACE)
    context, *shared = _parameters(_options)

    @wraps(command)
    def with_both(**said: object) -> R:
        ours = {parameter.name: said.pop(parameter.name) for parameter in (context, *shared)}
        return command(**said, options=_options(**ours))  # type: ignore[arg-type]  # typer has seen to their types

    both = [context, *own[:place], *shared, *own[place + 1 :]]
    with_both.__signature__ = inspect.Signature(both)  # type: ignore[attr-defined]
    with_both.__annotations__ = {parameter.name: parameter.annotation for parameter in both}
    return with_both


def _options(
    *,
    context: typer.Context,
    profile: asking.ProfileName = None,
    issuer: asking.Issuer = None,
    client_id: asking.ClientId = None,
    scope: asking.Scope = None,
    token_file: TokenFile = None,
    token_command: TokenCommand = None,
    device: asking.Device = False,
    qr: asking.Qr = False,
    no_browser: asking.NoBrowser = False,
    ca_file: asking.CaFile = None,
) -> Options:
    manner = asking.manner(device=device, qr=qr, no_browser=no_browser)
    token = given(context, token_file, token_command)
    return Options(profile, issuer, client_id, scope, ca_file, manner, token)


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    """By keyword, with what their annotations say."""
    said = get_type_hints(function, include_extras=True)
    return [
        parameter.replace(annotation=said[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(function).parameters.values()
    ]
