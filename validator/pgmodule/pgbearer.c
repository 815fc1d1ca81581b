/*-------------------------------------------------------------------------
 *
 * pgbearer.c
 *	  OAuth validator that asks a service: entry points, settings, verdict.
 *
 * The module never judges a token.  It tells the service what is being asked
 * (request.c), waits for the answer (exchange.c), and lets the client in only
 * if that answer allows it (answer.c).  Refused is the initial state and the
 * result of every fault.  The token is never logged; its first 12 hex digits of
 * SHA-256 stand for it.
 *
 * validator/pgmodule/pgbearer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "postmaster/postmaster.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "pgbearer.h"

PG_MODULE_MAGIC_EXT(
					.name = "pgbearer",
					.version = "0.1.0"
);

/* Free connections, beyond core's own reserves, below which nobody waits for the service */
#define SPARE_CONNECTIONS 8

/* Kept of authentication_timeout, so that our refusal comes before core's */
#define AUTHENTICATION_MARGIN 1000

static bool validate_token(const ValidatorModuleState *state, const char *token,
						   const char *role, ValidatorModuleResult *result);
static void guarded_decide(Login *login, Answer *answer);
static void decide(Login *login, Answer *answer);
static void begin_login(Login *login);
static void note_error(Login *login, MemoryContext context, ResourceOwner owner);
static char *refusal_detail(Login *login);
static bool connections_to_spare(void);
static int64 authentication_time_left(void);
static void define_settings(void);

static const OAuthValidatorCallbacks validator_callbacks = {
	PG_OAUTH_VALIDATOR_MAGIC,

	.validate_cb = validate_token,
};

/* GUCs */
static char *guc_endpoints = NULL;
static char *guc_service_user = NULL;
static int	guc_max_token_size = 0;
int			guc_connect_timeout = 0;
int			guc_timeout = 0;
char	   *guc_instance = NULL;
char	   *guc_forbid_passwords = NULL;
char	   *guc_tls_certificate_file = NULL;
char	   *guc_tls_key_file = NULL;
char	   *guc_tls_ca_file = NULL;

static const char *const fault_names[] = {
#define FAULT_NAME(name, meaning, remedy) [FAULT_##name] = #name,
	PGBEARER_REASONS(FAULT_NAME)
#undef FAULT_NAME
};

/*
 * Called when the library is loaded: preloaded by the postmaster, or by the
 * backend of the first login that needs it.
 */
void
_PG_init(void)
{
	define_settings();
	endpoints_init();
	names_init();
	passwords_init();
	if (!process_shared_preload_libraries_in_progress)
		ereport(LOG,
				errmsg("pgbearer is not preloaded: logins do not share what they learn of the service, and no names are resolved"),
				errhint("Add it to \"shared_preload_libraries\". Only then is \"pgbearer.forbid_passwords\" in force in all sessions."));
	MarkGUCPrefixReserved("pgbearer");
}

/*
 * Called by core to load the validator.
 */
const OAuthValidatorCallbacks *
_PG_oauth_validator_module_init(void)
{
	return &validator_callbacks;
}

