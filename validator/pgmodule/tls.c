/*-------------------------------------------------------------------------
 *
 * tls.c
 *	  TLS 1.3 with certificates on both sides, by the server's own OpenSSL.
 *
 * Each login has a context of its own, made from the files as they are then,
 * and nothing of it stays.  The error queue is emptied before and after each
 * call: the client's own TLS shares it (be-secure-openssl.c).
 *
 * No callback here may raise an ERROR: it would jump across OpenSSL's frames.
 *
 * validator/pgmodule/tls.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgbearer.h"

#ifdef USE_OPENSSL

#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "libpq/libpq.h"

/*
 * In the order of preference; an OpenSSL before 3.5 does not know the first
 * and refuses a list that has it.
 */
#define GROUPS			"X25519:P-256:P-384"
#define HYBRID_GROUPS	"X25519MLKEM768:" GROUPS

#define MAX_WHY 256

struct Tls
{
	SSL_CTX    *ctx;
	SSL		   *ssl;
	const Endpoint *endpoint;
	bool		refused;		/* the peer's certificate, by us */
	char		why[MAX_WHY];	/* what went wrong, without a full stop; empty if nothing did */
};

static Outcome load_files(Tls *tls);
static bool is_no_file(Tls *tls, const char *what, const char *file);
static Outcome file_failed(Tls *tls, const char *what, const char *file);
static void set_policy(SSL_CTX *ctx);
static bool expect_peer(Tls *tls);
static bool peer_is_expected(Tls *tls);
static bool has_spiffe_id(X509 *certificate, const char *id);
static IoResult outcome_of(Tls *tls, int returned);
static void note_failure(Tls *tls, const char *what, int saved_errno);
static const char *openssl_said(unsigned long code, int saved_errno);
static int	no_passphrase(char *buf, int size, int rwflag, void *userdata);

bool
tls_is_built_in(void)
{
	return true;
}

/*
 * What tls_free() must be called for, whatever happens in between.
 */
Tls *
tls_create(void)
{
	return palloc0(sizeof(Tls));
}

/*
 * Make the context from our files, for a connection to `endpoint`.  Anything
 * but OUTCOME_ANSWERED means that it cannot be; tls_why() says why.
 */
Outcome
tls_configure(Tls *tls, const Endpoint *endpoint)
{
	Outcome		outcome = OUTCOME_NEXT;

	tls->endpoint = endpoint;
	ERR_clear_error();
	tls->ctx = SSL_CTX_new(TLS_client_method());
	if (tls->ctx == NULL)
		note_failure(tls, "no TLS context could be made", 0);
	else
		outcome = load_files(tls);
	if (outcome == OUTCOME_ANSWERED)
	{
		set_policy(tls->ctx);
		if (!expect_peer(tls))
		{
			note_failure(tls, "no TLS connection could be made", 0);
			outcome = OUTCOME_NEXT;
		}
	}
	ERR_clear_error();
	return outcome;
}

/*
 * Our certificate with its key, and the one authority that is believed.  Read
 * while they are being replaced they may not fit each other, so that is worth
 * another try.
 */
