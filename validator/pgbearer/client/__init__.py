"""Log in, hold the token, and connect with it."""

from pgbearer.client.connection.connect import AsyncConnection, Connection, check_server, connect, connect_async
from pgbearer.client.connection.conninfo import OAuthSettings, oauth_settings
from pgbearer.client.connection.failure import ServerUnreachableError, TokenRefusedError
from pgbearer.client.connection.libpq import LibpqTooOldError
from pgbearer.client.connection.pinned import UnsafeServerError
from pgbearer.client.connection.session import SessionEndedError
from pgbearer.client.grant import Grant
from pgbearer.client.login.answer import MetadataError
from pgbearer.client.login.prompt import TerminalPrompt
from pgbearer.client.login.refusal import LoginEndedError, LoginRefusedError
from pgbearer.client.login.steps import DeviceCode
from pgbearer.client.peek import audience_in, claims_in, issuer_in, roles_in, user_in
from pgbearer.client.plain import plain
from pgbearer.client.profiles import (
    ClientFile,
    Manner,
    Profile,
    ProfileArguments,
    ProfilesError,
    client_file_path,
    load_client_file,
    login_of_profile,
    profile_arguments,
    profile_source,
    source_of_profile,
)
from pgbearer.client.secret import Secret
from pgbearer.client.sources import (
    Authentication,
    ClientCertificate,
    ClientCredentialsSource,
    ClientSecret,
    CommandSource,
    ExchangeSource,
    FederatedAssertion,
    FileSource,
    KubernetesSource,
    NotLoggedInError,
    NoTokenError,
    PersonSource,
    SignedAssertion,
    SpiffeSource,
    StaticSource,
    TokenSource,
)
from pgbearer.client.sources.settings import LoginSettings, SourceSettings
from pgbearer.client.store import (
    FileStore,
    KeyringStore,
    MemoryStore,
    StoreError,
    StoreKind,
    StoreLock,
    TokenKey,
    TokenStore,
    every_store,
    open_store,
)
from pgbearer.client.token import AccessToken, TokenFormatError

__all__ = [
    "AccessToken",
    "AsyncConnection",
    "Authentication",
    "ClientCertificate",
    "ClientCredentialsSource",
    "ClientFile",
    "ClientSecret",
    "CommandSource",
    "Connection",
    "DeviceCode",
    "ExchangeSource",
    "FederatedAssertion",
    "FileSource",
    "FileStore",
    "Grant",
    "KeyringStore",
    "KubernetesSource",
    "LibpqTooOldError",
    "LoginEndedError",
    "LoginRefusedError",
    "LoginSettings",
    "Manner",
    "MemoryStore",
    "MetadataError",
    "NoTokenError",
    "NotLoggedInError",
    "OAuthSettings",
    "PersonSource",
    "Profile",
    "ProfileArguments",
    "ProfilesError",
    "Secret",
    "ServerUnreachableError",
    "SessionEndedError",
    "SignedAssertion",
    "SourceSettings",
    "SpiffeSource",
    "StaticSource",
    "StoreError",
    "StoreKind",
    "StoreLock",
    "TerminalPrompt",
    "TokenFormatError",
    "TokenKey",
    "TokenRefusedError",
    "TokenSource",
    "TokenStore",
    "UnsafeServerError",
    "audience_in",
    "check_server",
    "claims_in",
    "client_file_path",
    "connect",
    "connect_async",
    "every_store",
    "issuer_in",
    "load_client_file",
    "login_of_profile",
    "oauth_settings",
    "open_store",
    "plain",
    "profile_arguments",
    "profile_source",
    "roles_in",
    "source_of_profile",
    "user_in",
]
