"""A spec to manifests: what comes with pgbearer, and what the spec changes. Refused if people get in beside OAuth.

The same twice: as objects to be applied, and as patches for kustomize, which are the differences.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pgbearer.cnpg import shipped
from pgbearer.cnpg.change import changed
from pgbearer.cnpg.check import check_text
from pgbearer.cnpg.draft import Draft, identities, judge_spec
from pgbearer.cnpg.finding import Finding
from pgbearer.cnpg.issuers import issuers_of
from pgbearer.cnpg.notes import notes
from pgbearer.cnpg.policy_text import KEY
from pgbearer.cnpg.shipped import CLUSTER_WIDE, Object
from pgbearer.cnpg.spec import Spec
from pgbearer.cnpg.traced import policy_problems
from pgbearer.cnpg.written import written
from pgbearer.config import KeyPath, Problem
from pgbearer.hba import parse

__all__ = ["Rendered", "render"]

_ADMITS: Final = frozenset({"hba_trust", "hba_plaintext", "beside_oauth", "named_beside_oauth", "replication"})
"""What a line may be found to do that is said to be insecure."""
_OF_POLICY: Final = frozenset({"policy_refused", "policy_warning"})
"""Which are told with paths of the policy, or keep nobody from applying it."""
_NAMESPACE: Final = "/metadata/namespace"
_ELSEWHERE: Final = frozenset({_NAMESPACE, f"/data/{KEY}"})
"""What no patch of one object changes: one of all does, and a file."""
_WITHOUT_NAMESPACE: Final[Mapping[str, Any]] = {
    "target": {"kind": "Namespace"},
    "patch": "$patch: delete\napiVersion: v1\nkind: Namespace\nmetadata: {name: any}\n",
}
_DECIDE_WHAT_IS_MADE: Final = frozenset({"mesh", "workloads", "spire", "trust_config_map"})
"""Keys that say what is put together: if they do not go together, nothing is."""
_CERTIFICATES: Final[Mapping[str, Sequence[str]]] = {
    "cert-manager": ["certificates-cert-manager"],
    "external": ["secrets-external"],
    "secret": [],
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """Manifests, and the same as differences from what comes with pgbearer."""

    objects: Sequence[Object]
    components: Sequence[str]
    patches: Sequence[Mapping[str, Any]]
    """As kustomize takes them; without the policy, which is a file of its own in a folder."""
    notes: Sequence[Problem] = ()
    """What is to be known of the spec, with its place."""

    def text(self) -> str:
        """One stream, as ``kubectl apply -f -`` takes it."""
        return "---\n".join(map(written, self.objects))

    @property
    def policy(self) -> str:
        """The text of pgbearer.yaml."""
        text: str = next(each["data"][KEY] for each in self.objects if each["kind"] == "ConfigMap")
        return text


def render(draft: Draft) -> Rendered:
    """Make the manifests of a spec.

    Raises:
        ConfigError: with everything that is wrong with it, or with what would come of it: it lets people in beside
            OAuth by a line that is not among ``insecure_lines``, or the policy would be refused.
    """
    judged = list(judge_spec(draft.spec))
    problems = [*draft.problems, *filter(draft.can_tell, judged)]
    unfit = _DECIDE_WHAT_IS_MADE & {problem.path[0] for problem in (*draft.problems, *judged)}  # told of or not
    spec = draft.spec.model_copy(update=dict.fromkeys(map(str, unfit)))
    made = _made(spec)
    if draft.problems or unfit:
        raise draft.refusal([*problems, *filter(draft.can_tell, [*_of_lines(spec), *_of_own_lines(made.text(), spec)])])
    told = {problem.path for problem in problems}
    of_policy = [each for each in policy_problems(made.policy, spec) if each.path not in told]
    problems += [*filter(_is_error, of_policy), *_of_lines(spec), *_of_cluster(made.text(), spec)]
    if problems:
        raise draft.refusal(problems)
    return replace(made, notes=draft.placed([*notes(spec), *of_policy]))


def _made(spec: Spec) -> Rendered:
    components = _components(spec)
    before = shipped.assemble(components)
    after = changed(before, spec)
    patches: list[Mapping[str, Any]] = [
        patch for old, new in zip(before, after, strict=True) if (patch := _patch(old, new))
    ]
    if spec.namespace_exists:
        after = [each for each in after if each["kind"] != "Namespace"]
        patches = [*(each for each in patches if each["target"]["kind"] != "Namespace"), _WITHOUT_NAMESPACE]
    return Rendered(after, components, [*patches, _in_namespace(after, spec.namespace)])


def _components(spec: Spec) -> list[str]:
    sidecar = ["sidecar", "sidecar/policy"]
    made = sidecar if spec.mode == "sidecar" else ["service", *_CERTIFICATES[spec.certificates]]
    if spec.trust_config_map:
        made.append("trust")
    if spec.mesh:
        made.append(f"mesh-{spec.mesh}")
    if spec.workloads:
        made += ["kubernetes-workloads", "kubernetes-workloads/policy"]
    if spec.spire:
        made += ["spire", "spire/policy", *(["spire-federation"] if spec.spire.federated else [])]
    if spec.monitoring:
        made.append("monitoring")
    return made


def _patch(old: Object, new: Object) -> dict[str, Any] | None:
    """A patch of kustomize's (RFC 6902) that makes `new` of `old`; None if they are equal."""
    operations = [each for each in _differences(old, new, "") if each["path"] not in _ELSEWHERE]
    if not operations:
        return None
    return {
        "target": {"kind": old["kind"], "name": f"^{old['metadata']['name']}$"},
        "options": {"allowNameChange": True},
        "patch": written(operations),
    }


