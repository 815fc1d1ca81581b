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

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

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

/* What the bytes of a file are put to; false leaves the reason in OpenSSL's queue */
typedef bool (*Use) (SSL_CTX *ctx, BIO *bytes);

static Outcome load_files(TlsFiles *files);
static Outcome use_file(TlsFiles *files, const char *what, const char *file, bool secret, Use use);
static bool use_certificate(SSL_CTX *ctx, BIO *bytes);
static bool use_key(SSL_CTX *ctx, BIO *bytes);
static bool use_authority(SSL_CTX *ctx, BIO *bytes);
static X509 *next_certificate(BIO *bytes);
static bool nothing_follows(void);
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
	Outcome		outcome;

	if (guc_tls_certificate_file[0] == '\0' || guc_tls_key_file[0] == '\0' || guc_tls_ca_file[0] == '\0')
	{
		strlcpy(files->why, "\"pgbearer.tls_certificate_file\", \"pgbearer.tls_key_file\" and \"pgbearer.tls_ca_file\" must all be set",
				MAX_TLS_WHY);
		return OUTCOME_NEXT;
	}
	outcome = use_file(files, "certificate", guc_tls_certificate_file, false, use_certificate);
	if (outcome == OUTCOME_ANSWERED)
		outcome = use_file(files, "private key", guc_tls_key_file, true, use_key);
	if (outcome == OUTCOME_ANSWERED)
		outcome = use_file(files, "authority", guc_tls_ca_file, false, use_authority);
	return outcome;
}

/*
 * Whoever can write the authority can be the service, so of each file it is
 * the bytes of the one that was judged that count (trusted_file.c).
 */
static Outcome
use_file(TlsFiles *files, const char *what, const char *file, bool secret, Use use)
{
	char		why[MAX_TLS_WHY];
	FileContent content;
	Outcome		outcome = read_trusted_file(file, secret, &content, why);
	BIO		   *bytes;

	if (outcome == OUTCOME_ANSWERED)
	{
		bytes = BIO_new_mem_buf(content.data, (int) content.len);
		if (bytes == NULL || !use(files->ctx, bytes))
		{
			tls_note_failure(why, "cannot be used", 0);
			outcome = OUTCOME_RETRY;
		}
		BIO_free(bytes);
		forget_content(&content);
	}
	if (outcome != OUTCOME_ANSWERED)
		snprintf(files->why, MAX_TLS_WHY, "%s file \"%s\" %s", what, file, why);
	return outcome;
}

/*
 * Our certificate, and what its chain needs.
 */
static bool
use_certificate(SSL_CTX *ctx, BIO *bytes)
{
	X509	   *certificate = next_certificate(bytes);
	bool		used = certificate != NULL && SSL_CTX_use_certificate(ctx, certificate) == 1;

	X509_free(certificate);
	while (used && (certificate = next_certificate(bytes)) != NULL)
	{
		used = SSL_CTX_add1_chain_cert(ctx, certificate) == 1;
		X509_free(certificate);
	}
	return used && nothing_follows();
}

static bool
use_key(SSL_CTX *ctx, BIO *bytes)
{
	EVP_PKEY   *key = PEM_read_bio_PrivateKey(bytes, NULL, no_passphrase, NULL);
	bool		used = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;

	EVP_PKEY_free(key);
	return used;
}

/*
 * One certificate or more, of which each is an authority.
 */
static bool
use_authority(SSL_CTX *ctx, BIO *bytes)
{
	X509	   *certificate = next_certificate(bytes);
	bool		used = certificate != NULL;

	while (certificate != NULL)
	{
		used = used && X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), certificate) == 1;
		X509_free(certificate);
		certificate = used ? next_certificate(bytes) : NULL;
	}
	return used && nothing_follows();
}

static X509 *
next_certificate(BIO *bytes)
{
	return PEM_read_bio_X509(bytes, NULL, no_passphrase, NULL);
}

/*
 * Was what came after the last certificate no PEM at all?  A file that is cut
 * off is not taken for a shorter one.
 */
static bool
nothing_follows(void)
{
	unsigned long code = ERR_peek_last_error();

	if (ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
		return false;
	ERR_clear_error();
	return true;
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
