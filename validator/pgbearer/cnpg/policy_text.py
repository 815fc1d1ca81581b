"""pgbearer.yaml as a ConfigMap has it: what the service would say of it, without the files that it names."""

from pgbearer.config import Issuer, Problem, Settings
from pgbearer.config.checks import CHECKS
from pgbearer.config.decode import decode
from pgbearer.config.yaml_file import parse_yaml
from pgbearer.policy import compile as compile_policy

__all__ = ["KEY", "judge_policy", "line_issuer", "read_policy"]

KEY = "pgbearer.yaml"
"""Of the ConfigMap."""


def judge_policy(text: str) -> tuple[Settings | None, tuple[Problem, ...]]:
    """The settings, None if they would be refused, and everything that there is to say of them. Pure."""
    document = parse_yaml(text)
    decoded = decode(document, Settings)
    found = [*document.problems, *decoded.problems]
    if decoded.settings is not None:
        found += [problem for check in CHECKS for problem in check(decoded.settings)]
        found += compile_policy(decoded.settings).problems
    good = not any(problem.is_error for problem in found)
    return decoded.settings if good else None, tuple(found)


def read_policy(text: str) -> Settings | None:
    """The settings; None if they would be refused."""
    return judge_policy(text)[0]


def line_issuer(issuer: Issuer) -> str:
    """The issuer as lines of pg_hba name it."""
    return issuer.spiffe.iss or issuer.issuer if issuer.spiffe else issuer.issuer