def _in_namespace(objects: Sequence[Object], namespace: str) -> dict[str, Any]:
    """One for all: kustomize's own ``namespace:`` would put kinds that it does not know into one that have none."""
    kinds = sorted({each["kind"] for each in objects} - CLUSTER_WIDE)
    operation = {"op": "add", "path": _NAMESPACE, "value": namespace}
    return {"target": {"kind": "|".join(kinds)}, "patch": written([operation])}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[dict[str, Any]]:
    for key in [*old, *(key for key in new if key not in old)]:
        here = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in new:
            yield {"op": "remove", "path": here}
        elif key not in old:
            yield {"op": "add", "path": here, "value": new[key]}
        elif isinstance(old[key], dict) and isinstance(new[key], dict):
            yield from _differences(old[key], new[key], here)
        elif old[key] != new[key]:
            yield {"op": "replace", "path": here, "value": new[key]}


def _is_error(problem: Problem) -> bool:
    return problem.is_error


def _of_cluster(text: str, spec: Spec) -> Iterator[Problem]:
    first = 0 if spec.break_glass is None else 1
    insecure = len(spec.insecure_lines)
    for finding in check_text(text, "what comes of it", [spec.images.service]):
        if finding.code in _OF_POLICY:
            continue
        index = _index(finding.path, first)
        if index is None or not 0 <= index < insecure + len(spec.lines):
            if finding.counts:
                ours = None if index is None else index - insecure - len(spec.lines)
                yield _problem(finding, _in_spec(finding, spec, ours), finding.hint)
        elif index >= insecure:
            hint = "write it under insecure_lines if that is meant" if finding.code in _ADMITS else finding.hint
            yield _problem(finding, ("lines", index - insecure), hint)
        elif finding.code not in _ADMITS:
            yield _problem(finding, ("insecure_lines", index), finding.hint)


def _of_own_lines(text: str, spec: Spec) -> Iterator[Problem]:
    """What is wrong with the spec's lines whatever else it says: what others of its keys are is not known."""
    for problem in _of_cluster(text, spec):
        if problem.path[0] in ("lines", "insecure_lines") and problem.message.startswith((*_ADMITS, "hba_")):
            yield problem


def _of_lines(spec: Spec) -> Iterator[Problem]:
    """A certificate is as good as a token for roles that nobody else is, and beside it for those that people are."""
    people = {role.name for _, role in identities(spec)} | {"postgres", "streaming_replica"}
    for index, text in enumerate(spec.lines):
        for line in parse(text, ("pgbearer",)).lines:
            named = sorted({token.text for token in line.users} & people)
            if line.method == "cert" and named:
                message = f"beside_oauth: cert lets {', '.join(named)} in without a token"
                hint = "write it under insecure_lines if that is meant"
                yield Problem(path=("lines", index), message=message, hint=hint)


def _index(path: KeyPath, first: int) -> int | None:
    """Of a line of pg_hba, counted from the first that the spec brings; None for everything else."""
    match path:
        case ("spec", "postgresql", "pg_hba", int(index)):
            return index - first
    return None


def _in_spec(finding: Finding, spec: Spec, line: int | None) -> KeyPath:
    """Where the spec has an image or a scope that something was found of; for everything else the path in what is made.

    Args:
        finding: what was found.
        spec: the spec.
        line: which of the lines for its issuers it was found of, if of one.
    """
    if finding.code == "audience_other" and line is not None:
        return (*issuers_of(spec)[line].path, "scope")
    match finding.path:
        case ("spec", "imageName"):
            return ("images", "postgres")
        case ("spec", "postgresql", "extensions", int(), "image", "reference"):
            return ("images", "module")
        case ("metadata", "annotations", _) | (*_, "image") if finding.code in ("image_floating", "image_elsewhere"):
            return ("images", "service")
    return finding.path


def _problem(finding: Finding, path: KeyPath, hint: str) -> Problem:
    return Problem(path=path, message=f"{finding.code}: {finding.message}", hint=hint)
