/*-------------------------------------------------------------------------
 *
 * tls.c
 *	  One TLS connection, by the server's own OpenSSL, in the context that
 *	  tls_files.c makes for each login.
 *
 * Nothing of it stays.  The error queue is emptied before and after each
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

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct Tls
{
	SSL		   *ssl;
	const Endpoint *endpoint;
	bool		refused;		/* the peer's certificate, by us */
	bool		cut;			/* the connection, before the handshake was over, and nobody said why */
	char		why[MAX_TLS_WHY];	/* what went wrong, without a full stop; empty if nothing did */
};

static bool expect_peer(Tls *tls, const TlsFiles *files);
static bool peer_is_expected(Tls *tls);
static bool is_of(X509 *certificate, const Endpoint *endpoint);
static IoResult outcome_of(Tls *tls, int returned);

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
 * Get ready for a connection to `endpoint`, with what our files have come to.
 * False if that cannot be; tls_why() says why.
 */
bool
tls_configure(Tls *tls, const TlsFiles *files, const Endpoint *endpoint)
{
	bool		ready;

	tls->endpoint = endpoint;
	ERR_clear_error();
	ready = expect_peer(tls, files);
	if (!ready)
		tls_note_failure(tls->why, "no TLS connection could be made", 0);
	ERR_clear_error();
	return ready;
}

/*
 * A connection, and whose certificate it is to show.  A SPIFFE ID is compared
 * after the handshake: OpenSSL has no check for it.
 */
static bool
expect_peer(Tls *tls, const TlsFiles *files)
{
	tls->ssl = SSL_new(tls_files_context(files));
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
		tls_note_failure(tls->why, "no TLS connection could be made", 0);
		return IO_ENDED;
	}
	result = outcome_of(tls, SSL_connect(tls->ssl));
	if (result == IO_DONE && !peer_is_expected(tls))
		result = IO_ENDED;
	else if (result == IO_ENDED && tls->why[0] == '\0')
	{
		tls->cut = true;
		strlcpy(tls->why, "the connection was closed during the TLS handshake", MAX_TLS_WHY);
	}
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
		!is_of(certificate, tls->endpoint);
	if (tls->refused)
		snprintf(tls->why, MAX_TLS_WHY, "its certificate is not of %s", tls->endpoint->peer_name);
	X509_free(certificate);
	return !tls->refused;
}

/*
 * A certificate with a URI is known by that alone, as the service has it too:
 * the authority may have vouched for the SPIFFE ID and have let whoever it is
 * of choose the DNS names.  So of one that has a URI no DNS name counts, and a
 * SPIFFE ID counts as X509-SVID.md sections 2 and 5.2 want it: as the only
 * URI, and not an authority's.
 */
static bool
is_of(X509 *certificate, const Endpoint *endpoint)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	const char *id = endpoint->peer_name;
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
	if (endpoint->kind == ENDPOINT_HOSTNAME)
		return uris == 0;		/* the name itself was verified in the handshake, SSL_set1_host() */
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

/*
 * Did the handshake end without a word why?
 */
bool
tls_was_cut(const Tls *tls)
{
	return tls->cut;
}

void
tls_free(Tls *tls)
{
	SSL_free(tls->ssl);
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
				snprintf(tls->why, MAX_TLS_WHY, "its certificate is refused: %s",
						 X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl)));
			}
			else
				tls_note_failure(tls->why, "TLS failed", saved_errno);
			return IO_ENDED;
		default:
			return IO_ENDED;
	}
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

bool
tls_configure(Tls *tls pg_attribute_unused(), const TlsFiles *files pg_attribute_unused(),
			  const Endpoint *endpoint pg_attribute_unused())
{
	return false;
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

bool
tls_was_cut(const Tls *tls pg_attribute_unused())
{
	return false;
}

void
tls_free(Tls *tls pg_attribute_unused())
{
}

#endif							/* USE_OPENSSL */