static Outcome
load_files(Tls *tls)
{
	if (guc_tls_certificate_file[0] == '\0' || guc_tls_key_file[0] == '\0' || guc_tls_ca_file[0] == '\0')
	{
		strlcpy(tls->why, "\"pgbearer.tls_certificate_file\", \"pgbearer.tls_key_file\" and \"pgbearer.tls_ca_file\" must all be set",
				MAX_WHY);
		return OUTCOME_NEXT;
	}
	if (is_no_file(tls, "certificate", guc_tls_certificate_file) || is_no_file(tls, "authority", guc_tls_ca_file))
		return OUTCOME_NEXT;
	SSL_CTX_set_default_passwd_cb(tls->ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(tls->ctx, guc_tls_certificate_file) != 1)
		return file_failed(tls, "certificate", guc_tls_certificate_file);
	if (!check_ssl_key_file_permissions(guc_tls_key_file, false))
	{
		snprintf(tls->why, MAX_WHY, "private key file \"%s\" is not there or open to others, see the message before",
				 guc_tls_key_file);
		return OUTCOME_NEXT;
	}
	if (SSL_CTX_use_PrivateKey_file(tls->ctx, guc_tls_key_file, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(tls->ctx) != 1)
		return file_failed(tls, "private key", guc_tls_key_file);
	if (SSL_CTX_load_verify_locations(tls->ctx, guc_tls_ca_file, NULL) != 1)
		return file_failed(tls, "authority", guc_tls_ca_file);
	return OUTCOME_ANSWERED;
}

/*
 * To open a pipe that nobody writes to would wait, whatever this backend is
 * told.  What is not there at all is for OpenSSL to say; of the key,
 * check_ssl_key_file_permissions() sees to it.
 */
static bool
is_no_file(Tls *tls, const char *what, const char *file)
{
	struct stat status;

	if (stat(file, &status) != 0 || S_ISREG(status.st_mode))
		return false;
	snprintf(tls->why, MAX_WHY, "%s file \"%s\" is no regular file", what, file);
	return true;
}

static Outcome
file_failed(Tls *tls, const char *what, const char *file)
{
	char		said[MAX_WHY];

	snprintf(said, sizeof(said), "%s file \"%s\" cannot be used", what, file);
	note_failure(tls, said, errno);
	return OUTCOME_RETRY;
}

/*
 * TLS 1.3 alone; strict about certificates; nothing resumed, because each
 * login is to see what the files say now.
 */
static void
set_policy(SSL_CTX *ctx)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
	/* whether an answer is whole is told by its Content-Length */
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set1_groups_list(ctx, HYBRID_GROUPS) != 1)
		(void) SSL_CTX_set1_groups_list(ctx, GROUPS);
}

/*
 * A connection, and whose certificate it is to show.  A SPIFFE ID is compared
 * after the handshake: OpenSSL has no check for it.
 */
static bool
expect_peer(Tls *tls)
{
	tls->ssl = SSL_new(tls->ctx);
	if (tls->ssl == NULL)
		return false;
	if (tls->endpoint->kind == ENDPOINT_SPIFFE)
		return true;
	SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return SSL_set1_host(tls->ssl, tls->endpoint->peer_name) == 1 &&
		SSL_set_tlsext_host_name(tls->ssl, tls->endpoint->peer_name) == 1;
}

/*
 * One step of the handshake over the connected `sock`.  IO_DONE means that the
 * peer is who it is to be.
 */
IoResult
tls_handshake(Tls *tls, pgsocket sock)
{
	IoResult	result;

	ERR_clear_error();
	if (SSL_get_fd(tls->ssl) != sock && SSL_set_fd(tls->ssl, sock) != 1)
	{
		note_failure(tls, "no TLS connection could be made", 0);
		return IO_ENDED;
	}
	result = outcome_of(tls, SSL_connect(tls->ssl));
	if (result == IO_DONE && !peer_is_expected(tls))
		result = IO_ENDED;
	else if (result == IO_ENDED && tls->why[0] == '\0')
		strlcpy(tls->why, "the connection was closed during the TLS handshake", MAX_WHY);
	ERR_clear_error();
	return result;
}

/*
 * The certificate has been verified, and by name if one was set.
 */
static bool
peer_is_expected(Tls *tls)
{
	X509	   *certificate = SSL_get_peer_certificate(tls->ssl);

	tls->refused = certificate == NULL || SSL_get_verify_result(tls->ssl) != X509_V_OK ||
		(tls->endpoint->kind == ENDPOINT_SPIFFE && !has_spiffe_id(certificate, tls->endpoint->peer_name));
	if (tls->refused)
		snprintf(tls->why, MAX_WHY, "its certificate is not of %s", tls->endpoint->peer_name);
	X509_free(certificate);
	return !tls->refused;
}

/*
 * X509-SVID.md sections 2 and 5.2: exactly one URI, and not an authority's.
 */
static bool
has_spiffe_id(X509 *certificate, const char *id)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int			uris = 0;
	bool		same = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
	{
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_URI)
			continue;
		uris++;
		same = ASN1_STRING_length(name->d.uniformResourceIdentifier) == (int) strlen(id) &&
			memcmp(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier), id, strlen(id)) == 0;
	}
	GENERAL_NAMES_free(names);
	return same && uris == 1 && X509_check_ca(certificate) == 0;
}

/*
 * Encrypt and send what can be sent now.
 */
IoResult
tls_send(Tls *tls, const char *data, size_t len, size_t *done)
{
	IoResult	result;

	*done = 0;
	ERR_clear_error();
	result = outcome_of(tls, SSL_write_ex(tls->ssl, data, len, done));
	ERR_clear_error();
	return result;
}

/*
 * Decrypt what is here now.
 */