static void
define_settings(void)
{
	DefineCustomStringVariable("pgbearer.endpoints",
							   "Where the login service listens, in the order to try.",
							   "A list of unix:/absolute/path, tcp://HOST:port?hostname=NAME and tcp://HOST:port?spiffe=ID. A HOST that is no IP address needs preloading.",
							   &guc_endpoints, "unix:/run/pgbearer/login/login.sock",
							   PGC_SIGHUP, GUC_LIST_INPUT,
							   check_endpoints, assign_endpoints, NULL);
	DefineCustomIntVariable("pgbearer.connect_timeout",
							"How long to try to connect to the service.",
							NULL,
							&guc_connect_timeout, 1000, 1, 60 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pgbearer.timeout",
							"How long a login waits for the service, all endpoints together.",
							"Never longer than what is left of authentication_timeout, less one second.",
							&guc_timeout, 5000, 1, 10 * 60 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pgbearer.max_token_size",
							"The longest token that is sent to the service.",
							NULL,
							&guc_max_token_size, 16 * 1024, 1, PG_UINT16_MAX,
							PGC_SIGHUP, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomStringVariable("pgbearer.service_user",
							   "The user who may serve the sockets, besides root and the server's own.",
							   "A uid, or a name that is resolved once, when the setting is first read; of a user that is in a directory on the network, take the uid.",
							   &guc_service_user, "",
							   PGC_SIGHUP, 0,
							   check_service_user, assign_service_user, NULL);
	DefineCustomStringVariable("pgbearer.tls_certificate_file",
							   "The certificate that this server shows the service over the network.",
							   "PEM, with whatever stands between it and the service's client_ca_file. Nobody else may write it. Read for each login.",
							   &guc_tls_certificate_file, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pgbearer.tls_key_file",
							   "The private key of that certificate.",
							   "PEM, without a passphrase; of no more access than ssl_key_file may have. Read for each login.",
							   &guc_tls_key_file, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pgbearer.tls_ca_file",
							   "The authority that the service's certificate must come from.",
							   "PEM; one for this alone. Nobody else may write it. Read for each login.",
							   &guc_tls_ca_file, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pgbearer.instance",
							   "What this server calls itself towards the service; cluster_name if empty.",
							   NULL,
							   &guc_instance, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pgbearer.forbid_passwords",
							   "The roles that cannot be given a password.",
							   "A list of role names, +group for a role's members, * for all; empty for none.",
							   &guc_forbid_passwords, "",
							   PGC_SIGHUP, GUC_LIST_INPUT,
							   check_forbid_passwords, NULL, NULL);
}

/*
 * Core asks: does this token let this role in?  True only means that we have
 * an answer; result->authorized is the answer.
 */
static bool
validate_token(const ValidatorModuleState *state pg_attribute_unused(), const char *token,
			   const char *role, ValidatorModuleResult *result)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "pgbearer login", ALLOCSET_DEFAULT_SIZES);
	Answer		answer = {.allow = false};
	Login		login;

	result->authorized = false;
	MemoryContextSwitchTo(context);
	memset(&login, 0, sizeof(login));
	login.token = token;
	login.role = role;
	login.port = MyProcPort;
	login.database = MyProcPort->database_name ? MyProcPort->database_name : "";
	initStringInfo(&login.trail);
	guarded_decide(&login, &answer);
	MemoryContextSwitchTo(caller);

	if (answer.allow)
	{
		ereport(DEBUG1,
				errmsg_internal("OAuth login allowed: decision %s, token_ref %s", login.decision_id, login.token_ref));
		result->authn_id = pstrdup(answer.identity);
		result->authorized = true;
	}
	else
		compat_report_refusal(result, login.reason, refusal_detail(&login));

	MemoryContextDelete(context);	/* wipes the request */
	return true;
}

/*
 * Decide in a subtransaction, so that an ERROR leaves nothing held when it is
 * turned into a refusal.  FATAL does not come by here; a request to end this
 * backend passes.
 */
static void
guarded_decide(Login *login, Answer *answer)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		decide(login, answer);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		answer->allow = false;
		note_error(login, context, owner);
	}
	PG_END_TRY();
}

/*
 * The way of a login; answer->allow stays false unless every step succeeds.
 */
static void
decide(Login *login, Answer *answer)
{
	Block	   *request;
	Answer		said;
	char	   *body;
	size_t		len;

	begin_login(login);
	if (strlen(login->token) > (size_t) guc_max_token_size)
		fail(login, FAULT_token_too_large, "The token has %zu bytes.", strlen(login->token));
	else if (!service_user_is_known())
		fail(login, FAULT_service_user_unknown, "\"pgbearer.service_user\" names no user: \"%s\".", guc_service_user);
	else if (!connections_to_spare())
		fail(login, FAULT_connections_short, "Too few connections are free.");
	else if (login->deadline <= monotonic_ms())
		fail(login, FAULT_service_timeout, "Too little of authentication_timeout is left.");
	else if ((request = build_request(login)) != NULL &&
			 exchange(login, request, &body, &len) &&
			 read_answer(login, body, len, &said) &&
			 said.allow)
	{
		if (said.ends && !end_session_at(said.ends_at, login->decision_id))
			fail(login, FAULT_session_end_failed, "The timer could not be set: %m.");
		else
			*answer = said;
	}
}

