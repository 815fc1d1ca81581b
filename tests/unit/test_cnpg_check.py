"""What `pgbearer cnpg check` finds: a change to a Cluster that is well, and the codes that must come of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from pgbearer.cnpg import (
    CODES,
    about_images,
    about_lines,
    about_maps,
    about_objects,
    about_settings,
    check_text,
)
from pgbearer.cnpg.about_settings import SETTINGS
from tests.unit import (
    test_cnpg_check_doors,
    test_cnpg_check_pods,
    test_cnpg_check_roles,
    test_cnpg_check_secrets,
    test_cnpg_check_service,
)
from tests.unit.cnpg_samples import (
    GOOD,
    NO_TOKEN,
    OAUTH,
    SCRATCH,
    Change,
    changed,
    codes,
    findings,
    hba,
    module,
    patch,
    postgresql,
    spec,
)

ROOT = Path(__file__).parents[2]
BREAK_GLASS = "hostssl all breakglass all cert"
REJECT = "host all all all reject"
PLAIN_PATCH = (
    '[{"op": "add", "path": "/spec/volumes/-", "value": {"name": "s", "configMap": {"name": "pgbearer"}}},'
    ' {"op": "add", "path": "/spec/initContainers/-", "value":'
    ' {"name": "pgbearer", "image": "registry.corp.example/pgbearer:1",'
    f' "volumeMounts": [{{"name": "s", "mountPath": "/etc/pgbearer"}}, {json.dumps(NO_TOKEN)}]}}}},'
    f" {json.dumps(SCRATCH)}]"
)

SIDECAR = (
    '[{"op": "add", "path": "/spec/initContainers/-",'
    ' "value": {"name": "pgbearer", "image": "registry.corp.example/pgbearer:1",'
    f' "volumeMounts": [{json.dumps(NO_TOKEN)}]}}}}, {json.dumps(SCRATCH)}]'
)


def parameters(**values: object) -> Change:
    """Set or, with None, take out; two underlines are a dot."""

    def change(cluster: dict[str, Any]) -> None:
        there = cluster["spec"]["postgresql"]["parameters"]
        for name, value in values.items():
            there[name.replace("__", ".")] = value
            if value is None:
                del there[name.replace("__", ".")]

    return change


def role(**values: object) -> Change:
    return lambda cluster: cluster["spec"]["managed"]["roles"].append({"name": "app", **values})


def oauth(change: str, to: str = "") -> Change:
    """The oauth line with one thing said otherwise."""
    assert change in OAUTH
    return hba(BREAK_GLASS, OAUTH.replace(change, to), REJECT)


TABLE: list[tuple[Change, list[str]]] = [
    # The lines
    (hba(OAUTH, "host all all all rejct"), ["hba_syntax", "operator_line_reached"]),
    (hba(OAUTH, "hostssl all all 10.0.0.0/33 cert", REJECT), ["hba_syntax"]),
    (oauth(' scope="openid db:pg"'), ["hba_no_oauth", "hba_syntax"]),
    (oauth("validator=pgbearer", "validator=other"), ["hba_no_oauth", "hba_syntax"]),
    (oauth("validator=pgbearer", "map=x"), ["hba_no_oauth", "hba_syntax"]),
    (hba(OAUTH + " \\", REJECT), ["hba_continues"]),
    (hba("include /etc/more.conf", OAUTH, REJECT), ["hba_elsewhere"]),
    (hba("hostssl all @people all cert", OAUTH, REJECT), ["hba_elsewhere"]),
    (hba(BREAK_GLASS, REJECT), ["hba_no_oauth"]),
    (hba(), ["hba_no_oauth", "operator_line_reached"]),
    (postgresql(pg_hba=None), ["hba_no_oauth", "operator_line_reached"]),
    (hba(REJECT, OAUTH), ["oauth_unreachable"]),
    (hba("hostssl all +people 0.0.0.0/0 scram-sha-256", OAUTH.replace(" all oauth", " 10.0.0.0/8 oauth"), REJECT),
     ["beside_oauth", "oauth_unreachable"]),
    (hba(OAUTH, REJECT, BREAK_GLASS), ["line_unreachable"]),
    (hba(OAUTH, "hostnossl all all all trust", REJECT), ["hba_trust"]),
    (hba("local all all trust", OAUTH, REJECT), ["line_unreachable"]),
    (oauth("hostssl", "host"), ["oauth_plaintext"]),
    (hba(OAUTH, "host app app all scram-sha-256", REJECT), ["hba_plaintext", "named_beside_oauth"]),
    (hba(OAUTH), ["operator_line_reached"]),
    (hba(OAUTH, "hostssl all all all reject"), ["operator_line_reached"]),
    (hba(OAUTH, "host all all 0.0.0.0/0 reject"), ["operator_line_reached"]),
    (hba(OAUTH, 'host "all" all all reject'), ["operator_line_reached"]),
    (hba(OAUTH, "host all all all scram-sha-256"), ["beside_oauth", "hba_plaintext"]),
    (hba("hostssl app +people all ldap ldapprefix=x", OAUTH, REJECT), ["beside_oauth"]),
    (hba("hostssl all all all cert", OAUTH, REJECT), ["beside_oauth", "oauth_unreachable"]),
    (hba("hostssl all /^a all md5", OAUTH, REJECT), ["beside_oauth"]),
    (hba("hostssl all /^app_ all md5", OAUTH.replace("+people", "people"), REJECT), ["named_beside_oauth"]),
    (hba("hostssl all /^peo all md5", OAUTH.replace("+people", "people"), REJECT), ["beside_oauth"]),
    (hba("hostssl all /^(app)_ all md5", OAUTH.replace("+people", "people"), REJECT), ["beside_oauth"]),
    (hba("hostssl /^x /^p all md5", OAUTH.replace("all +people", "app people"), REJECT), ["named_beside_oauth"]),
    (postgresql(ldap={"server": "ldap.example"}, pg_hba=[OAUTH]),
     ["beside_oauth", "operator_line_reached"]),
    (hba(OAUTH, "hostssl all app all scram-sha-256", REJECT), ["named_beside_oauth"]),
    (hba(OAUTH, "hostssl replication copier all cert", REJECT), ["replication"]),
    (oauth("hostssl all", "hostssl all,replication"), ["replication"]),
    (oauth("https://", "http://"), ["issuer_not_https"]),
    (oauth("https://", "https://a@"), ["issuer_not_https"]),
    (oauth("https://issuer.example/realms/corp", "https://["), ["issuer_not_https"]),
    (oauth("openid db:pg"), ["scope_empty"]),
    (oauth("mapping=1", "mapping=true"), ["option_off"]),
    (oauth(" validator=pgbearer"), ["delegate_without_validator"]),
    (oauth("delegate_ident_mapping=1", "map=people"), ["map_missing"]),
    (oauth("delegate_ident_mapping=1"), ["mapping_missing"]),
    (oauth("mapping=1", "mapping=0"), ["mapping_missing"]),
    (hba("hostnossl all all all scram-sha-256", OAUTH, REJECT), ["beside_oauth", "hba_plaintext"]),
    (hba("hostgssenc all all all gss", OAUTH, REJECT), ["beside_oauth", "hba_plaintext"]),
    (hba("host all all 127.0.0.1/32 reject", "host all all ${podselector:apps} trust", OAUTH, REJECT), ["hba_trust"]),
    (hba("host all all ${podselector:a} reject", "host all all ${podselector:b} trust", OAUTH, REJECT), ["hba_trust"]),
    (lambda cluster: (
        parameters(oauth_validator_libraries="pgbearer, other")(cluster),
        oauth("validator=pgbearer", "validator=other")(cluster)), ["validator_other"]),
    (hba(OAUTH, REJECT + " # but ${podselector:a}"), ["hba_vanishes"]),
    (hba(OAUTH, f"host all all ${{podselector:a}} reject\n{REJECT}"), ["hba_vanishes"]),
    (oauth("db:pg", "db:pg ${podselector:a}"), ["hba_vanishes"]),
    (hba(OAUTH, "host all all ${podselector:a} reject # ${podselector:b}", REJECT), ["hba_vanishes"]),
    # The maps
    (postgresql(pg_ident=["cnpg_streaming_replica /.* streaming_replica"]), ["map_of_operator"]),
    (postgresql(pg_ident=["local somebody postgres"]), ["map_of_operator"]),
    (postgresql(pg_ident=['m somebody app\n"local" /.* postgres']), ["map_of_operator"]),
    (postgresql(pg_ident=["lo\\", "cal somebody postgres"]), ["map_of_operator"]),
    (lambda cluster: (
        hba("hostssl all breakglass all cert map=m", OAUTH, REJECT)(cluster),
        postgresql(pg_ident=["m /.* breakglass"])(cluster)), ["map_wide"]),
    (postgresql(pg_ident=["m somebody all"]), ["map_wide"]),
    (postgresql(pg_ident=["include more.conf"]), ["hba_elsewhere"]),
    (postgresql(pg_ident=["m @people app"]), ["hba_elsewhere"]),
    (postgresql(pg_ident=["m /.* breakglass and more"]), ["map_wide"]),
    (postgresql(pg_ident=["m somebody"]), ["hba_syntax"]),
    (postgresql(pg_ident=["m a,b app"]), ["hba_syntax"]),
    # The settings
    (parameters(HBA_FILE="x"), ["parameter_hidden"]),
    (parameters(Oauth_Validator_Libraries="other"), ["parameter_hidden"]),
    (parameters(include="more.conf"), ["parameter_hidden"]),
    (parameters(Include_If_Exists="more.conf"), ["parameter_hidden"]),
    (parameters(**{"work_mem = 1\nhba_file": "x"}), ["parameter_hidden"]),
    (parameters(hba_file="x"), ["parameter_blocked"]),
    (parameters(shared_preload_libraries="x"), ["parameter_blocked"]),
    (parameters(pgbearer__endpoint="x"), ["setting_unknown"]),
    (parameters(oauth_validator_libraries=None), ["library_missing"]),
    (parameters(oauth_validator_libraries="other"), ["hba_no_oauth", "hba_syntax", "library_missing"]),
    (postgresql(shared_preload_libraries=[]), ["preload_missing"]),
    (postgresql(extensions=[]), ["extension_missing"]),
    (parameters(pgbearer__endpoints=None), ["endpoints_missing"]),
    (lambda cluster: (parameters(pgbearer__endpoints="unix:/run/a, unix:/run/b")(cluster), patch("[]")(cluster)),
     ["endpoints_missing"]),
    (parameters(pgbearer__endpoints="tcp://pgbearer:8443"), ["endpoint_invalid"]),
    (parameters(pgbearer__endpoints="http://pgbearer:8443"), ["endpoint_invalid"]),
    (parameters(pgbearer__endpoints="tcp://pgbearer:99999?hostname=pgbearer"), ["endpoint_invalid"]),
    (parameters(pgbearer__endpoints="unix:login.sock"), ["endpoint_invalid"]),
    (parameters(pgbearer__tls_ca_file=None), ["ca_missing"]),
    (parameters(pgbearer__tls_ca_file="/etc/ssl/certs/ca-certificates.crt"), ["authority_public"]),
    (parameters(pgbearer__tls_ca_file="//projected/../etc/pki/tls/cert.pem"), ["authority_public"]),
    (parameters(pgbearer__tls_ca_file="/projected/etc/ssl/certs/ca.crt"), []),
    (parameters(pgbearer__forbid_passwords=" "), ["passwords_allowed"]),
    (parameters(max_connections=200), ["shape"]),
    # The object
    (spec(enableSuperuserAccess=True), ["superuser_access"]),
    (spec(imageName="ghcr.io/cloudnative-pg/postgresql:17.6-standard-trixie@sha256:0"), ["version_too_old"]),
    (role(passwordSecret={"name": "x"}), ["role_password"]),
    (spec(imageCatalogRef={"kind": "ImageCatalog", "name": "c", "major": 17}), ["version_too_old"]),
    (spec(imageName="ghcr.io/cloudnative-pg/postgresql:19.0-minimal-trixie"), ["extension_mismatch"]),
    (spec(imageCatalogRef={"kind": "ImageCatalog", "name": "c", "major": 19}), ["extension_mismatch"]),
    (lambda cluster: (
        spec(imageName="r/postgresql:18-minimal-trixie")(cluster), module("r/m:0.1.0-18-bookworm")(cluster)),
     ["extension_mismatch"]),
    (spec(imageName="r/postgresql"), ["image_floating"]),
    (module("r:5000/pgbearer"), ["image_floating"]),
    (module("registry.example/pgbearer-module:0.1.0-18-trixie"), ["image_example"]),
    (patch(SIDECAR.replace("corp.example", "example")), ["image_elsewhere", "image_example"]),
    (patch(PLAIN_PATCH.replace("pgbearer:1", "pgbearer:latest").replace("configMap", "secret")),
     ["image_floating"]),
    (lambda cluster: (parameters(pgbearer__endpoints=None)(cluster), patch("[]")(cluster)), ["endpoints_missing"]),
    (patch("[{"), ["pod_patch"]),
    (patch("{}"), ["pod_patch"]),
    (patch('[{"op": "put", "path": "/spec"}]'), ["pod_patch"]),
    (patch('[{"op": "add", "path": "/spec"}]'), ["pod_patch"]),
    (patch('[{"op": "remove", "path": "spec"}]'), ["pod_patch"]),
    (patch([]), ["pod_patch"]),
    (patch(PLAIN_PATCH), ["volume_not_projected"]),
    (parameters(dynamic_library_path="/run:$libdir"), ["library_elsewhere"]),
    (parameters(session_preload_libraries="/run/x.so"), ["library_elsewhere"]),
    (parameters(local_preload_libraries="pgbearer"), ["library_elsewhere"]),
    (postgresql(extensions=[{"name": "other"}, {"name": "pgbearer"}]), ["extension_before"]),
    (parameters(pgbearer__forbid_passwords="+persons, app"), ["group_not_forbidden"]),
    (lambda cluster: cluster["metadata"].update(name="Pg"), ["name_invalid"]),
    (lambda cluster: cluster["metadata"].update(name="рg"), ["name_invalid"]),
    (lambda cluster: cluster["metadata"].update(name="a" * 51), ["name_invalid"]),
    (lambda cluster: cluster["metadata"].update(name="1pg"), ["name_invalid"]),  # no Service may be called so
    (lambda cluster: cluster["metadata"].update(name=None), ["name_invalid"]),
    (lambda cluster: cluster["metadata"].update(namespace="-a"), ["name_invalid"]),
    (lambda cluster: cluster.update(spec="x"),
     ["hba_no_oauth", "operator_line_reached", "shape"]),
    (postgresql(pg_hba=OAUTH), ["hba_no_oauth", "operator_line_reached", "shape"]),
    (postgresql(pg_hba=[OAUTH, None, 7, REJECT]), ["shape", "shape"]),
]  # fmt: skip

WELL: list[Change] = [
    lambda _: None,
    hba(OAUTH, "hostssl all all all reject", "hostnossl all all all reject"),
    hba(OAUTH, "host all all 0.0.0.0/0 reject", "host all all ::/0 reject"),
    hba(OAUTH, "host all all 0.0.0.0 0.0.0.0 reject", "host all all ::/0 reject"),
    hba("# a comment", OAUTH + " # another", "", REJECT),
    hba(f"{BREAK_GLASS}\n{OAUTH}\n{REJECT}"),
    hba(OAUTH.replace(" all oauth", " ${podselector:apps} oauth"), REJECT),
    lambda cluster: (
        oauth("delegate_ident_mapping=1", "map=people")(cluster),
        postgresql(pg_ident=["people /^(.*)@corp$ \\1"])(cluster),
    ),
    lambda cluster: (parameters(pgbearer__endpoints=None)(cluster), patch(SIDECAR)(cluster)),
    spec(imageName="ghcr.io/cloudnative-pg/postgresql:18.4-minimal-trixie@sha256:" + "0" * 64),
    lambda cluster: (spec(imageName="r/postgresql:18-minimal-trixie")(cluster), module("r/m:0.1.0-18-trixie")(cluster)),
    spec(imageCatalogRef={"kind": "ImageCatalog", "name": "c", "major": 18}),
    module("r/m@sha256:" + "0" * 64),
    lambda cluster: (
        postgresql(extensions=[])(cluster),
        spec(imageName="registry.corp.example/postgres-pgbearer:18")(cluster),
    ),
    role(passwordSecret={"name": "x"}, ensure="absent"),
    parameters(dynamic_library_path="$libdir", session_preload_libraries="auto_explain"),
    parameters(pgbearer__forbid_passwords="app, +people"),
    parameters(pgbearer__forbid_passwords="*"),
    postgresql(extensions=[{"name": "pgbearer"}, {"name": "other"}]),
    parameters(DateStyle="ISO", TimeZone="UTC", pg_stat_statements__max="1"),
    postgresql(pg_ident=["# a comment", "m CN=somebody app", 'm "all" app', "m /^(.*)@corp$ \\1"]),
    patch(PLAIN_PATCH.replace('"configMap": {', '"projected": {"sources": [], "x": {').replace('"}}},', '"}}}},')),
]


@pytest.mark.parametrize(("change", "expected"), TABLE)
def test_what_a_change_comes_to(change: Change, expected: list[str]) -> None:
    assert codes(changed(change)) == expected


@pytest.mark.parametrize("change", WELL)
def test_what_is_well(change: Change) -> None:
    assert findings(changed(change)) == []


ELSEWHERE = {"not_yaml", "yaml", "yaml_ambiguous", "no_cluster", "password_unused"}
"""Codes that other tests see, here, in tests/unit/test_cnpg_hostile.py and in tests/unit/test_cnpg_live.py."""
OF_SERVICE = {code for _, found in test_cnpg_check_service.TABLE for code in found}
OF_PODS = {code for _, found, _ in test_cnpg_check_pods.PAIRS for code in found}
OF_ROLES = {code for _, found, _ in test_cnpg_check_roles.PAIRS for code in found}
OF_DOORS = {code for _, found, _ in test_cnpg_check_doors.PAIRS for code in found}
OF_SECRETS = {code for _, found, _ in test_cnpg_check_secrets.PAIRS for code in found}


def test_every_code_is_seen() -> None:
    assert {
        code for _, found in TABLE for code in found
    } | ELSEWHERE | OF_SERVICE | OF_PODS | OF_ROLES | OF_DOORS | OF_SECRETS == set(CODES)


ROOMS = (about_lines, about_maps, about_objects, about_settings, about_images)
EVERY_CHECK = [(room, check) for room in ROOMS for check in room.CHECKS]


@pytest.mark.parametrize(("room", "check"), EVERY_CHECK, ids=lambda value: getattr(value, "__name__", ""))
def test_every_check_is_what_finds_some_case(monkeypatch: pytest.MonkeyPatch, room: Any, check: Any) -> None:
    monkeypatch.setattr(room, "CHECKS", tuple(each for each in room.CHECKS if each is not check))
    assert any(codes(changed(change)) != expected for change, expected in TABLE)


def test_a_finding_says_where() -> None:
    text = "\n".join(
        [
            "kind: ConfigMap",
            "---",
            "apiVersion: postgresql.cnpg.io/v1",
            "kind: Cluster",
            "metadata: {name: pg}",
            "spec:",
            "  imageName: x/pgbearer:18",
            "  postgresql:",
            "    shared_preload_libraries: [pgbearer]",
            "    parameters:",
            "      oauth_validator_libraries: pgbearer",
            "      pgbearer.endpoints: tcp://r.databases.svc:8443?hostname=pgbearer",
            "      pgbearer.tls_ca_file: /projected/ca.crt",
            "      pgbearer.tls_certificate_file: /projected/tls.crt",
            "      pgbearer.tls_key_file: /projected/tls.key",
            "      pgbearer.forbid_passwords: '*'",
            "    pg_hba:",
            f"      - '{OAUTH}'",
            "      - hostssl all all all trust",
            "      - host all all all reject",
        ]
    )
    (finding,) = check_text(text, "db.yaml")
    assert finding.as_json() == {
        "code": "hba_trust",
        "severity": "error",
        "file": "db.yaml",
        "document": 2,
        "object": "Cluster/pg",
        "path": "spec.postgresql.pg_hba[1]",
        "line": 19,
        "column": 9,
        "message": "trust lets in whoever says a name (hostssl all all all trust)",
        "hint": "use cert, or reject",
    }
    assert str(finding).startswith("db.yaml:19:9 Cluster/pg spec.postgresql.pg_hba[1]: error hba_trust: trust lets")


def test_a_line_that_the_operator_makes_is_not_to_be_rewritten() -> None:
    (finding,) = (each for each in findings(changed(postgresql(ldap={"server": "x"}))) if "ldap" in each.path)
    assert finding.code == "line_unreachable"
    found = findings(changed(postgresql(ldap={"server": "x"}, pg_hba=[OAUTH])))
    (finding,) = (each for each in found if "ldap" in each.path)
    assert (finding.code, finding.hint.partition(":")[0]) == ("beside_oauth", "take it out")


def test_a_line_below_the_operators_own_is_not_told_to_go_above() -> None:
    (finding,) = findings(changed(hba("local all all trust", OAUTH, REJECT)))
    assert (finding.code, finding.hint) == ("line_unreachable", "take it out")


def test_a_line_of_several_in_one_entry_is_named() -> None:
    (finding,) = findings(changed(hba(f"{OAUTH}\nhost all all\n{REJECT}")))
    assert (finding.code, finding.message) == (
        "hba_syntax",
        "line 2 of it: end-of-line before IP address specification",
    )


@pytest.mark.parametrize("kind", ["Deployment", "Pod"])
def test_the_services_settings_are_projected(kind: str) -> None:
    pod = {
        "containers": [
            {
                "image": "r/other:1",
                "command": ["pgbearer", "serve"],
                "volumeMounts": [{"name": "settings", "mountPath": "/etc/pgbearer"}],
            },
            {"image": "other:1", "volumeMounts": [{"name": "others", "mountPath": "/etc/other"}]},
        ],
        "volumes": [{"name": name, "configMap": {"name": "x"}} for name in ("settings", "others")],
    }
    inner = pod if kind == "Pod" else {"template": {"spec": pod}}
    found = findings(GOOD, {"apiVersion": "v1", "kind": kind, "metadata": {"name": "pgbearer"}, "spec": inner})
    (finding,) = (each for each in found if each.code == "volume_not_projected")
    assert finding.path[-2:] == ("volumes", 0)


def test_roles_of_their_own_kind_have_no_password_either() -> None:
    own = {"name": "app", "passwordSecret": {"name": "x"}}
    assert codes(GOOD, {"apiVersion": "postgresql.cnpg.io/v1", "kind": "DatabaseRole", "spec": own}) == [
        "role_password"
    ]


def test_a_cluster_without_pgbearer_is_told_so_once() -> None:
    """And what is there, as ever: each part that is missing is told of once the first is there."""
    plain = {**GOOD, "spec": {"instances": 1, "enableSuperuserAccess": True}}
    found = findings(plain)
    assert [finding.code for finding in found] == ["hba_no_oauth", "operator_line_reached", "superuser_access"]
    assert found[0].hint == "begin with docs/cloudnativepg.md, or with pgbearer cnpg render"
    plain["spec"]["postgresql"] = {"shared_preload_libraries": ["pgbearer"]}
    assert {"library_missing", "endpoints_missing", "extension_missing"} < set(codes(plain))


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ('"name": "other", "name": "pgbearer"', ["pod_patch"]),
        ('"Image": "x:1", "name": "pgbearer"', ["pod_patch"]),
        ('"tty": NaN, "name": "pgbearer"', ["pod_patch"]),
        ('"name": "pgbearer"', []),
    ],
)
def test_no_member_of_a_patch_stands_twice(member: str, expected: list[str]) -> None:
    assert codes(changed(patch(SIDECAR.replace('"name": "pgbearer"', member)))) == expected


NAMELESS = {key: value for key, value in GOOD.items() if key not in ("apiVersion", "kind")}
OTHER = changed(lambda cluster: (cluster["metadata"].update(name="other"), hba(OAUTH)(cluster)))


@pytest.mark.parametrize(
    "listed",
    [
        {"apiVersion": "v1", "kind": "List", "items": [GOOD, OTHER]},
        {"apiVersion": GOOD["apiVersion"], "kind": "ClusterList", "items": [GOOD, OTHER]},
        {"kind": "List", "items": [GOOD, {"kind": "List", "items": [{"kind": "x", "items": [OTHER]}]}]},
        {"apiVersion": GOOD["apiVersion"], "kind": "ClusterList",
         "items": [NAMELESS, {**NAMELESS, "metadata": OTHER["metadata"], "spec": OTHER["spec"]}]},
        {**GOOD, "items": [OTHER]},
        {**OTHER, "items": [GOOD]},
    ],
)  # fmt: skip
def test_objects_of_a_list_are_judged_one_by_one(listed: object) -> None:
    (finding,) = findings(listed)
    assert (finding.code, finding.what) == ("operator_line_reached", "Cluster/other")
    assert finding.line is not None


@pytest.mark.parametrize("word", ["true", "True", "yes", "on", "y"])
def test_what_kubernetes_takes_for_true_is_true(word: str) -> None:
    text = json.dumps(changed(spec(enableSuperuserAccess=word)))
    assert not check_text(text)
    found = {finding.code for finding in check_text(text.replace(f'"{word}"', word))}
    assert found == {"superuser_access", *(["yaml_ambiguous"] if word != "true" else [])}


def test_what_kubernetes_takes_for_false_is_false() -> None:
    text = json.dumps(changed(role(name="people", passwordSecret={"name": "x"}, login="X"))).replace('"X"', "Off")
    assert [finding.code for finding in check_text(text)] == ["yaml_ambiguous"]


def test_settings_are_those_of_the_module() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert {name for name in SETTINGS if f"`{name}`" in page} == set(SETTINGS)
