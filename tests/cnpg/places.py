"""Who is in the cluster that the NetworkPolicies are tried in, and outside of it."""

from typing import Final

from tests.cnpg.network import Place

__all__ = ["PLACES", "PORTS"]

_REACHED: Final = {"pgbearer.example/reached-as": "pg"}
_INSTANCE: Final = {"cnpg.io/cluster": "pg", "cnpg.io/podRole": "instance", **_REACHED}
_MAY: Final = {"pg.databases.pgbearer.example/may-reach": "postgresql"}
_MAY_REACH_OTHERS: Final = {
    "other.databases.pgbearer.example/may-reach": "postgresql",
    "pg.elsewhere.pgbearer.example/may-reach": "postgresql",
}

PLACES: Final = (
    Place("postgres", "10.1.0.1", "databases", {**_INSTANCE, "cnpg.io/instanceRole": "primary"}),
    Place("replica", "10.1.0.2", "databases", {**_INSTANCE, "cnpg.io/instanceRole": "replica"}),
    Place("join job", "10.1.0.3", "databases", {"cnpg.io/cluster": "pg", "cnpg.io/jobRole": "join", **_REACHED}),
    Place("copy", "10.1.0.8", "databases", {**_INSTANCE, "cnpg.io/cluster": "pg-copy"}),
    Place("service", "10.1.0.4", "databases", {"app.kubernetes.io/name": "pgbearer"}),
    Place("neighbour", "10.1.0.5", "databases", {"app": "other"}),
    Place("other cluster", "10.1.0.6", "databases", {"cnpg.io/cluster": "other", "cnpg.io/podRole": "instance"}),
    Place("app", "10.1.1.1", "shop", {"app": "orders"}, {**_MAY_REACH_OTHERS, **_MAY}),
    Place("app of others", "10.1.8.1", "shop2", {"app": "orders"}, _MAY_REACH_OTHERS),
    Place("posing app", "10.1.1.2", "shop", _INSTANCE, _MAY),
    Place("stranger", "10.1.2.1", "other", {"app": "other"}),
    Place("operator", "10.1.3.1", "cnpg-system", {"app.kubernetes.io/name": "cloudnative-pg"}),
    Place("Prometheus", "10.1.4.1", "monitoring", {"app.kubernetes.io/name": "prometheus"}),
    Place("DNS", "10.1.5.1", "kube-system", {"k8s-app": "kube-dns"}),
    Place("Keycloak", "10.1.0.7", "databases", {"app.kubernetes.io/name": "keycloak"}),
    Place("istiod", "10.1.6.1", "istio-system", {"app": "istiod"}),
    Place("Linkerd", "10.1.7.1", "linkerd", {"linkerd.io/control-plane-component": "destination"}),
    Place("outside", "203.0.113.1"),
    Place("metadata", "169.254.169.254"),
)
"""Most issuers and the API server are at addresses, as `outside` is; what a cloud tells its nodes is `metadata`."""

PORTS: Final = {
    22: "TCP",
    53: "UDP",
    443: "TCP",
    4143: "TCP",
    5432: "TCP",
    6443: "TCP",
    8000: "TCP",
    8080: "TCP",
    8086: "TCP",
    8090: "TCP",
    8443: "TCP",
    9187: "TCP",
    15012: "TCP",
}
