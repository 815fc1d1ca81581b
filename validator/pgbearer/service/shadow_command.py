"""Commands to compare with a candidate: the file is read as strictly as if it were to be enforced."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from pgbearer.config import ConfigError, Settings
from pgbearer.config.section import AbsolutePath, Section
from pgbearer.service.command import RefusedCommandError
from pgbearer.service.shadow import Shadow
from pgbearer.service.shadow_tally import Candidate
from pgbearer.service.state import State, read_file

__all__ = ["StartShadow", "StopShadow", "start_shadow", "stop_shadow"]


class StartShadow(Section):
    """The command to compare with the policy in a file."""

    file: AbsolutePath
    """As the service sees it; it and its folder must be root's or the service's."""


class StopShadow(Section):
    """The command to compare no more."""


async def start_shadow(command: StartShadow, shadow: Shadow, state: State, *, peer_uid: int) -> dict[str, Any]:
    """Read the file, and compare from the next login on.

    Args:
        command: names the file.
        shadow: compares.
        state: in force; for what the candidate says and is not compared.
        peer_uid: who asks.

    Returns:
        The summary, and `warnings`: of the file, and about what is not compared.

    Raises:
        RefusedCommandError: the file cannot be used, with every problem in it; or something is compared already.
        AuditUnavailable: it could not be recorded, and is not begun.
    """
    if not command.file.is_absolute():
        raise RefusedCommandError("the file must be an absolute path")
    try:
        loaded = await asyncio.to_thread(read_file, command.file)
    except ConfigError as error:
        problems = tuple(str(problem) for problem in error.problems)
        raise RefusedCommandError(f"{command.file} cannot be used", problems=problems) from None
    if shadow.candidate is not None:
        raise RefusedCommandError("a candidate is being compared already; stop it first", 409)
    candidate = Candidate(
        file=command.file,
        digest=loaded.digest,
        policy=loaded.checked.policy,
        since=time.time_ns() // 1_000_000,
    )
    shadow.start(candidate, peer_uid=peer_uid)
    warned = [str(problem) for problem in loaded.warnings if problem.severity == "warning"]
    warnings = [*warned, *_not_compared(loaded.settings, state.settings)]
    return {**shadow.summary(), "warnings": warnings}


def stop_shadow(shadow: Shadow, *, peer_uid: int) -> dict[str, Any]:
    """Compare no more.

    Returns:
        The summary of what came out.

    Raises:
        RefusedCommandError: nothing is compared.
        AuditUnavailable: it could not be recorded, and goes on.
    """
    if shadow.candidate is None:
        raise RefusedCommandError("no candidate is being compared", 409)
    shadow.stop(peer_uid=peer_uid)
    return shadow.summary()


def _not_compared(candidate: Settings, enforced: Settings) -> Iterator[str]:
    """What the candidate says otherwise about things that are settled before a policy is asked."""
    for name, issuer in candidate.issuers.items():
        if enforced.issuers.get(name) != issuer:
            yield f"issuers.{name} is not that of the file in force, by which tokens are verified: not compared"
    for name in enforced.issuers.keys() - candidate.issuers.keys():
        yield f"issuers.{name} is not in the candidate: its tokens are still verified by the file in force"
