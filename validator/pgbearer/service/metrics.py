"""What is counted and measured: one table, from which the metrics are made and the reference page is written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from pgbearer.audit import Inquiry
from pgbearer.deciders import SeatStatus
from pgbearer.tokens import KeyStatus
from pgbearer.wire import Allowed, Answer, Reason

__all__ = ["TABLE", "Measure", "Metrics", "family"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric: its name, kind, meaning and labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()


DECISIONS: Final = Measure(
    "pgbearer_decisions_total", "counter", "Logins decided, by asking server and reason.", ("server", "reason")
)
DECISION_SECONDS: Final = Measure(
    "pgbearer_decision_seconds", "histogram", "Time from a complete request to its recorded decision.", ("decision",)
)
FAULTS: Final = Measure(
    "pgbearer_request_faults_total",
    "counter",
    "Connections that brought no request to decide, by HTTP status.",
    ("status",),
)
IN_FLIGHT: Final = Measure("pgbearer_in_flight", "gauge", "Connections of known servers under way.")
CROWDED: Final = Measure(
    "pgbearer_crowded_total",
    "counter",
    "Connections of known servers that found no place: limits.in_flight, or the server's share of it, was taken.",
    ("server",),
)
AUDIT_FAILURES: Final = Measure("pgbearer_audit_failures_total", "counter", "Records that could not be written.")
AUDIT_OK: Final = Measure("pgbearer_audit_ok", "gauge", "1 while records can be written and synced.")
RELOADS: Final = Measure(
    "pgbearer_config_reloads_total", "counter", "Readings of the file after the first, by result.", ("result",)
)
CONFIG_OK: Final = Measure(
    "pgbearer_config_ok", "gauge", "1 if the file as it stands is in force; 0 if it was refused."
)
CONFIG_LOADED: Final = Measure(
    "pgbearer_config_loaded_timestamp_seconds", "gauge", "When the file in force was loaded, seconds since the epoch."
)
CONFIG_INFO: Final = Measure("pgbearer_config_info", "gauge", "1, with the digest of the file in force.", ("digest",))
READY: Final = Measure("pgbearer_ready", "gauge", "1 if /readyz says ready.")
KEYS: Final = Measure("pgbearer_issuer_keys", "gauge", "Usable signing keys of an issuer.", ("issuer",))
KEYS_READY: Final = Measure(
    "pgbearer_issuer_ready", "gauge", "1 while tokens of an issuer can be verified.", ("issuer",)
)
KEYS_AGE: Final = Measure(
    "pgbearer_issuer_keys_age_seconds", "gauge", "Time since an issuer's keys were last fetched.", ("issuer",)
)
FETCHES: Final = Measure("pgbearer_issuer_fetches_total", "counter", "Fetches of an issuer's keys.", ("issuer",))
FETCH_FAILURES: Final = Measure(
    "pgbearer_issuer_fetch_failures_total", "counter", "Fetches of an issuer's keys that failed.", ("issuer",)
)
SHADOW: Final = Measure(
    "pgbearer_shadow_decisions_total",
    "counter",
    "Logins compared with a candidate policy, by result: same, a kind of difference, or skipped.",
    ("result",),
)
SHADOW_RUNNING: Final = Measure("pgbearer_shadow_running", "gauge", "1 while a candidate policy is compared.")
ISSUER_LOGINS: Final = Measure(
    "pgbearer_issuer_logins_total", "counter", "Logins whose token passed every check, by issuer.", ("issuer",)
)
ISSUER_LAST: Final = Measure(
    "pgbearer_issuer_last_login_timestamp_seconds",
    "gauge",
    "When the last such login by an issuer was, seconds since the epoch; absent until there is one.",
    ("issuer",),
)
MOVE_ENDS: Final = Measure(
    "pgbearer_issuer_replaced_timestamp_seconds",
    "gauge",
    "From when on tokens of an issuer that is replaced are refused, seconds since the epoch.",
    ("issuer", "replaced_by"),
)
QUESTIONS: Final = Measure(
    "pgbearer_decider_questions_total",
    "counter",
    "Questions to deciders, by answer and by where it is from: decider, cache, breaker or limit.",
    ("decider", "answer", "source"),
)
QUESTION_SECONDS: Final = Measure(
    "pgbearer_decider_seconds", "histogram", "Time that a decider took for a question that it was asked.", ("decider",)
)
BREAKER_OPEN: Final = Measure(
    "pgbearer_decider_breaker_open", "gauge", "1 while a decider is left alone after faults.", ("decider",)
)
ASKING: Final = Measure("pgbearer_decider_asking", "gauge", "Questions to a decider under way.", ("decider",))
REVOCATIONS: Final = Measure("pgbearer_revocations", "gauge", "Revocations in force.")
REVOCATIONS_FORGOTTEN: Final = Measure(
    "pgbearer_revocations_forgotten",
    "gauge",
    "Revocations that the audit told of at the start and the state folder did not have.",
)
TLS_REFUSED: Final = Measure(
    "pgbearer_tls_refused_total",
    "counter",
    "Connections over the network that were not let ask: handshake (it failed), slow, crowded (most are from there), "
    "request (no request came of it), unknown (a certificate of no server under servers:).",
    ("reason",),
)
TLS_RENEWALS: Final = Measure(
    "pgbearer_tls_renewals_total", "counter", "Changes of the files of listen.tls, by result.", ("result",)
)
TLS_OK: Final = Measure(
    "pgbearer_tls_ok", "gauge", "1 if the files of listen.tls as they stand are in use; 0 if they were refused."
)
TLS_EXPIRES: Final = Measure(
    "pgbearer_tls_certificate_expires_timestamp_seconds",
    "gauge",
    "Until when the certificate in use is good, seconds since the epoch; 0 without listen.tls.",
)
CALLER_EXPIRES: Final = Measure(
    "pgbearer_caller_certificate_expires_timestamp_seconds",
    "gauge",
    "Until when the certificate is good that a server over the network showed last, seconds since the epoch; absent "
    "until it asks, and anew when another file has come into force.",
    ("server",),
)
ADMIN_CALLS: Final = Measure(
    "pgbearer_admin_calls_total", "counter", "Questions and commands on the admin socket, by status.", ("status",)
)

TABLE: Final = (
    DECISIONS,
    DECISION_SECONDS,
    FAULTS,
    IN_FLIGHT,
    CROWDED,
    AUDIT_FAILURES,
    AUDIT_OK,
    RELOADS,
    CONFIG_OK,
    CONFIG_LOADED,
    CONFIG_INFO,
    READY,
    KEYS,
    KEYS_READY,
    KEYS_AGE,
    FETCHES,
    FETCH_FAILURES,
    ISSUER_LOGINS,
    ISSUER_LAST,
    MOVE_ENDS,
    SHADOW,
    SHADOW_RUNNING,
    QUESTIONS,
    QUESTION_SECONDS,
    BREAKER_OPEN,
    ASKING,
    REVOCATIONS,
    REVOCATIONS_FORGOTTEN,
    TLS_REFUSED,
    TLS_RENEWALS,
    TLS_OK,
    TLS_EXPIRES,
    CALLER_EXPIRES,
    ADMIN_CALLS,
)
"""Every metric of ours, in the order of the reference page."""

_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)


class Metrics:
    """The metrics in a registry of their own, with those of the process (``process_resident_memory_bytes`` ...)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._decisions = self._counter(DECISIONS)
        self._seconds = Histogram(
            DECISION_SECONDS.name,
            DECISION_SECONDS.meaning,
            DECISION_SECONDS.labels,
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._allowed, self._refused = (self._seconds.labels(decision) for decision in ("allow", "deny"))
        self.faults = self._counter(FAULTS)
        self.in_flight = self._gauge(IN_FLIGHT)
        self.crowded = self._counter(CROWDED)
        self.audit_failures = self._counter(AUDIT_FAILURES)
        self.audit_ok = self._gauge(AUDIT_OK)
        self.reloads = self._counter(RELOADS)
        self.config_ok = self._gauge(CONFIG_OK)
        self.config_loaded = self._gauge(CONFIG_LOADED)
        self._config_info = self._gauge(CONFIG_INFO)
        self.ready = self._gauge(READY)
        self.shadow = self._counter(SHADOW)
        self.shadow_running = self._gauge(SHADOW_RUNNING)
        self._questions = self._counter(QUESTIONS)
        self._question_seconds = Histogram(
            QUESTION_SECONDS.name,
            QUESTION_SECONDS.meaning,
            QUESTION_SECONDS.labels,
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.revocations = self._gauge(REVOCATIONS)
        self.revocations_forgotten = self._gauge(REVOCATIONS_FORGOTTEN)
        self.tls_refused = self._counter(TLS_REFUSED)
        self.tls_renewals = self._counter(TLS_RENEWALS)
        self.tls_ok = self._gauge(TLS_OK)
        self.tls_expires = self._gauge(TLS_EXPIRES)
        self.caller_expires = self._gauge(CALLER_EXPIRES)
        self.admin_calls = self._counter(ADMIN_CALLS)

    def decided(self, server: str | None, answer: Answer, *, seconds: float) -> None:
        """Count one decision. `server` is None for a caller that is none of ours."""
        allowed = isinstance(answer, Allowed)
        reason = Reason.ALLOWED if isinstance(answer, Allowed) else answer.reason
        self._decisions.labels(server or "", reason.value).inc()
        (self._allowed if allowed else self._refused).observe(seconds)

    def asked(self, inquiries: Iterable[Inquiry]) -> None:
        """Count what deciders were asked for one decision."""
        for one in inquiries:
            self._questions.labels(one.decider, one.answer, one.source).inc()
            if one.source == "decider":
                self._question_seconds.labels(one.decider).observe(one.seconds)

    def loaded(self, digest: str, at: float) -> None:
        """Another file is in force, since `at` (epoch seconds)."""
        self._config_info.clear()
        self._config_info.labels(digest).set(1)
        self.caller_expires.clear()  # other servers may be ours now
        self.config_loaded.set(at)
        self.config_ok.set(1)

    def watch(self, collector: Collector) -> None:
        """Ask `collector` whenever metrics are read."""
        self.registry.register(collector)

    def watch_keys(self, status: Callable[[], Iterable[KeyStatus]]) -> None:
        """Ask `status` for how keys stand whenever metrics are read."""
        self.registry.register(_KeysCollector(status))

    def watch_deciders(self, status: Callable[[], Iterable[SeatStatus]]) -> None:
        """Ask `status` for how deciders stand whenever metrics are read."""
        self.registry.register(_DecidersCollector(status))

    def exposition(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self.registry)

    def _counter(self, measure: Measure) -> Counter:
        return Counter(measure.name, measure.meaning, measure.labels, registry=self.registry)

    def _gauge(self, measure: Measure) -> Gauge:
        return Gauge(measure.name, measure.meaning, measure.labels, registry=self.registry)


class _KeysCollector:
    """Reads the key sets instead of being told of every change."""

    def __init__(self, status: Callable[[], Iterable[KeyStatus]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        families = {measure.name: family(measure) for measure in (KEYS, KEYS_READY, KEYS_AGE, FETCHES, FETCH_FAILURES)}
        for one in self._status():
            families[KEYS.name].add_metric([one.issuer], len(one.keys))
            families[KEYS_READY.name].add_metric([one.issuer], one.ready)
            families[FETCHES.name].add_metric([one.issuer], one.fetches)
            families[FETCH_FAILURES.name].add_metric([one.issuer], one.failures)
            if one.age is not None:
                families[KEYS_AGE.name].add_metric([one.issuer], one.age)
        return families.values()


class _DecidersCollector:
    """Reads the deciders instead of being told of every question."""

    def __init__(self, status: Callable[[], Iterable[SeatStatus]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        breaker_open, asking = family(BREAKER_OPEN), family(ASKING)
        for one in self._status():
            breaker_open.add_metric([one.name], one.breaker != "closed")
            asking.add_metric([one.name], one.asking)
        return breaker_open, asking


def family(measure: Measure) -> CounterMetricFamily | GaugeMetricFamily:
    """An empty family of samples, for a collector."""
    family = CounterMetricFamily if measure.kind == "counter" else GaugeMetricFamily
    return family(measure.name, measure.meaning, labels=measure.labels)
