"""What we say of CloudNativePG's operator stands in its source, of the version that everything is tried with."""

import re
from pathlib import Path

import pytest

from pgbearer.cnpg import check_text, operator
from pgbearer.cnpg.about_maps import OPERATORS
from pgbearer.cnpg.about_volumes import SECRETS
from pgbearer.cnpg.taken import free_role
from tests.parts import golang

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "cloudnative-pg"


@pytest.fixture(scope="module")
def source() -> Path:
    return golang.source(REQUIREMENTS, "github.com/cloudnative-pg/cloudnative-pg")


def test_nothing_is_misread_in_its_own_samples(source: Path) -> None:
    files = sorted((source / "docs/src/samples").rglob("*.yaml"))
    assert len(files) > 50
    found = {finding.code: str(finding) for file in files for finding in check_text(file.read_text(), file.name)}
    misread = {"yaml", "not_yaml", "shape", "name_invalid", "hba_syntax", "parameter_blocked", "pod_patch"}
    misread |= {"hba_vanishes", "sql_power", "sql_server", "sql_password", "sql_unseen", "pod_replaced", "pod_volume"}
    assert {code: said for code, said in found.items() if code in misread} == {}
    assert {"hba_no_oauth", "operator_line_reached", "pooler", "role_password"} <= found.keys()


def test_parameters_that_it_refuses(source: Path) -> None:
    text = (source / "pkg/postgres/configuration.go").read_text()
    table = text.partition("FixedConfigurationParameters = map[string]string{")[2].partition("\n\t}")[0]
    assert set(re.findall(r'"([^"]+)":', table)) == operator.BLOCKED


def test_lines_around_ours(source: Path) -> None:
    template = (
        (source / "pkg/postgres/configuration.go").read_text().partition("hbaTemplateString = `")[2].partition("`")[0]
    )
    lines = [line for line in template.splitlines() if re.match("local|host", line)]
    assert lines == [
        *operator.OWN_LINES,
        operator.LAST_LINE.replace("scram-sha-256", "{{.DefaultAuthenticationMethod}}"),
    ]


def test_lines_of_maps_above_ours(source: Path) -> None:
    """Each of its maps has one line, above all others: what comes below it in one of them is somebody else's."""
    text = (source / "pkg/postgres/configuration.go").read_text()
    template = text.partition("identTemplateString = `")[2].partition("`")[0]
    own, ours, _ = template.partition("{{ range $rule := .Mappings }}")
    assert ours
    lines = [line.split()[0] for line in own.splitlines() if line and not line.startswith("#")]
    assert sorted(lines) == sorted(OPERATORS)


def test_where_it_writes_a_line_for_each_pod(source: Path) -> None:
    """Wherever the reference stands in an entry, and none if there is no pod."""
    text = (source / "pkg/postgres/hba/hba.go").read_text()
    assert r"regexp.MustCompile(`\${([^:]+):([^}]+)}`)" in text
    assert "result := make([]string, len(ips))" in text
    assert operator.REFERENCE.findall("${podselector:a} ${b:c} $d:e ${f}") == ["${podselector:a}", "${b:c}"]


def test_secrets_that_it_makes(source: Path) -> None:
    text = (source / "api/v1/cluster_types.go").read_text()
    made = dict(re.findall(r'(\w*(?:Secret|User)\w*Suffix) = "-([a-z-]+)"', text))
    assert {*made.values()} - {"pull-secret"} == set(SECRETS)


def test_what_comes_with_imported_roles(source: Path) -> None:
    assert "PASSWORD %s" in (source / "pkg/management/postgres/logicalimport/role.go").read_text()


def test_how_a_pooler_logs_people_in(source: Path) -> None:
    """Its own lines come first, and every connection to the server bears the certificate that reads passwords."""
    text = (source / "pkg/management/pgbouncer/config/config.go").read_text()
    template = text.partition("pgbouncerHBAFileTemplateString = `")[2].partition("`")[0]
    assert template.index("range $rule := .PgHba") < template.index("host all all 0.0.0.0/0 md5")
    assert 'parameters["server_tls_cert_file"] = authUserCrtPath' in text
    webhook = (source / "internal/webhook/v1/pooler_webhook.go").read_text()
    assert (
        '"auth_type",' in webhook.partition("AllowedPgbouncerGenericConfigurationParameters = ")[2].partition("})")[0]
    )


def test_length_and_form_of_a_name(source: Path) -> None:
    assert "IsDNS1035Label(r.Name)" in (source / "internal/webhook/v1/cluster_webhook.go").read_text()
    assert (
        f"len(r.Name) > {operator.MAX_CLUSTER_NAME} " in (source / "internal/webhook/v1/cluster_webhook.go").read_text()
    )


def test_its_jobs_get_the_labels_that_the_cluster_says(source: Path) -> None:
    """The NetworkPolicies know them by one; they are gone too soon for another test to see it."""
    text = (source / "internal/controller/cluster_create.go").read_text()
    assert text.count("r.Create(ctx, job)") == text.count("inheritJobMetadata(cluster, job)\n") > 0
    assert re.search(
        r"InheritLabels\(&job\.Spec\.Template\.ObjectMeta, cluster\.Labels,\s+cluster\.GetFixedInherited", text
    )


def test_an_authority_of_its_own_is_renewed_with_the_same_key(source: Path) -> None:
    """So that a client's file from before verifies servers to its own end: 90 days, 7 of them beside the next."""
    renew = (source / "pkg/certs/k8s.go").read_text().partition("\nfunc renewCACertificate(")[2].partition("\n}")[0]
    assert "privateKey, err := pair.ParseECPrivateKey()" in renew
    assert "pair.RenewCertificate(privateKey, nil, nil)" in renew
    settings = (source / "internal/configuration/configuration.go").read_text()
    days = dict(re.findall(r"\b(CertificateDuration|ExpiringCheckThreshold) = (\d+)$", settings, re.MULTILINE))
    assert days == {"CertificateDuration": "90", "ExpiringCheckThreshold": "7"}


def test_name_of_the_annotation(source: Path) -> None:
    text = (source / "pkg/utils/labels_annotations.go").read_text()
    assert f'PodPatchAnnotationName = MetadataNamespace + "/{operator.POD_PATCH.partition("/")[2]}"' in text


def test_roles_that_it_owns(source: Path) -> None:
    text = (source / "pkg/postgres/roles.go").read_text()
    names = re.findall(r'"(\w+)": +nil', text)
    prefixes = re.findall(r'RolesPrefix += "(\w+)"', text)
    assert (names, sorted(prefixes)) == (["streaming_replica", "postgres"], ["cnpg_", "pg_"])
    for name in (*names, *(f"{prefix}x" for prefix in prefixes)):
        with pytest.raises(ValueError, match="not free"):
            free_role(name)
