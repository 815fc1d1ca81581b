/*-------------------------------------------------------------------------
 *
 * exchange.c
 *	  Asks the service: connects, sends, waits, reads, fails over.
 *
 * Everything is bounded by the login's deadline and ends at once when this
 * backend is told to, the postmaster dies, or the client goes away.  Fail over
 * happens as long as nobody has decided; once there is an answer it is final,
 * whatever it says.
 *
 * validator/pgmodule/exchange.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "storage/waiteventset.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "pgbearer.h"

/* Between attempts to connect, in ms: first and longest wait */
#define MIN_RETRY_WAIT 5
#define MAX_RETRY_WAIT 50

/* How one attempt at one endpoint ended */
typedef enum Outcome
{
	OUTCOME_ANSWERED,			/* a whole answer is here */
	OUTCOME_RETRY,				/* not there at this moment: after the others, again */
	OUTCOME_NEXT,				/* of no use for this login: the others */
	OUTCOME_FINAL,				/* nothing more to try */
} Outcome;

typedef struct Connection
{
	pgsocket	sock;
	WaitEventSet *set;
	int			sock_pos;		/* of the service's socket in the set */
	bool		client_gone;
} Connection;

typedef struct Reply
{
	char	   *data;
	size_t		len;
	bool		has_head;
	HttpHead	head;
} Reply;

static Outcome try_in_turn(Login *login, const Endpoint **endpoints, int *left, bool first,
						   const Block *request, Reply *reply);
static void truncate_trail(Login *login, int len);
static Outcome attempt(Login *login, const Endpoint *endpoint, int64 until, const Block *request, Reply *reply);
static Outcome converse(Login *login, const Endpoint *endpoint, Connection *conn, int64 until,
						const Block *request, Reply *reply);
static Outcome connect_to(Login *login, const Endpoint *endpoint, Connection *conn);
static bool send_request(Connection *conn, const Block *request, int64 until);
static Outcome receive_reply(Login *login, const Endpoint *endpoint, Connection *conn, int64 until, Reply *reply);
static bool judge(Login *login, const Endpoint *endpoint, Reply *reply, Outcome *outcome);
static void connection_open(Connection *conn);
static void connection_watch(Connection *conn);
static void connection_close(Connection *conn);
static bool wait_until(Connection *conn, uint32 events, int64 until);
static bool pause_between(Login *login, int64 until);
static Outcome lost(Login *login, const Endpoint *endpoint, const Connection *conn);

/*
 * Send `request` to the endpoints in turn until one has answered; *body is
 * then that answer's.  False, with the reason set, if none has.
 *
 * The time that is left is shared out among the endpoints that are left, so
 * that one that hangs does not take the others' share.
 */
bool
exchange(Login *login, const Block *request, char **body, size_t *body_len)
{
	const Endpoint *endpoints[MAX_ENDPOINTS];
	int			left = order_endpoints(endpoints);
	int64		connect_by = Min(monotonic_ms() + guc_connect_timeout, login->deadline);
	int			wait = MIN_RETRY_WAIT;
	Reply		reply = {.data = palloc(MAX_ANSWER_HEAD + MAX_ANSWER_BODY)};

	/* request.c has read the catalogs; nothing is read while waiting, so hold back no VACUUM (snapmgr.c) */
	InvalidateCatalogSnapshotConditionally();

	if (left == 0)
		return fail(login, FAULT_not_configured, "\"pgbearer.endpoints\" names no endpoint.");
	for (bool first = true;; first = false)
	{
		Outcome		outcome = try_in_turn(login, endpoints, &left, first, request, &reply);

		if (outcome == OUTCOME_ANSWERED)
		{
			*body = reply.data + reply.head.head_len;
			*body_len = reply.head.body_len;
			return true;
		}
		if (outcome == OUTCOME_FINAL || left == 0 || monotonic_ms() >= connect_by)
			return false;
		if (!pause_between(login, Min(monotonic_ms() + wait, connect_by)))
			return false;
		wait = Min(wait * 2, MAX_RETRY_WAIT);
	}
}

/*
 * Try each of the *left endpoints once, up to the first answer.  Those that
 * are worth another try are kept, in their order.
 */
static Outcome
try_in_turn(Login *login, const Endpoint **endpoints, int *left, bool first, const Block *request, Reply *reply)
{
	int			kept = 0;

	for (int i = 0; i < *left; i++)
	{
		const Endpoint *endpoint = endpoints[i];
		int64		now = monotonic_ms();
		int64		share = (login->deadline - now) / (*left - i + kept);
		int			said = login->trail.len;
		Outcome		outcome = attempt(login, endpoint, now + share, request, reply);

		if (outcome == OUTCOME_ANSWERED)
		{
			endpoint_is_up(endpoint);
			login->endpoint = endpoint->path;
		}
		if (outcome == OUTCOME_ANSWERED || outcome == OUTCOME_FINAL)
			return outcome;

		endpoint_is_down(endpoint);
		if (outcome == OUTCOME_RETRY)
		{
			endpoints[kept++] = endpoint;
			if (!first)			/* the log has it already */
				truncate_trail(login, said);
		}
	}
	*left = kept;
	return OUTCOME_NEXT;
}

