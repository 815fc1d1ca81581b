"""One generation of the configuration in force; a reload replaces it whole, and a login keeps the one it began with."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pgbearer.config import Loaded, Settings, load
from pgbearer.deciders import Panel, build_panel
from pgbearer.policy import Compiled, Policy
from pgbearer.policy import compile as compile_policy
from pgbearer.service.callers import LoginSocket
from pgbearer.service.revocation_file import RevocationFile
from pgbearer.service.tls_files import TlsFiles
from pgbearer.tokens import Verifiers, build_verifiers

__all__ = ["KEYS_SECONDS", "State", "build_state", "read_file"]

KEYS_SECONDS: Final = 1.0
"""How long a start or a reload waits for issuers' keys: one that does not answer holds up neither the logins of the
others nor a rule that denies. Without its keys its own logins are denied, and fetching goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that decides, made from one reading of the files."""

    settings: Settings
    digest: str
    """SHA-256 over the files, hex."""
    policy: Policy
    verifiers: Verifiers
    panel: Panel | None = None
    """The deciders that rules ask; None if there are none."""
    revocations: RevocationFile
    """Of the service, not of this generation: a reload takes them over."""
    sockets: Mapping[Path, LoginSocket]
    certificates: Mapping[str, str] = field(default_factory=dict)
    """Servers on other hosts: server names by what their certificates say."""
    tls: TlsFiles | None = None
    """What the listener for them shows; None if there is none. A reload that names the same files takes it over."""
    warnings: tuple[str, ...]
    leeway: float
    """Seconds that a database server's clock may differ from ours."""
    loaded_at: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    """Epoch milliseconds."""

    async def aclose(self) -> None:
        """Nothing is decided by it any more: stop fetching keys, let questions under way end, forget all answers."""
        if self.panel is not None:
            self.revocations.listeners.discard(self.panel.forget_revoked)
            await self.panel.aclose()
        await self.verifiers.aclose()

    def places(self) -> tuple[object, ...]:
        """Where this generation listens and writes; other places take a restart."""
        logins = frozenset((login.path, login.gid) for login in self.sockets.values())
        tls = self.settings.listen.tls and self.settings.listen.tls.address
        return (logins, tls, self.settings.admin, self.settings.http, self.settings.audit, self.settings.state)

    def caller_by_certificate(self, names: tuple[str, ...]) -> str | None:
        """The server with a certificate of these `names`; None if it is none of ours, or could be more than one."""
        callers = {self.certificates[name] for name in names if name in self.certificates}
        return callers.pop() if len(callers) == 1 else None


def read_file(path: Path) -> Loaded[Compiled]:
    """Load and compile pgbearer.yaml and what is in ``policy.d``. No I/O but that; may run in a thread.

    Raises:
        ConfigError: with every problem in it.
    """
    return load(path, compile_policy)


def build_state(loaded: Loaded[Compiled], sockets: Mapping[Path, LoginSocket], previous: State | None = None) -> State:
    """What a loaded file comes to on this machine, for the event loop that calls.

    Args:
        loaded: the file.
        sockets: what its `servers` come to (`pgbearer.service.callers.login_sockets`).
        previous: hands over revocations, and keys of unchanged issuers.

    Raises:
        UsageError: a file that an issuer, a decider or the listener names cannot be used.
    """
    settings = loaded.settings
    revocations = previous.revocations if previous else RevocationFile(settings.state.folder)
    leeway = max(issuer.leeway for issuer in settings.issuers.values())
    state = State(
        settings=settings,
        digest=loaded.digest,
        policy=loaded.checked.policy,
        verifiers=build_verifiers(
            settings, previous=previous.verifiers if previous else None, revoked=revocations.current
        ),
        panel=build_panel(settings),
        revocations=revocations,
        sockets=sockets,
        certificates={
            server.certificate: name for name, server in settings.servers.items() if server.certificate is not None
        },
        tls=_tls(settings, previous),
        warnings=tuple(str(problem) for problem in loaded.warnings if problem.severity == "warning"),
        leeway=max(1.0, float(leeway)),  # a request takes time to arrive, whatever the issuer's leeway
    )
    if state.panel is not None:
        revocations.listeners.add(state.panel.forget_revoked)
    return state


def _tls(settings: Settings, previous: State | None) -> TlsFiles | None:
    """Files that are in use already are not read again: what has become of them holds up no change of the settings."""
    if settings.listen.tls is None:
        return None
    if previous is not None and previous.tls is not None and previous.tls.settings == settings.listen.tls:
        return previous.tls
    return TlsFiles(settings.listen.tls)
