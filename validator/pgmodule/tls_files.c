/*-------------------------------------------------------------------------
 *
 * tls_files.c
 *	  What our certificate, its key and the authority come to: the context of
 *	  one login's TLS connections.
 *
 * Each login reads the files as they are then, once, for all its connections:
 * that is how a new certificate comes into use.
 *
 * validator/pgmodule/tls_files.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgbearer.h"

#ifdef USE_OPENSSL

#include <sys/stat.h>
#include <unistd.h>

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

struct TlsFiles
{
	SSL_CTX    *ctx;			/* NULL until they are good */
	char		why[MAX_TLS_WHY];	/* why they are not, without a full stop */
};

static Outcome load_files(TlsFiles *files);
static bool may_be_used(TlsFiles *files, const char *what, const char *file);
static Outcome file_failed(TlsFiles *files, const char *what, const char *file);
static bool set_policy(SSL_CTX *ctx);
static const char *openssl_said(unsigned long code, int saved_errno);
static int	no_passphrase(char *buf, int size, int rwflag, void *userdata);

/*
 * What tls_files_free() must be called for, whatever happens in between.
 */
TlsFiles *
tls_files_create(void)
{
	return palloc0(sizeof(TlsFiles));
}

/*
 * Read the files, unless that has been done.  Anything but OUTCOME_ANSWERED
 * means that they are of no use; tls_files_why() says why.
 */
Outcome
tls_files_read(TlsFiles *files)
{
	Outcome		outcome = OUTCOME_NEXT;

	if (files->ctx != NULL)
		return OUTCOME_ANSWERED;
	ERR_clear_error();
	files->ctx = SSL_CTX_new(TLS_client_method());
	if (files->ctx == NULL || !set_policy(files->ctx))
		tls_note_failure(files->why, "no TLS context could be made", 0);
	else
		outcome = load_files(files);
	if (outcome != OUTCOME_ANSWERED)
	{
		SSL_CTX_free(files->ctx);
		files->ctx = NULL;
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
load_files(TlsFiles *files)
{
	SSL_CTX    *ctx = files->ctx;

	if (guc_tls_certificate_file[0] == '\0' || guc_tls_key_file[0] == '\0' || guc_tls_ca_file[0] == '\0')
	{
		strlcpy(files->why, "\"pgbearer.tls_certificate_file\", \"pgbearer.tls_key_file\" and \"pgbearer.tls_ca_file\" must all be set",
				MAX_TLS_WHY);
		return OUTCOME_NEXT;
	}
	if (!may_be_used(files, "certificate", guc_tls_certificate_file) ||
		!may_be_used(files, "authority", guc_tls_ca_file))
		return OUTCOME_NEXT;
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(ctx, guc_tls_certificate_file) != 1)
		return file_failed(files, "certificate", guc_tls_certificate_file);
	if (!check_ssl_key_file_permissions(guc_tls_key_file, false))
	{
		snprintf(files->why, MAX_TLS_WHY, "private key file \"%s\" is not there or open to others, see the message before",
				 guc_tls_key_file);
		return OUTCOME_NEXT;
	}
	if (SSL_CTX_use_PrivateKey_file(ctx, guc_tls_key_file, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(ctx) != 1)
		return file_failed(files, "private key", guc_tls_key_file);
	if (SSL_CTX_load_verify_locations(ctx, guc_tls_ca_file, NULL) != 1)
		return file_failed(files, "authority", guc_tls_ca_file);
	return OUTCOME_ANSWERED;
}

/*
 * To open a pipe that nobody writes to would wait, whatever this backend is
 * told.  And whoever can write the authority can be the service, so its owner
 * and mode are as the key's must be, but for who may read it; links, as in a
 * Kubernetes volume, are followed.  What is not there at all is for OpenSSL to
 * say; of the key, check_ssl_key_file_permissions() sees to all this.
 */
static bool
may_be_used(TlsFiles *files, const char *what, const char *file)
{
	struct stat status;

	if (stat(file, &status) != 0)
		return true;
	if (!S_ISREG(status.st_mode))
		snprintf(files->why, MAX_TLS_WHY, "%s file \"%s\" is no regular file", what, file);
	else if (status.st_uid != geteuid() && status.st_uid != 0)
		snprintf(files->why, MAX_TLS_WHY, "%s file \"%s\" must belong to root or the server's user, not to uid %ld",
				 what, file, (long) status.st_uid);
	else if (status.st_mode & (S_IWGRP | S_IWOTH))
		snprintf(files->why, MAX_TLS_WHY, "%s file \"%s\" can be written by others", what, file);
	else
		return true;
	return false;
}

static Outcome
file_failed(TlsFiles *files, const char *what, const char *file)
{
	int			saved_errno = errno;
	char		said[MAX_TLS_WHY];

	snprintf(said, sizeof(said), "%s file \"%s\" cannot be used", what, file);
	tls_note_failure(files->why, said, saved_errno);
	return OUTCOME_RETRY;
}

/*
 * TLS 1.3 alone; strict about certificates; nothing resumed, because each
 * login is to see what the files say now.  False if any of that cannot be had.
 *
 * Without SSL_MODE_AUTO_RETRY a read ends after each record that brings no
 * data: a peer that sends nothing else cannot keep a backend from looking at
 * the clock.
 */
static bool
set_policy(SSL_CTX *ctx)
{
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
		X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT) != 1)
		return false;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
	/* whether an answer is whole is told by its Content-Length */
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	return SSL_CTX_set1_groups_list(ctx, HYBRID_GROUPS) == 1 ||
		SSL_CTX_set1_groups_list(ctx, GROUPS) == 1;
}

/*
 * The context, once tls_files_read() has made it.
 */
struct ssl_ctx_st *
tls_files_context(const TlsFiles *files)
{
	return files->ctx;
}

const char *
tls_files_why(const TlsFiles *files)
{
	return files->why;
}

void
tls_files_free(TlsFiles *files)
{
	SSL_CTX_free(files->ctx);
	pfree(files);
}

/*
 * Put OpenSSL's reason into `why`, of MAX_TLS_WHY bytes, and leave nothing of it in the queue.
 */
void
tls_note_failure(char *why, const char *what, int saved_errno)
{
	unsigned long code = ERR_get_error();

	snprintf(why, MAX_TLS_WHY, "%s: %s", what, openssl_said(code, saved_errno));
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
 * endpoint.c takes no endpoint for which the files would be read.
 */
TlsFiles *
tls_files_create(void)
{
	return NULL;
}

Outcome
tls_files_read(TlsFiles *files pg_attribute_unused())
{
	return OUTCOME_NEXT;
}

const char *
tls_files_why(const TlsFiles *files pg_attribute_unused())
{
	return "this PostgreSQL was built without OpenSSL";
}

void
tls_files_free(TlsFiles *files pg_attribute_unused())
{
}

#endif							/* USE_OPENSSL */
