"""From ``deciders:`` in pgbearer.yaml to a panel that can be asked."""

from pathlib import Path

from pgbearer.config import Settings
from pgbearer.config.decider_kinds import AuthZenDecider, KeycloakDecider, OpaDecider
from pgbearer.config.decider_kinds import Decider as DeciderSettings
from pgbearer.config.deciders import DeciderSection, OnFault
from pgbearer.deciders.authzen import AuthZen
from pgbearer.deciders.breaker import Breaker
from pgbearer.deciders.decider import Decider
from pgbearer.deciders.keycloak_uma import KeycloakUma
from pgbearer.deciders.line import Line
from pgbearer.deciders.memory import Memory
from pgbearer.deciders.opa import Opa
from pgbearer.deciders.panel import Panel
from pgbearer.deciders.seat import Seat
from pgbearer.http import Pool

__all__ = ["build_decider", "build_panel"]


def build_panel(settings: Settings) -> Panel | None:
    """All deciders of `settings`; None if there are none. Connects to nothing yet.

    Raises:
        UsageError: a file that a decider names cannot be used.
    """
    seats = {name: _seat(name, decider, settings) for name, decider in settings.deciders.items()}
    return Panel(seats, limit=float(settings.limits.asking)) if seats else None


def build_decider(settings: DeciderSettings, line: Line) -> Decider:
    """The decider of the kind that `settings` are for, reached over `line`."""
    match settings:
        case KeycloakDecider():
            return KeycloakUma(settings, line)
        case AuthZenDecider():
            return AuthZen(settings, line)
        case OpaDecider():
            return Opa(settings, line)


def _seat(name: str, decider: DeciderSettings, settings: Settings) -> Seat:
    pool = Pool(
        ca_file=decider.ca_file,
        certificate=_certificate(decider),
        timeout=float(decider.timeout),
        max_bytes=decider.max_bytes,
        connections=decider.concurrency,
    )
    return Seat(
        name,
        build_decider(decider, Line(pool)),
        breaker=Breaker(decider.breaker.failures, float(decider.breaker.open_for)),
        memory=Memory(seconds=float(decider.cache), last_yes_seconds=float(_longest_last_yes(name, settings))),
        timeout=float(decider.timeout),
        concurrency=decider.concurrency,
        close=pool.aclose,
    )


def _certificate(decider: DeciderSection) -> tuple[Path, Path] | None:
    if decider.client_cert_file is None or decider.client_key_file is None:
        return None
    return decider.client_cert_file, decider.client_key_file


def _longest_last_yes(name: str, settings: Settings) -> int:
    """How long some rule may go on with the decider's last yes, seconds."""
    said = [settings.deciders[name].on_fault]
    said += [
        rule.ask.on_fault for rule in settings.rules if rule.ask and name in rule.ask.deciders and rule.ask.on_fault
    ]
    ages = (one.last_known.max_age for one in said if isinstance(one, OnFault) and one.last_known)
    return max(ages, default=0)
