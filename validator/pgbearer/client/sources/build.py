"""From what a profile says to the source that does it, for every kind that never asks a person."""

from pathlib import Path

from pgbearer.client.sources.authentication import (
    Authentication,
    ClientCertificate,
    ClientSecret,
    FederatedAssertion,
    SignedAssertion,
)
from pgbearer.client.sources.client_credentials import ClientCredentialsSource
from pgbearer.client.sources.command import CommandSource
from pgbearer.client.sources.exchange import ExchangeSource
from pgbearer.client.sources.file import FileSource
from pgbearer.client.sources.kubernetes import KubernetesSource
from pgbearer.client.sources.settings import (
    ClientCredentialsSettings,
    CommandSettings,
    ExchangeSettings,
    FileSettings,
    KubernetesSettings,
    LoginSettings,
    SourceSettings,
    SpiffeSettings,
)
from pgbearer.client.sources.source import TokenSource
from pgbearer.client.sources.spiffe import SpiffeSource
from pgbearer.errors import UsageError

__all__ = ["source_of"]


def source_of(
    settings: SourceSettings,
    *,
    issuer: str | None,
    scope: str | None = None,
    ca_file: Path | None = None,
    folder: Path | None = None,
) -> TokenSource:
    """The source that `settings` describe. Reads no file and asks nobody yet.

    Args:
        settings: a profile's ``source``, of any kind but ``login``, which needs a store and a person.
        issuer: whose tokens the servers ask for; the kinds that ask an authorization server ask this one.
        scope: space-separated; only for the kinds that ask an authorization server.
        ca_file: PEM certificates to trust for the issuer instead of the system's.
        folder: where relative paths begin; the working folder if None.

    Raises:
        UsageError: keys that exclude or need each other, no issuer where one is asked, or the kind ``login``.
        MissingExtraError: the kind needs packages that are not installed.
    """
    at = _Places(folder or Path())
    match settings:
        case FileSettings():
            return FileSource(at[settings.path], issuer=issuer)
        case CommandSettings():
            return CommandSource(_run_from(settings.command, at), issuer=issuer, timeout=settings.timeout)
        case KubernetesSettings(exchange=False):
            if settings.client_id is not None:
                raise UsageError("client_id is for exchange = true alone", hint="Set exchange, or leave client_id out.")
            return KubernetesSource(at[settings.token_file], issuer=issuer)
        case KubernetesSettings():
            pod = FederatedAssertion(at[settings.token_file], settings.client_id or "")
            return ClientCredentialsSource(_asked(issuer), pod, scope, ca_file=ca_file)
        case SpiffeSettings():
            socket = None if settings.socket is None else at[settings.socket]
            return SpiffeSource(settings.audience, spiffe_id=settings.spiffe_id, socket=socket, issuer=issuer)
        case ClientCredentialsSettings():
            return ClientCredentialsSource(_asked(issuer), _client(settings, at), scope, ca_file=ca_file)
        case ExchangeSettings():
            person = FileSource(at[settings.subject_token_file], issuer=issuer)
            client, audience = _client(settings, at), settings.audience
            return ExchangeSource(_asked(issuer), client, person, audience=audience, scope=scope, ca_file=ca_file)
        case LoginSettings():
            raise UsageError("a login needs a person", hint="Log in with: pgbearer login.")


class _Places:
    """Paths as a profile writes them: ``~`` is the home folder, what is relative begins in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, written: str) -> Path:
        try:
            return self._folder / Path(written).expanduser()
        except RuntimeError:
            raise UsageError("has no home folder to begin in", where=written) from None


def _run_from(command: tuple[str, ...], at: _Places) -> tuple[str, ...]:
    """The command, whose program has a path or is looked for in PATH; never in the folder where somebody stands."""
    program, *arguments = command
    return (str(at[program]) if "/" in program else program, *arguments)


def _asked(issuer: str | None) -> str:
    if issuer is None:
        raise UsageError("no issuer is given, so there is nobody to ask for a token", hint="Give the profile's issuer.")
    return issuer


def _client(settings: ClientCredentialsSettings | ExchangeSettings, at: _Places) -> Authentication:
    """How the client proves itself: by exactly one of the three."""
    if settings.key_file is None and (settings.key_id or settings.algorithm):
        raise UsageError("key_id and algorithm are for key_file alone", hint="Leave them out, or give key_file.")
    name, certificate = settings.client_id, (settings.certificate_file, settings.certificate_key_file)
    match settings.secret_file, settings.key_file, certificate:
        case str(secret), None, (None, None):
            return ClientSecret(name, at[secret])
        case None, str(key), (None, None):
            return SignedAssertion(name, at[key], key_id=settings.key_id, algorithm=settings.algorithm)
        case None, None, (str(shown), str(its_key)):
            return ClientCertificate(name, (at[shown], at[its_key]))
    raise UsageError(
        "a client proves itself in exactly one way",
        hint="Give secret_file, or key_file, or certificate_file with certificate_key_file.",
    )
