"""How logins to a running Cluster are: which policy is live where, what is ready, what ends when, who gets in."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509

from pgbearer.cnpg.called import SERVICE, secrets_of, service_of
from pgbearer.cnpg.finding import Finding
from pgbearer.cnpg.in_cluster import NAME, Source, ask_instance, get_cluster
from pgbearer.cnpg.kubectl import RefusedError
from pgbearer.cnpg.stream import listing, mapping, text

__all__ = ["Certificate", "Replica", "Status", "look"]

_CONTAINER: Final = "pgbearer"
_SOON: Final = timedelta(days=7)
"""What ends within it should have been renewed."""
_ASK: Final = ("pgbearer", "config", "live", "--json")


@dataclass(frozen=True, slots=True)
class Replica:
    """One service. What it did not say is None."""

    pod: str
    ready: bool
    digest: str | None = None
    current: bool | None = None
    """Whether the file as it stands is in force."""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """One that ends."""

    secret: str
    ends: str | None
    """As RFC 3339 has it."""
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Of one Cluster."""

    cluster: str
    phase: str
    instances: int
    ready_instances: int
    primary: str
    replicas: Sequence[Replica]
    certificates: Sequence[Certificate]
    findings: Sequence[Finding]
    problems: Sequence[str]

    @property
    def well(self) -> bool:
        """Whether there is nothing to mend."""
        troubled = [*filter(None, (each.problem for each in self.replicas)), *self._certificates_in_trouble()]
        unready = [each for each in self.replicas if not each.ready or not each.current]
        found = [each for each in self.findings if each.counts]
        complete = self.instances == self.ready_instances and bool(self.replicas)
        return complete and not (troubled or unready or found or self.problems)

    def _certificates_in_trouble(self) -> list[Certificate]:
        return [each for each in self.certificates if each.problem]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "ok": self.well,
            "cluster": self.cluster,
            "phase": self.phase,
            "instances": self.instances,
            "ready_instances": self.ready_instances,
            "primary": self.primary,
            "services": [asdict(each) for each in self.replicas],
            "certificates": [asdict(each) for each in self.certificates],
            "problems": list(self.problems),
            "findings": [each.as_json() for each in self.findings],
        }


def look(source: Source, cluster: str, now: datetime | None = None) -> Status:
    """Ask for all of it. What cannot be had is a problem of its own, and does not keep the rest from being told.

    Args:
        source: answers.
        cluster: its name, in the namespace of `source`.
        now: None for the current moment.

    Raises:
        UsageError: there is no kubectl, or `cluster` is no name.
        UnreachableError: the Kubernetes cluster does not answer.
        RefusedError: there is no such Cluster, or we may not see it.
    """
    found = get_cluster(source, cluster)
    said = mapping(found.get("status"))
    problems: list[str] = []
    beside = [pod for pod in _pods(source, f"cnpg.io/cluster={cluster}", problems) if _statuses(pod)]
    service, apart = _service(source, [service_of(cluster), *([] if beside else [SERVICE])], problems)
    replicas = [_replica(source, pod) for pod in (*apart, *beside) if _statuses(pod)]
    if not replicas:
        problems.append("no pod has a container named pgbearer: nobody decides")
    if len({each.digest for each in replicas if each.digest}) > 1:
        problems.append("not all services go by the same policy; a change takes about a minute to reach every pod")
    primary = text(said.get("currentPrimary"))
    moment = now or datetime.now(UTC)
    return Status(
        cluster=cluster,
        phase=text(said.get("phase")),
        instances=_number(mapping(found.get("spec")).get("instances")),
        ready_instances=_number(said.get("readyInstances")),
        primary=primary,
        replicas=replicas,
        certificates=[
            *(_secret(source, name, moment) for name in (secrets_of(service) if apart else ())),
            *_of_the_cluster(mapping(said.get("certificates")), moment),
        ],
        findings=_findings(source, primary, problems),
        problems=problems,
    )


def _service(source: Source, names: Sequence[str], problems: list[str]) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """Its name and its pods: of the first of `names` that has some."""
    for name in dict.fromkeys(names):
        pods = _pods(source, f"app.kubernetes.io/name={name}", problems)
        if pods or problems:
            return name, pods
    return names[0], ()


def _pods(source: Source, selector: str, problems: list[str]) -> Sequence[Mapping[str, Any]]:
    try:
        found = source.json("get", "pods", f"--selector={selector}", "--output=json")
    except RefusedError as error:
        problems.append(error.diagnostics())
        return ()
    pods = [mapping(each) for each in listing(found.get("items"))]
    return [pod for pod in pods if NAME.fullmatch(_name(pod))]


def _name(pod: Mapping[str, Any]) -> str:
    return text(mapping(pod.get("metadata")).get("name"))


def _statuses(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of our containers in it, sidecars too."""
    status = mapping(pod.get("status"))
    found = [each for key in ("initContainerStatuses", "containerStatuses") for each in listing(status.get(key))]
    return [mapping(each) for each in found if mapping(each).get("name") == _CONTAINER]


def _replica(source: Source, pod: Mapping[str, Any]) -> Replica:
    name = _name(pod)
    ready = all(status.get("ready") is True for status in _statuses(pod))
    try:
        said = source.json("exec", name, f"--container={_CONTAINER}", "--", *_ASK)
    except RefusedError as error:
        return Replica(name, ready, problem=error.what)
    refused = "; ".join(str(each) for each in listing(said.get("problems")))
    return Replica(name, ready, text(said.get("digest")) or None, said.get("current") is True, refused or None)


def _secret(source: Source, name: str, now: datetime) -> Certificate:
    """The certificate alone is printed: the key does not even come into this process."""
    try:
        encoded = source.text("get", "secret", name, r"--output=jsonpath={.data.tls\.crt}")
        ends = x509.load_pem_x509_certificate(base64.b64decode(encoded)).not_valid_after_utc
    except RefusedError as error:
        return Certificate(name, None, error.what)
    except ValueError:
        return Certificate(name, None, "holds no certificate as tls.crt")
    return _ending(name, ends, now)


def _of_the_cluster(said: Mapping[str, Any], now: datetime) -> Iterator[Certificate]:
    """The operator's own, whose ends it tells as Go prints a time: ``2027-02-26 17:20:05 +0000 UTC``."""
    for name, written in mapping(said.get("expirations")).items():
        try:
            ends = datetime.strptime(text(written), "%Y-%m-%d %H:%M:%S %z UTC")
        except ValueError:
            yield Certificate(name, None, "its end cannot be read")
            continue
        yield _ending(name, ends, now)


def _ending(name: str, ends: datetime, now: datetime) -> Certificate:
    problem = "has ended" if ends <= now else "ends soon" if ends - now < _SOON else None
    return Certificate(name, ends.isoformat().replace("+00:00", "Z"), problem)


def _findings(source: Source, primary: str, problems: list[str]) -> list[Finding]:
    try:
        return ask_instance(source, primary)
    except RefusedError as error:
        problems.append(error.diagnostics() if error.where else error.what)
        return []


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