static void
truncate_trail(Login *login, int len)
{
	login->trail.len = len;
	login->trail.data[len] = '\0';
}

/*
 * One attempt, whose socket is closed whichever way it ends.
 */
static Outcome
attempt(Login *login, const Endpoint *endpoint, int64 until, const Block *request, Reply *reply)
{
	Connection	conn;
	Outcome		outcome;

	connection_open(&conn);
	PG_TRY();
	{
		outcome = converse(login, endpoint, &conn, until, request, reply);
	}
	PG_FINALLY();
	{
		connection_close(&conn);
	}
	PG_END_TRY();
	return outcome;
}

static Outcome
converse(Login *login, const Endpoint *endpoint, Connection *conn, int64 until,
		 const Block *request, Reply *reply)
{
	Outcome		outcome = connect_to(login, endpoint, conn);

	if (outcome != OUTCOME_ANSWERED)
		return outcome;
	connection_watch(conn);
	if (!send_request(conn, request, until))
		return lost(login, endpoint, conn);
	return receive_reply(login, endpoint, conn, until, reply);
}

/*
 * Connect and check the peer.  OUTCOME_ANSWERED means that it may be talked to.
 *
 * A Unix socket connects at once or not at all.  Non-blocking, Linux says
 * EAGAIN while the backlog is full and gives nothing to poll for.
 */
static Outcome
connect_to(Login *login, const Endpoint *endpoint, Connection *conn)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	uid_t		uid;

	strlcpy(address.sun_path, endpoint->path, sizeof(address.sun_path));
	if (connect(conn->sock, (struct sockaddr *) &address, sizeof(address)) != 0)
	{
		Outcome		outcome = errno == EAGAIN || errno == ENOENT || errno == ECONNREFUSED ?
			OUTCOME_RETRY : OUTCOME_NEXT;

		fail(login, FAULT_service_unreachable, "Endpoint unix:%s could not be connected to: %m.", endpoint->path);
		return outcome;
	}
	if (!peer_is_trusted(conn->sock, &uid))
	{
		fail(login, FAULT_peer_refused, "Endpoint unix:%s is served by uid %ld.", endpoint->path, (long) uid);
		return OUTCOME_NEXT;
	}
	return OUTCOME_ANSWERED;
}

/*
 * False if time is up or the client gone.  A service that has closed its side
 * may have answered before it did: that is for receive_reply() to see.
 */
static bool
send_request(Connection *conn, const Block *request, int64 until)
{
	size_t		sent = 0;

	while (sent < request->len)
	{
		ssize_t		n = send(conn->sock, request->data + sent, request->len - sent, 0);

		if (n >= 0)
			sent += n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
		{
			if (!wait_until(conn, WL_SOCKET_WRITEABLE, until))
				return false;
		}
		else if (errno != EINTR)
			break;
	}
	return true;
}

static Outcome
receive_reply(Login *login, const Endpoint *endpoint, Connection *conn, int64 until, Reply *reply)
{
	Outcome		outcome;

	reply->len = 0;
	reply->has_head = false;
	for (;;)
	{
		size_t		room = MAX_ANSWER_HEAD + MAX_ANSWER_BODY - reply->len;
		ssize_t		n = recv(conn->sock, reply->data + reply->len, room, 0);

		if (n > 0)
		{
			reply->len += n;
			if (judge(login, endpoint, reply, &outcome))
				return outcome;
		}
		else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		{
			if (!wait_until(conn, WL_SOCKET_READABLE, until))
				return lost(login, endpoint, conn);
		}
		else if (n == 0 || errno != EINTR)
		{
			fail(login, FAULT_service_cut, "Endpoint unix:%s closed the connection after %zu bytes of its answer.",
				 endpoint->path, reply->len);
			return OUTCOME_NEXT;
		}
	}
}

/*
 * What the bytes so far amount to; false if more are needed to tell.
 */
