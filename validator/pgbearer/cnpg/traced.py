"""Where a spec has what is wrong with the policy that is made of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pgbearer.cnpg.draft import identities
from pgbearer.cnpg.issuers import issuers_of
from pgbearer.cnpg.policy_text import KEY, judge_policy
from pgbearer.cnpg.spec import Spec
from pgbearer.config import KeyPath, Problem
from pgbearer.config.yaml_file import parse_yaml

__all__ = ["policy_problems"]

_OF_ISSUER: Final = frozenset({"issuer", "audience", "clients"})
"""Keys that the spec has too."""
_OF_ROLE: Final[Mapping[str, str]] = {"name": "name", "any_role": "given_by", "any_group": "given_by"}
"""What the spec says of a role, by the rule's key."""


def policy_problems(text: str, spec: Spec) -> Iterator[Problem]:
    """What the service would say of the policy `text`, but what it merely tells of, with paths of the spec's. Pure."""
    rules = [rule["name"] for rule in parse_yaml(text).value["rules"]]
    for problem in judge_policy(text)[1]:
        if problem.severity != "notice":
            path = _in_spec(problem.path, rules, spec) or (KEY, *problem.path)
            yield replace(problem, path=path, line=None, column=None)


def _in_spec(path: KeyPath, rules: Sequence[Any], spec: Spec) -> KeyPath | None:
    match path:
        case ("issuers", name, str(key), *rest) if key in _OF_ISSUER:
            return next(((*each.path, key, *rest) for each in issuers_of(spec) if each.name == name), None)
        case ("rules", int(index), str(key), *rest) if key in _OF_ROLE:
            called = [at for at, role in identities(spec) if role.name == rules[index]]
            return (*called[rules[:index].count(rules[index])], _OF_ROLE[key], *rest)
    return None
