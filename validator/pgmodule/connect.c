/*-------------------------------------------------------------------------
 *
 * connect.c
 *	  From an endpoint to a connection with somebody who may be given a token.
 *
 * Over a Unix socket the kernel says who serves it (peer.c), over the network
 * a certificate does (tls.c).  Not a byte of a request is sent before.
 *
 * validator/pgmodule/connect.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "storage/waiteventset.h"

#include "pgbearer.h"

/* Handshakes cut without a word, for one login: a service that makes room for others is worth another try */
#define MAX_CUTS 3

static Outcome connect_unix(Login *login, const Endpoint *endpoint, Connection *conn);
static Outcome connect_network(Login *login, const Endpoint *endpoint, Connection *conn, int64 until);
static Outcome connect_tcp(Login *login, const Endpoint *endpoint, Connection *conn, int64 until);
static Outcome shake_hands(Login *login, const Endpoint *endpoint, Connection *conn, int64 until);
static Outcome cut_short(Login *login);
static Outcome not_connected(Login *login, const Endpoint *endpoint, int why);
static Outcome too_slow(Login *login, const Endpoint *endpoint, const Connection *conn, const char *at);

/*
 * Connect and check the peer.  OUTCOME_ANSWERED means that it may be talked
 * to; conn->set is then there to wait with.
 */
Outcome
connect_to(Login *login, const Endpoint *endpoint, Connection *conn, int64 until)
{
	if (endpoint->kind == ENDPOINT_UNIX)
		return connect_unix(login, endpoint, conn);
	return connect_network(login, endpoint, conn, Min(until, monotonic_ms() + guc_connect_timeout));
}

/*
 * A Unix socket connects at once or not at all.  Non-blocking, Linux says
 * EAGAIN while the backlog is full and gives nothing to poll for.
 */
static Outcome
connect_unix(Login *login, const Endpoint *endpoint, Connection *conn)
{
	uid_t		uid;

	if (connect(conn->sock, (const struct sockaddr *) &endpoint->address, endpoint->address_len) != 0)
		return not_connected(login, endpoint, errno);
	if (!peer_is_trusted(conn->sock, &uid))
	{
		fail(login, FAULT_peer_refused, "Endpoint %s is served by uid %ld.", endpoint->label, (long) uid);
		return OUTCOME_NEXT;
	}
	connection_watch(conn);
	return OUTCOME_ANSWERED;
}

/*
 * Our files are read before anybody is connected to.
 */
static Outcome
connect_network(Login *login, const Endpoint *endpoint, Connection *conn, int64 until)
{
	Outcome		outcome;

	outcome = tls_files_read(login->tls_files);
	if (outcome != OUTCOME_ANSWERED)
	{
		fail(login, FAULT_tls_files_unusable, "Endpoint %s was not tried: %s.", endpoint->label,
			 tls_files_why(login->tls_files));
		return outcome;
	}
	conn->tls = tls_create();
	if (!tls_configure(conn->tls, login->tls_files, endpoint))
	{
		fail(login, FAULT_tls_failed, "Endpoint %s was not tried: %s.", endpoint->label, tls_why(conn->tls));
		return OUTCOME_NEXT;
	}
	outcome = connect_tcp(login, endpoint, conn, until);
	if (outcome == OUTCOME_ANSWERED)
		outcome = shake_hands(login, endpoint, conn, until);
	return outcome;
}

static Outcome
connect_tcp(Login *login, const Endpoint *endpoint, Connection *conn, int64 until)
{
	int			on = 1;
	int			why = 0;
	socklen_t	len = sizeof(why);

	/* else the request waits for the handshake's last words to be acknowledged (Nagle) */
	(void) setsockopt(conn->sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(conn->sock, (const struct sockaddr *) &endpoint->address, endpoint->address_len) != 0 &&
		errno != EINPROGRESS && errno != EINTR)
		return not_connected(login, endpoint, errno);
	connection_watch(conn);
	if (!connection_wait(conn, WL_SOCKET_CONNECTED, until))
		return too_slow(login, endpoint, conn, "be connected to");
	if (getsockopt(conn->sock, SOL_SOCKET, SO_ERROR, &why, &len) != 0)
		why = errno;
	return why == 0 ? OUTCOME_ANSWERED : not_connected(login, endpoint, why);
}

static Outcome
shake_hands(Login *login, const Endpoint *endpoint, Connection *conn, int64 until)
{
	IoResult	result;

	while ((result = tls_handshake(conn->tls, conn->sock)) != IO_DONE)
	{
		if (result == IO_ENDED)
		{
			fail(login, tls_peer_is_refused(conn->tls) ? FAULT_peer_refused : FAULT_tls_failed,
				 "Endpoint %s: %s.", endpoint->label, tls_why(conn->tls));
			return tls_was_cut(conn->tls) ? cut_short(login) : OUTCOME_NEXT;
		}
		if (!connection_wait_for(conn, result, until))
			return too_slow(login, endpoint, conn, "finish its TLS handshake");
	}
	return OUTCOME_ANSWERED;
}

/*
 * Nothing of the request has been sent, so whoever it was has decided nothing.
 */
static Outcome
cut_short(Login *login)
{
	return login->cuts++ < MAX_CUTS ? OUTCOME_RETRY : OUTCOME_NEXT;
}

/*
 * What restarts, or has no room at this moment, is tried again.
 */
static Outcome
not_connected(Login *login, const Endpoint *endpoint, int why)
{
	errno = why;
	fail(login, FAULT_service_unreachable, "Endpoint %s could not be connected to: %m.", endpoint->label);
	return why == EAGAIN || why == ENOENT || why == ECONNREFUSED ? OUTCOME_RETRY : OUTCOME_NEXT;
}

static Outcome
too_slow(Login *login, const Endpoint *endpoint, const Connection *conn, const char *at)
{
	if (conn->client_gone)
		return client_gone(login, endpoint);
	fail(login, FAULT_service_unreachable, "Endpoint %s did not %s in time.", endpoint->label, at);
	return OUTCOME_NEXT;
}