static bool
judge(Login *login, const Endpoint *endpoint, Reply *reply, Outcome *outcome)
{
	const HttpHead *head = &reply->head;
	const char *error;
	HttpResult	result = reply->has_head ? HTTP_COMPLETE :
		parse_http_head(reply->data, reply->len, &reply->head, &error);

	if (result == HTTP_INCOMPLETE)
		return false;
	reply->has_head = (result == HTTP_COMPLETE);
	*outcome = OUTCOME_FINAL;
	if (result == HTTP_INVALID)
		fail(login, FAULT_answer_invalid, "Endpoint unix:%s: %s.", endpoint->path, error);
	else if (head->status == 503)
	{
		fail(login, FAULT_service_unavailable, "Endpoint unix:%s answered 503.", endpoint->path);
		*outcome = OUTCOME_NEXT;
	}
	else if (head->status != 200)
		fail(login, FAULT_answer_status, "Endpoint unix:%s answered status %d.", endpoint->path, head->status);
	else if (reply->len > head->head_len + head->body_len)
		fail(login, FAULT_answer_invalid, "Endpoint unix:%s sent more than its Content-Length.", endpoint->path);
	else if (reply->len < head->head_len + head->body_len)
		return false;
	else
		*outcome = OUTCOME_ANSWERED;
	return true;
}

/*
 * Why waiting ended without what was waited for.
 */
static Outcome
lost(Login *login, const Endpoint *endpoint, const Connection *conn)
{
	if (conn->client_gone)
	{
		fail(login, FAULT_client_gone, "The client closed its connection while endpoint unix:%s was being asked.",
			 endpoint->path);
		return OUTCOME_FINAL;
	}
	fail(login, FAULT_service_timeout, "Endpoint unix:%s did not answer in time.", endpoint->path);
	return OUTCOME_NEXT;
}

/*
 * A socket that is not connected yet, non-blocking, counted among the
 * backend's files, closed in programs it runs.
 */
static void
connection_open(Connection *conn)
{
	conn->set = NULL;
	conn->sock_pos = -1;
	conn->client_gone = false;
	if (!AcquireExternalFD())
		ereport(ERROR, errmsg("out of file descriptors for a socket to the service"));
	conn->sock = socket(AF_UNIX, SOCK_STREAM, 0);
	if (conn->sock == PGINVALID_SOCKET ||
		!pg_set_noblock(conn->sock) ||
		fcntl(conn->sock, F_SETFD, FD_CLOEXEC) != 0)
	{
		int			saved_errno = errno;

		connection_close(conn);
		errno = saved_errno;
		ereport(ERROR, errmsg("could not create a socket to the service: %m"));
	}
}

/*
 * Everything that can end a wait, in one set.  The service's socket, if
 * connected, is its last member.
 */
static void
connection_watch(Connection *conn)
{
	conn->set = CreateWaitEventSet(CurrentResourceOwner, 4);
	AddWaitEventToSet(conn->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(conn->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	if (WaitEventSetCanReportClosed())
		AddWaitEventToSet(conn->set, WL_SOCKET_CLOSED, MyProcPort->sock, NULL, NULL);
	if (conn->sock != PGINVALID_SOCKET)
		conn->sock_pos = AddWaitEventToSet(conn->set, WL_SOCKET_READABLE, conn->sock, NULL, NULL);
}

static void
connection_close(Connection *conn)
{
	if (conn->set != NULL)
		FreeWaitEventSet(conn->set);
	if (conn->sock != PGINVALID_SOCKET)
		closesocket(conn->sock);
	ReleaseExternalFD();
}

/*
 * Wait until `events` happen on the service's socket.
 *
 * False if the time comes first, or the client goes (conn->client_gone).
 * A request to end this backend does not return: during authentication
 * CHECK_FOR_INTERRUPTS() answers it with FATAL.
 */
static bool
wait_until(Connection *conn, uint32 events, int64 until)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = WaitEventExtensionNew("PgbearerService");
	if (conn->sock_pos >= 0)
		ModifyWaitEvent(conn->set, conn->sock_pos, events, NULL);
	for (;;)
	{
		WaitEvent	occurred[4];
		int64		left = until - monotonic_ms();
		int			n;
		bool		ready = false;

		if (left <= 0)
			return false;
		n = WaitEventSetWait(conn->set, left, occurred, lengthof(occurred), wait_event);
		for (int i = 0; i < n; i++)
		{
			if (occurred[i].events & WL_LATCH_SET)
				ResetLatch(MyLatch);
			else if (occurred[i].events & WL_SOCKET_CLOSED)
				conn->client_gone = true;
			else
				ready = true;
		}
		CHECK_FOR_INTERRUPTS();
		if (conn->client_gone)
			return false;
		if (ready)
			return true;
	}
}

/*
 * Wait without a service socket, before trying again to connect.  False if
 * the client is gone.
 */
static bool
pause_between(Login *login, int64 until)
{
	Connection	conn = {.sock = PGINVALID_SOCKET, .sock_pos = -1};

	connection_watch(&conn);
	wait_until(&conn, 0, until);
	FreeWaitEventSet(conn.set);
	if (conn.client_gone)
		return fail(login, FAULT_client_gone, "The client closed its connection while the service was unreachable.");
	return true;
}