/*
 * Its name, its token's name, its time.
 */
static void
begin_login(Login *login)
{
	uint8		random[REQUEST_ID_LEN / 2];

	sha256_hex(login->token, strlen(login->token), login->token_ref, TOKEN_REF_LEN);
	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR, errmsg("could not generate a request id"));
	hex_encode((char *) random, sizeof(random), login->request_id);
	login->request_id[REQUEST_ID_LEN] = '\0';
	login->deadline = monotonic_ms() + Min(guc_timeout, authentication_time_left() - AUTHENTICATION_MARGIN);
}

/*
 * Are there connections to spare?  While the service hangs, logins wait and
 * hold a connection each; the last ones are for those who need no service.
 * Core keeps superuser_reserved_connections + reserved_connections from
 * ordinary roles anyway, but only after authentication (InitPostgres).
 */
static bool
connections_to_spare(void)
{
	int			kept = SuperuserReservedConnections + ReservedConnections + SPARE_CONNECTIONS;
	int			nfree;

	return HaveNFreeProcs(Min(kept, MaxConnections / 2), &nfree);
}

/*
 * How long core gives this login still, in ms: authentication runs under
 * STATEMENT_TIMEOUT (PerformAuthentication in postinit.c).
 */
static int64
authentication_time_left(void)
{
	if (!get_timeout_active(STATEMENT_TIMEOUT))
		return (int64) AuthenticationTimeout * 1000;
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), get_timeout_finish_time(STATEMENT_TIMEOUT));
}

/*
 * Turn the ERROR being handled into a refusal, unless it is an interrupt.
 */
static void
note_error(Login *login, MemoryContext context, ResourceOwner owner)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED || error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
		PG_RE_THROW();
	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	fail(login, FAULT_module_error, "%s (%s:%d).", error->message, error->filename, error->lineno);
}

/*
 * Record why the login is refused; the text is a full sentence without
 * anything from the token.  Always false, for the caller to return.
 */
bool
fail(Login *login, Fault fault, const char *fmt,...)
{
	int			saved_errno = errno;

	login->reason = fault_names[fault];
	if (login->trail.len > 0)
		appendStringInfoChar(&login->trail, ' ');
	for (;;)
	{
		va_list		args;
		int			needed;

		errno = saved_errno;
		va_start(args, fmt);
		needed = appendStringInfoVA(&login->trail, fmt, args);
		va_end(args);
		if (needed == 0)
			return false;
		enlargeStringInfo(&login->trail, needed);
	}
}

/*
 * What goes below the reason in the server log.
 */
static char *
refusal_detail(Login *login)
{
	StringInfoData detail;

	initStringInfo(&detail);
	if (login->decision_id)
		appendStringInfo(&detail, "Decision %s, ", login->decision_id);
	if (login->endpoint)
		appendStringInfo(&detail, "endpoint %s, ", login->endpoint);
	appendStringInfo(&detail, "token_ref %s.", login->token_ref);
	if (login->trail.len > 0)
		appendStringInfo(&detail, " %s", login->trail.data);
	return detail.data;
}

/*
 * A clock that nobody sets, for limits; the same in all processes.
 */
int64
monotonic_ms(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MILLISEC(now);
}

/*
 * A timestamp of PostgreSQL's as milliseconds since 1970.
 */
int64
epoch_ms(TimestampTz at)
{
	return at / 1000 + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
}

/*
 * The first `hex_len` hex digits of SHA-256, terminated.
 */
void
sha256_hex(const void *data, size_t len, char *hex, size_t hex_len)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char		all[2 * PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (hash == NULL ||
		pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, data, len) < 0 ||
		pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		ereport(ERROR, errmsg("could not compute SHA-256: %s", pg_cryptohash_error(hash)));
	pg_cryptohash_free(hash);
	hex_encode((char *) digest, sizeof(digest), all);
	memcpy(hex, all, hex_len);
	hex[hex_len] = '\0';
}
