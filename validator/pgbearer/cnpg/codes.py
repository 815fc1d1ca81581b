"""The stable list of what a check can find: a code, how grave it is, and what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["CODES", "About", "Severity"]

Severity = Literal["error", "warning", "notice"]
"""An error lets somebody in beside OAuth, keeps people out, or is not taken; a warning may; a notice only tells."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a code, whatever it was found in."""

    severity: Severity
    meaning: str


def _error(meaning: str) -> About:
    return About("error", meaning)


def _warning(meaning: str) -> About:
    return About("warning", meaning)


def _notice(meaning: str) -> About:
    return About("notice", meaning)


CODES: Final[Mapping[str, About]] = {
    "not_yaml": _error("The file cannot be read to its end."),
    "yaml": _error("A key stands twice, or an alias, anchor or tag is used, which readers take differently."),
    "yaml_ambiguous": _notice("A bare value is text to one YAML reader and a number or boolean to another."),
    "no_cluster": _warning("There is no Cluster of CloudNativePG in what was given."),
    "shape": _error("A value is not of the kind that CloudNativePG takes there."),
    "name_invalid": _error("Kubernetes or CloudNativePG does not take the name."),
    "hba_syntax": _error("PostgreSQL does not take the line, keeps the whole old file, and says so in its log alone."),
    "hba_continues": _error("The line ends in a backslash and so swallows the next one."),
    "hba_vanishes": _error("The line is gone when no pod fits what it refers to, for that is not its address alone."),
    "hba_elsewhere": _error("The line reads a file of the server, which nobody sees here."),
    "hba_no_oauth": _error("No line asks for OAuth: nobody can log in with a token."),
    "oauth_unreachable": _error("A line above decides all that this oauth line is for."),
    "line_unreachable": _warning("A line above decides all that this line is for."),
    "hba_trust": _error("The line lets in without any proof."),
    "oauth_plaintext": _error("The line takes tokens without TLS."),
    "hba_plaintext": _warning("The line takes proofs without TLS."),
    "operator_line_reached": _error("The operator's own last line, which asks everybody for a password, is reached."),
    "beside_oauth": _error("The line lets the people of an oauth line in without a token."),
    "named_beside_oauth": _warning("The line lets roles that it names in without a token."),
    "replication": _error("The line lets more than the operator's own role copy the whole cluster."),
    "issuer_not_https": _error("The issuer of an oauth line is no https address."),
    "scope_empty": _notice("An oauth line asks for no scope, as for workloads, whose tokens have none."),
    "option_off": _error("The option of the line is off, for its value is not 1."),
    "delegate_without_validator": _warning("The validator decides the role, and the line does not say which one."),
    "validator_other": _error("Another library than pgbearer decides who gets in by the line."),
    "map_missing": _error("The line uses a map that pg_ident does not have, so nobody passes it."),
    "mapping_missing": _warning("An oauth line leaves the role to nobody: only an identity that is its name passes."),
    "map_of_operator": _error("The line of pg_ident lets another be the operator's own role, or replicate."),
    "map_wide": _warning("The line of pg_ident lets whoever fits a pattern be the role, or somebody be every role."),
    "parameter_blocked": _error("The operator sets the parameter itself, and refuses it here."),
    "parameter_hidden": _error(
        "The parameter is one of the operator's, or a file, by a name that it does not look for."
    ),
    "setting_unknown": _error("There is no such setting of the module."),
    "library_missing": _error("oauth_validator_libraries does not have the module."),
    "preload_missing": _warning("The module is not preloaded: it forbids no passwords and cannot resolve names."),
    "extension_missing": _warning("No extension image brings the module; the operand's image must have it."),
    "endpoints_missing": _error("Nothing says where the service is, and nothing puts it beside the server."),
    "endpoint_invalid": _error("An endpoint is not of a form that the module takes."),
    "ca_missing": _error("The service is reached over the network without an authority or certificate of its own."),
    "authority_public": _error("The module believes authorities of the public about who the service is."),
    "clients_public": _error("The service believes authorities of the public about which server asks."),
    "passwords_allowed": _warning("pgbearer.forbid_passwords is empty: a role can give itself a password."),
    "role_password": _warning("The operator keeps a password on a role."),
    "password_unused": About("notice", "A role has a password, which no line asks for."),
    "superuser_access": _error("The operator gives the superuser a password."),
    "version_too_old": _error("PostgreSQL before 18 has no OAuth."),
    "pooler": _warning("A Pooler asks for passwords: nobody comes through it with a token."),
    "pooler_trust": _error("A Pooler lets in without any proof."),
    "pooler_reader": _warning("Another role than the operator's own reads everybody's password for a Pooler."),
    "client_authority": _warning("Another authority than the operator's own says who streaming_replica is."),
    "rights_open": _warning(
        "A right in Kubernetes lets somebody into a Cluster: to its pods, Secrets, settings or names."
    ),
    "secret_shared": _warning("Another workload has a key by which it is the Cluster or its service, or logs in."),
    "certificate_other": _warning("Another certificate is, to a Cluster or its service, as good as their own."),
    "server_authority": _notice("Another authority than the operator's own says who the server is, to its clients."),
    "roles_copied": _notice("Roles come from another server, with their passwords and powers."),
    "plugin": _notice("A plugin of the operator may put containers into the pods, which no manifest shows."),
    "environment_unseen": _warning("All of a ConfigMap or Secret becomes variables of PostgreSQL."),
    "alter_system": _warning("What the Cluster says may be set otherwise by ALTER SYSTEM."),
    "password_shown": _warning("A password of another server stands in the manifest."),
    "service_exposed": _notice("Whoever reaches a load balancer, or a node, reaches PostgreSQL."),
    "pod_patch": _error("The annotation cnpg.io/podPatch is no JSON Patch."),
    "volume_not_projected": _error(
        "Settings are mounted from a plain ConfigMap volume, whose folder pgbearer refuses."
    ),
    "extension_mismatch": _error("The module's image is for another PostgreSQL, or another Debian, than the server's."),
    "image_floating": _warning("An image has no version and no digest, so it is whatever is newest."),
    "catalog_missing": _error("The catalog of images does not have the version that the Cluster asks for."),
    "policy_refused": _error("The service refuses the policy in the ConfigMap."),
    "policy_warning": _warning("The service takes the policy in the ConfigMap, and warns of it."),
    "issuer_unknown": _error("An oauth line names an issuer that the policy beside it does not have."),
    "audience_other": _error("The scope of an oauth line adds another audience than the policy wants of that issuer."),
    "role_unknown": _warning("A rule gives a role that neither the Cluster nor a DatabaseRole makes."),
    "server_unknown": _error("The Cluster's certificate is for a name that no server of the policy has."),
    "socket_unknown": _error("The module asks at a socket, and no server of the policy has one."),
    "endpoint_name": _error("The service's certificate is not for the name that an endpoint asks for."),
    "endpoint_namespace": _error("An endpoint asks a Service in another namespace than the one that it is in."),
    "endpoint_service": _warning("The Service that an endpoint asks is not there, or selects no pods of the service."),
    "object_twice": _error("Two objects are one to Kubernetes, so the second takes the place of the first."),
    "image_example": _notice("An image is of registry.example, where nobody has published it: build it."),
    "service_not_probed": _warning("The service has no readiness probe: logins come before it can decide any."),
    "service_not_confined": _warning("The service runs as root, or may change its own image, or gain rights."),
    "service_changed": _warning("The service's pods run something else than ships, or are part of the node."),
    "pod_shared": _error("Another container has PostgreSQL's volumes or processes, and so decides who gets in."),
    "pod_user": _warning("Another container runs as root, or as the user of PostgreSQL."),
    "pod_replaced": _error(
        "The patch changes what the operator's own containers run, who the pods are, or their network."
    ),
    "pod_patched": _warning("The patch of the pods changes something else than to add containers and volumes."),
    "pod_volume": _error("The patch of the pods hands out the node, or the Cluster's data, Secrets or token."),
    "pod_token": _warning("Another container gets the instance's token, by which the Cluster's Secrets are read."),
    "image_elsewhere": _error("An image that stands for the service comes from elsewhere than the module."),
    "library_elsewhere": _error("The server may load a library from elsewhere than from its own folders."),
    "extension_before": _warning("An extension's folder is searched before the module's, and may have another module."),
    "group_not_forbidden": _warning("pgbearer.forbid_passwords does not have the group of an oauth line."),
    "role_powerful": _error("A role that is had by a token is, or may become, a superuser in effect."),
    "role_certificate": _warning("The operator keeps the certificate of a powerful role in a Secret."),
    "sql_password": _warning("A statement that runs once gives a role a password."),
    "sql_power": _warning("A statement that runs once makes a role a superuser, or one in effect."),
    "sql_server": _warning("A statement that runs once changes the server's files, settings, programs or libraries."),
    "sql_unseen": _warning("Statements that run once are in what was not given, or cannot be looked through."),
    "network_open": _warning("Nothing says who may reach the Cluster or the service, or something lets everybody."),
}
"""By code. Codes are only ever added."""
