"""The public, stable list of reasons a decision can have; each says what it means and what to do."""

from enum import StrEnum

__all__ = ["Reason"]


class Reason(StrEnum):
    """Why a login was allowed or refused. A value, once released, keeps its name and its meaning."""

    meaning: str
    remedy: str

    def __new__(cls, value: str, meaning: str, remedy: str) -> "Reason":
        """A str whose members also carry `meaning` and `remedy`, from which the reference page is generated."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.remedy = remedy
        return member

    ALLOWED = "allowed", "A rule allows this identity this role in this database.", "Nothing."

    # the request, before the token is looked at
    REQUEST_INVALID = (
        "request_invalid",
        "The request is not what protocol version 1 says: size, JSON, members or types.",
        "Use the module and the service of the same or neighbouring release.",
    )
    VERSION_UNSUPPORTED = (
        "version_unsupported",
        "The module speaks a protocol version that this service does not.",
        "Upgrade the older of the two; a service speaks its own version and the one before.",
    )
    CALLER_UNKNOWN = (
        "caller_unknown",
        "The peer of the connection is not a server named under servers:.",
        "Check the server's uid, or over the network the names in its certificate, against servers: in pgbearer.yaml.",
    )
    CLOCK_SKEW = (
        "clock_skew",
        "The database server's clock and the service's differ by more than the leeway.",
        "Synchronise both clocks (chrony, systemd-timesyncd).",
    )
    ROLE_UNKNOWN = (
        "role_unknown",
        "The requested database role does not exist.",
        "Create the role, or connect as one that exists.",
    )

    # the token, in the order of the checks
    TOKEN_MISSING = "token_missing", "No token was sent.", "Log in again."
    TOKEN_TOO_LARGE = (
        "token_too_large",
        "The token is longer than the limit.",
        "Ask for fewer scopes, or map fewer claims into the access token.",
    )
    TOKEN_MALFORMED = (
        "token_malformed",
        "Not a compact JWS: segments, base64url, JSON, duplicate members, nesting, or an encrypted token.",
        "Send the access token exactly as the authorization server gave it.",
    )
    HEADER_NOT_ALLOWED = (
        "header_not_allowed",
        "The token header carries a parameter that is never honoured (jwk, jku, x5u, x5c, crit, b64 ...).",
        "Check which authorization server made this token.",
    )
    TOKEN_TYPE = (
        "token_type",
        "The header typ is not that of an access token (RFC 9068: at+jwt).",
        "Keycloak: set access.token.header.type.rfc9068=true on the client.",
    )
    ISSUER_UNKNOWN = (
        "issuer_unknown",
        "The token's iss is none of the issuers in pgbearer.yaml, byte for byte.",
        "Compare the token's iss with issuers.*.issuer: scheme, host, port, path, trailing slash.",
    )
    ISSUER_AMBIGUOUS = (
        "issuer_ambiguous",
        "More than one configured issuer claims this token.",
        "Give every issuer its own iss.",
    )
    ISSUER_MISMATCH = (
        "issuer_mismatch",
        "The token's issuer is not the issuer of the HBA line, nor opened behind that one to this database.",
        "Correct issuer= in pg_hba.conf, or open the issuer to the database: issuers.*.behind.",
    )
    ISSUER_REPLACED = (
        "issuer_replaced",
        "The token's issuer has been replaced by another, and the last day for its tokens is past.",
        "Log in at the new issuer; or move issuers.*.until, which stands at the new one.",
    )
    ALGORITHM_NOT_ALLOWED = (
        "algorithm_not_allowed",
        "The signature algorithm is not one that this issuer may use, or does not fit the key.",
        "Set issuers.*.algorithms to what the authorization server signs with.",
    )
    KEY_UNKNOWN = (
        "key_unknown",
        "The issuer publishes no key with the token's kid.",
        "Log in again; if it stays, compare the token's kid with the issuer's jwks_uri.",
    )
    KEY_DENIED = "key_denied", "The signing key is listed in keys.deny, or revoked.", "Log in again with a newer key."
    KEY_UNSUITABLE = (
        "key_unsuitable",
        "The key with this kid is too small, not for signatures, or of another type.",
        "Publish RSA keys of 2048 bits or more, with use=sig.",
    )
    KEYS_UNAVAILABLE = (
        "keys_unavailable",
        "No keys of this issuer have been fetched since the service started.",
        "Make the issuer reachable from the service; /readyz says why it is not.",
    )
    KEYS_STALE = (
        "keys_stale",
        "The issuer's keys could not be refreshed for longer than keys.max_stale.",
        "Make the issuer reachable from the service again.",
    )
    SIGNATURE_INVALID = (
        "signature_invalid",
        "The signature does not verify with the issuer's key.",
        "Treat it as an attack or a proxy that alters tokens.",
    )
    CLAIM_MISSING = (
        "claim_missing",
        "A claim that is required is absent.",
        "Keycloak: give the client the default scopes basic and roles, and the audience scope.",
    )
    CLAIM_TYPE = (
        "claim_type",
        "A claim has the wrong JSON type.",
        "Correct the mapper, or the type declared under issuers.*.claims.",
    )
    TOKEN_KIND = (
        "token_kind",
        "This is another kind of token: ID, refresh, logout, offline, action, registration.",
        "Send an access token.",
    )
    TOKEN_EXPIRED = "token_expired", "The token's exp is past.", "Log in again."
    TOKEN_NOT_YET_VALID = (
        "token_not_yet_valid",
        "The token's nbf or iat lies in the future, beyond the leeway.",
        "Synchronise the clocks of the authorization server and this service.",
    )
    LIFETIME_TOO_LONG = (
        "lifetime_too_long",
        "exp - iat is longer than issuers.*.max_lifetime, or not positive.",
        "Shorten the access token lifespan at the authorization server (5 minutes is usual).",
    )
    TOKEN_REVOKED = (
        "token_revoked",
        "The token was issued before issuers.*.not_before, or is revoked.",
        "Log in again; if that does not help, `pgbearer revoke list` says what is revoked.",
    )
    AUDIENCE_MISMATCH = (
        "audience_mismatch",
        "The token's aud does not name this database service, or names others as well.",
        "Give the client only the audience scope of this cluster.",
    )
    CLIENT_NOT_ALLOWED = (
        "client_not_allowed",
        "The client that got the token (azp) is not listed in issuers.*.clients.",
        "Log in with a listed client, or list this one.",
    )
    SCOPE_MISSING = (
        "scope_missing",
        "A scope that the HBA line demands is not in the token.",
        "Ask for the scope when logging in, or correct scope= in pg_hba.conf.",
    )
    GROUPS_INCOMPLETE = (
        "groups_incomplete",
        "The token says that its subject is in more groups than it lists, so that a rule about groups could be missed.",
        "Entra: have it list only groups assigned to the application (groupMembershipClaims: ApplicationGroup).",
    )
    SUBJECT_INVALID = (
        "subject_invalid",
        "sub, or the identity made from it, is empty, too long, or holds characters that a name may not.",
        "Use a stable identifier (Keycloak: sub from the scope basic).",
    )
    SENDER_CONSTRAINED = (
        "sender_constrained",
        "The token is bound to a key (cnf) whose possession is not proved here.",
        "Get the token without DPoP or certificate binding; see issuers.*.certificate_bound for the latter.",
    )
    IMPERSONATED = (
        "impersonated",
        "The token comes from a session in which someone impersonates the user.",
        "Log in as yourself.",
    )
    ACTOR_NOT_ALLOWED = (
        "actor_not_allowed",
        "The token says that somebody acts on behalf of the subject (act), and that is no agent we know, or malformed.",
        "Log in as yourself; or name the agent under issuers.*.agents.",
    )
    TOKEN_INACTIVE = (
        "token_inactive",
        "The issuer, asked at this login, says that the token no longer holds, though its signature does.",
        "Get a new token: its session was ended; Kubernetes: the pod, node or account that it is bound to is gone.",
    )
    ISSUER_UNAVAILABLE = (
        "issuer_unavailable",
        "The issuer had to be asked at this login whether the token still holds, and gave no answer that can be used.",
        "See the record's detail; check issuers.*.introspection, or kubernetes.* and create on tokenreviews.",
    )
    INTROSPECTION_REFUSED = (
        "introspection_refused",
        "The issuer, asked at this login whether the token still holds, refused to tell us.",
        "Check introspection.endpoint, client_id and the secret; Keycloak: the client must be confidential.",
    )
    INTROSPECTION_INVALID = (
        "introspection_invalid",
        "The issuer, asked whether the token still holds, gave no true or false, or spoke of another token.",
        "Check introspection.endpoint; its answer must be JSON with active, sub and exp (RFC 7662).",
    )

    # the policy
    ROLE_NOT_ALLOWED = (
        "role_not_allowed",
        "Rules match this identity, but none gives the requested role in the requested database.",
        "pgbearer explain shows the rules; ask for another role, or change the policy.",
    )
    NO_RULE = (
        "no_rule",
        "No rule gives this identity any role in the requested database.",
        "Check the token's roles and groups against the rules.",
    )
    DENIED_BY_RULE = (
        "denied_by_rule",
        "A deny rule matches.",
        "The rule's name is in the decision record.",
    )
    POLICY_ERROR = (
        "policy_error",
        "The condition of a deny rule, or of one with a veto, could not be evaluated, so it counts as matched.",
        "Correct the condition named in the decision record.",
    )
    NAME_NOT_EXPRESSIBLE = (
        "name_not_expressible",
        "A value from the token or request cannot be used as a name.",
        "Use names of letters, digits and _ . @ - up to 63 bytes.",
    )
    AGENT_NOT_ALLOWED = (
        "agent_not_allowed",
        "An agent acts for this identity, and the rules that match are for the person alone or for other agents.",
        "Use the role that the agent has; or write a rule for it, with actor: [NAME] and a narrower role.",
    )
    AGENT_SAYS_TOO_LITTLE = (
        "agent_says_too_little",
        "An agent acts, and a deny rule asks for what its token does not say of the person, so the rule may hold.",
        "Map it into the agent's tokens, in full, and list it under issuers.*.agents.*.carries.",
    )
    ROLE_PRIVILEGED = (
        "role_privileged",
        "The role is privileged in the catalog, and no rule that says privileged: true names it exactly.",
        "Use an unprivileged role, or name this one in a rule with privileged: true.",
    )
    REPLICATION_NOT_ALLOWED = (
        "replication_not_allowed",
        "A replication connection, and no rule for it says replication:.",
        "Say replication: [logical] or [physical] in the rule.",
    )
    DECIDER_DENIED = (
        "decider_denied",
        "A decider that a rule asks says no, and no other rule allows the login; or its rule says that a no is a veto.",
        "The record says which decider and what it gave as its reason; the right is given there.",
    )
    DECIDER_UNAVAILABLE = (
        "decider_unavailable",
        "A decider that a rule asks could not be asked in time, or gave no usable answer.",
        "See that the decider runs and that its url and ca_file lead to it; the record says what was wrong.",
    )
    DECIDER_MISCONFIGURED = (
        "decider_misconfigured",
        "A decider that a rule asks answers, but not to us: it refuses our credentials, or its address is wrong.",
        "Correct its url, its credentials, or whom it is asked for (audience, path) under deciders: in pgbearer.yaml.",
    )
    CLIENT_NOT_CRITICAL = (
        "client_not_critical",
        "A rule of the critical tier decides, and the client that got the token is none of issuers.*.critical.clients.",
        "Log in with a client of the critical tier; that of the device flow should not be one.",
    )
    TOKEN_TOO_OLD = (
        "token_too_old",
        "A rule of the critical tier decides, and the token was issued longer ago than issuers.*.critical.max_age.",
        "Get a new token, and connect at once.",
    )
    AUTHENTICATION_UNKNOWN = (
        "authentication_unknown",
        "A rule of the critical tier decides, and the token lacks auth_time or acr: when and how the person logged in.",
        "Keycloak: give the client the default scopes basic and acr.",
    )
    AUTHENTICATION_TOO_OLD = (
        "authentication_too_old",
        "A rule of the critical tier decides, and auth_time is longer ago than issuers.*.critical.max_auth_age.",
        "Log in again, with your password or key (prompt=login).",
    )
    AUTHENTICATION_TOO_WEAK = (
        "authentication_too_weak",
        "A rule of the critical tier decides, and the token's acr is none of issuers.*.critical.acr.",
        "Log in with the stronger way that the acr stands for, such as a second factor.",
    )
    CERTIFICATE_REQUIRED = (
        "certificate_required",
        "A rule of the critical tier decides, and the token is not bound to a TLS client certificate (RFC 8705).",
        "Get the token, and connect, with the same client certificate.",
    )
    SESSION_OVER = (
        "session_over",
        "The session would end before it begins.",
        "Log in again.",
    )

    # the service itself
    NOT_READY = (
        "not_ready",
        "The service has started but cannot decide yet.",
        "See /readyz.",
    )
    OVERLOADED = (
        "overloaded",
        "More logins are waiting than the queue holds, or this caller asks too often.",
        "Look for a flood of logins; raise limits.* if it is legitimate.",
    )
    AUDIT_UNAVAILABLE = (
        "audit_unavailable",
        "The decision could not be recorded, so it was not made.",
        "Make room for, or permission on, the audit file.",
    )
    CALLER_GONE = (
        "caller_gone",
        "The database server went away before there was a decision: its client had left, or its time was up.",
        "If it was not the client, look why the issuer or a decider took so long, and at pgbearer.timeout.",
    )
    INTERNAL_ERROR = (
        "internal_error",
        "The service failed while deciding.",
        "Report it with the decision id and the service's log.",
    )