IoResult
tls_receive(Tls *tls, char *data, size_t room, size_t *done)
{
	IoResult	result;

	*done = 0;
	ERR_clear_error();
	result = outcome_of(tls, SSL_read_ex(tls->ssl, data, room, done));
	ERR_clear_error();
	return result;
}

/*
 * What went wrong, as the middle of a sentence; NULL if nothing did, or it is
 * not TLS that did.
 */
const char *
tls_why(const Tls *tls)
{
	return tls->why[0] != '\0' ? tls->why : NULL;
}

/*
 * Was it we who did not take the peer's certificate?
 */
bool
tls_peer_is_refused(const Tls *tls)
{
	return tls->refused;
}

void
tls_free(Tls *tls)
{
	SSL_free(tls->ssl);
	SSL_CTX_free(tls->ctx);
	pfree(tls);
}

/*
 * What a call that returned `returned` wants or came to.  A connection that is
 * merely gone leaves no reason.
 */
static IoResult
outcome_of(Tls *tls, int returned)
{
	int			saved_errno = errno;

	if (returned == 1)
		return IO_DONE;
	switch (SSL_get_error(tls->ssl, returned))
	{
		case SSL_ERROR_WANT_READ:
			return IO_WANTS_READ;
		case SSL_ERROR_WANT_WRITE:
			return IO_WANTS_WRITE;
		case SSL_ERROR_SSL:
			if (SSL_get_verify_result(tls->ssl) != X509_V_OK)
			{
				tls->refused = true;
				snprintf(tls->why, MAX_WHY, "its certificate is refused: %s",
						 X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl)));
			}
			else
				note_failure(tls, "TLS failed", saved_errno);
			return IO_ENDED;
		default:
			return IO_ENDED;
	}
}

/*
 * Keep OpenSSL's reason, and leave nothing of it in the queue.
 */
static void
note_failure(Tls *tls, const char *what, int saved_errno)
{
	unsigned long code = ERR_get_error();

	snprintf(tls->why, MAX_WHY, "%s: %s", what, openssl_said(code, saved_errno));
	ERR_clear_error();
}

/*
 * As SSLerrmessageExt() of be-secure-openssl.c, whose queue also holds errors
 * of the system, for which OpenSSL 3 has no words.
 */
static const char *
openssl_said(unsigned long code, int saved_errno)
{
	const char *reason = ERR_reason_error_string(code);

	if (reason != NULL)
		return reason;
#ifdef ERR_SYSTEM_ERROR
	if (ERR_SYSTEM_ERROR(code))
		return strerror(ERR_GET_REASON(code));
#endif
	return saved_errno != 0 ? strerror(saved_errno) : "no reason given";
}

/*
 * Without this, OpenSSL would ask whoever sits at the server's terminal.
 */
static int
no_passphrase(char *buf, int size pg_attribute_unused(), int rwflag pg_attribute_unused(),
			  void *userdata pg_attribute_unused())
{
	buf[0] = '\0';
	return 0;
}

#else							/* ! USE_OPENSSL */

/*
 * endpoint.c takes no endpoint that would come to any of the others.
 */
bool
tls_is_built_in(void)
{
	return false;
}

Tls *
tls_create(void)
{
	ereport(ERROR, errmsg("this PostgreSQL was built without OpenSSL"));
}

Outcome
tls_configure(Tls *tls pg_attribute_unused(), const Endpoint *endpoint pg_attribute_unused())
{
	return OUTCOME_NEXT;
}

IoResult
tls_handshake(Tls *tls pg_attribute_unused(), pgsocket sock pg_attribute_unused())
{
	return IO_ENDED;
}

IoResult
tls_send(Tls *tls pg_attribute_unused(), const char *data pg_attribute_unused(),
		 size_t len pg_attribute_unused(), size_t *done)
{
	*done = 0;
	return IO_ENDED;
}

IoResult
tls_receive(Tls *tls pg_attribute_unused(), char *data pg_attribute_unused(),
			size_t room pg_attribute_unused(), size_t *done)
{
	*done = 0;
	return IO_ENDED;
}

const char *
tls_why(const Tls *tls pg_attribute_unused())
{
	return NULL;
}

bool
tls_peer_is_refused(const Tls *tls pg_attribute_unused())
{
	return false;
}

void
tls_free(Tls *tls pg_attribute_unused())
{
}

#endif							/* USE_OPENSSL */
