"""Where a token comes from: in hand, a person's login, a file, a program, a workload's identity, a client's own."""

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
from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.sources.file import FileSource
from pgbearer.client.sources.kubernetes import KubernetesSource
from pgbearer.client.sources.person import NotLoggedInError, PersonSource
from pgbearer.client.sources.source import TokenSource
from pgbearer.client.sources.spiffe import SpiffeSource
from pgbearer.client.sources.static import StaticSource

__all__ = [
    "Authentication",
    "ClientCertificate",
    "ClientCredentialsSource",
    "ClientSecret",
    "CommandSource",
    "ExchangeSource",
    "FederatedAssertion",
    "FileSource",
    "KubernetesSource",
    "NoTokenError",
    "NotLoggedInError",
    "PersonSource",
    "SignedAssertion",
    "SpiffeSource",
    "StaticSource",
    "TokenSource",
]
