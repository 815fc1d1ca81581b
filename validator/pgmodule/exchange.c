/*-------------------------------------------------------------------------
 *
 * exchange.c
 *	  Asks the service: sends, reads, fails over.
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

#include "storage/waiteventset.h"
#include "utils/snapmgr.h"

#include "pgbearer.h"

/* Between attempts to connect, in ms: first and longest wait */
#define MIN_RETRY_WAIT 5
#define MAX_RETRY_WAIT 50

typedef struct Reply
{
	char	   *data;
	size_t		len;
	bool		has_head;
	HttpHead	head;
} Reply;

static bool ask_until_answered(Login *login, const Block *request, Reply *reply);
static Outcome try_in_turn(Login *login, const Endpoint **endpoints, int *left, bool first,
						   const Block *request, Reply *reply);
static void truncate_trail(Login *login, int len);
static Outcome attempt(Login *login, const Endpoint *endpoint, int64 until, const Block *request, Reply *reply);
static Outcome converse(Login *login, const Endpoint *endpoint, Connection *conn, int64 until,
						const Block *request, Reply *reply);
static bool send_request(Connection *conn, const Block *request, int64 until);
static Outcome receive_reply(Login *login, const Endpoint *endpoint, Connection *conn, int64 until, Reply *reply);
static bool judge(Login *login, const Endpoint *endpoint, Reply *reply, Outcome *outcome);
static bool pause_between(Login *login, int64 until);
static Outcome lost(Login *login, const Endpoint *endpoint, const Connection *conn);
static Outcome cut_off(Login *login, const Endpoint *endpoint, const Connection *conn, size_t received);
static bool was_asked(const Login *login, const Endpoint *endpoint);

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
	volatile bool answered = false;
	Reply		reply = {.data = palloc(MAX_ANSWER_HEAD + MAX_ANSWER_BODY)};

	/* request.c has read the catalogs; nothing is read while waiting, so hold back no VACUUM (snapmgr.c) */
	InvalidateCatalogSnapshotConditionally();

	login->tls_files = tls_is_built_in() ? tls_files_create() : NULL;
	PG_TRY();
	{
		answered = ask_until_answered(login, request, &reply);
	}
	PG_FINALLY();
	{
		if (login->tls_files != NULL)
			tls_files_free(login->tls_files);
		login->tls_files = NULL;
	}
	PG_END_TRY();
	if (answered)
	{
		*body = reply.data + reply.head.head_len;
		*body_len = reply.head.body_len;
	}
	return answered;
}

/*
 * Try the endpoints, and what is worth it again until the time to connect is
 * over.
 *
 * Where names are configured and nobody has answered, the worker is asked to
 * look them up now, and what it finds is tried in the same login, which has
 * the time to connect once more for that: a name may have moved since, or the
 * server has just started.
 */
static bool
ask_until_answered(Login *login, const Block *request, Reply *reply)
{
	const Endpoint *endpoints[MAX_TRIES];
	uint32		changes = names_changes();
	uint32		asked = 0;
	int			left = order_endpoints(endpoints);
	int64		connect_by = Min(monotonic_ms() + guc_connect_timeout, login->deadline);
	int			wait = MIN_RETRY_WAIT;
	bool		named = any_names();
	bool		anew = true;
	bool		waits_for_names = false;

	if (left == 0)
		return fail(login, FAULT_not_configured, "\"pgbearer.endpoints\" names no endpoint.");
	for (;;)
	{
		Outcome		outcome = try_in_turn(login, endpoints, &left, anew, request, reply);

		if (outcome == OUTCOME_ANSWERED)
			return true;
		if (outcome == OUTCOME_FINAL)
			return false;
		if (named && !waits_for_names)
		{
			waits_for_names = true;
			asked = names_ask();
			connect_by = Min(monotonic_ms() + guc_connect_timeout, login->deadline);
		}
		/* asked in this order: what a look-up that is over has found shows as a change */
		if (monotonic_ms() >= connect_by ||
			(left == 0 && !(waits_for_names && names_awaited(asked)) && changes == names_changes()))
			return false;
		if (!pause_between(login, Min(monotonic_ms() + wait, connect_by)))
			return false;
		wait = Min(wait * 2, MAX_RETRY_WAIT);
		anew = changes != names_changes();
		if (anew)
		{
			changes = names_changes();
			left = order_endpoints(endpoints);
		}
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
			login->endpoint = endpoint->label;
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
	volatile Outcome outcome = OUTCOME_FINAL;

	if (endpoint->address_len == 0)
		return no_address(login, endpoint);
	if (was_asked(login, endpoint))
		return OUTCOME_NEXT;
	connection_open(&conn, endpoint->address.ss_family);
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
	Outcome		outcome = connect_to(login, endpoint, conn, until);

	if (outcome != OUTCOME_ANSWERED)
		return outcome;
	if (!send_request(conn, request, until))
		return lost(login, endpoint, conn);
	return receive_reply(login, endpoint, conn, until, reply);
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
		size_t		n;
		IoResult	result = connection_send(conn, request->data + sent, request->len - sent, &n);

		sent += n;
		if (result == IO_ENDED)
			break;
		if (result != IO_DONE && !connection_wait_for(conn, result, until))
			return false;
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
		size_t		n;
		IoResult	result = connection_receive(conn, reply->data + reply->len, room, &n);

		if (result == IO_ENDED)
			return cut_off(login, endpoint, conn, reply->len);
		if (result != IO_DONE && !connection_wait_for(conn, result, until))
			return lost(login, endpoint, conn);
		reply->len += n;
		if (n > 0 && judge(login, endpoint, reply, &outcome))
			return outcome;
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
		fail(login, FAULT_answer_invalid, "Endpoint %s: %s.", endpoint->label, error);
	else if (head->status == 503)
	{
		fail(login, FAULT_service_unavailable, "Endpoint %s answered 503.", endpoint->label);
		*outcome = OUTCOME_NEXT;
	}
	else if (head->status == 403)
		fail(login, FAULT_caller_refused, "Endpoint %s does not know this server.", endpoint->label);
	else if (head->status != 200)
		fail(login, FAULT_answer_status, "Endpoint %s answered status %d.", endpoint->label, head->status);
	else if (reply->len > head->head_len + head->body_len)
		fail(login, FAULT_answer_invalid, "Endpoint %s sent more than its Content-Length.", endpoint->label);
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
		return client_gone(login, endpoint);
	login->asked = lappend(login->asked, unconstify(Endpoint *, endpoint));
	fail(login, FAULT_service_timeout, "Endpoint %s did not answer in time.", endpoint->label);
	return OUTCOME_NEXT;
}

/*
 * Nobody waits for the answer any more.
 */
Outcome
client_gone(Login *login, const Endpoint *endpoint)
{
	fail(login, FAULT_client_gone, "The client closed its connection while endpoint %s was being asked.",
		 endpoint->label);
	return OUTCOME_FINAL;
}

/*
 * The connection ended before the answer was whole.  Over TLS 1.3 that is also
 * how a service says that it does not take our certificate: by then our side of
 * the handshake is over.
 *
 * It may have decided, and have recorded that.  So it is not asked again, nor
 * is one that was too slow: who has been sent a request decides once, or not
 * at all.
 */
static Outcome
cut_off(Login *login, const Endpoint *endpoint, const Connection *conn, size_t received)
{
	const char *alert = conn->tls ? tls_why(conn->tls) : NULL;

	login->asked = lappend(login->asked, unconstify(Endpoint *, endpoint));
	if (alert != NULL)
		fail(login, FAULT_tls_failed, "Endpoint %s: %s.", endpoint->label, alert);
	else
		fail(login, FAULT_service_cut, "Endpoint %s closed the connection after %zu bytes of its answer.",
			 endpoint->label, received);
	return OUTCOME_NEXT;
}

/*
 * Has the same address been sent the request, and may have decided?  Names are
 * looked up again within a login, and an address may be configured twice.
 */
static bool
was_asked(const Login *login, const Endpoint *endpoint)
{
	foreach_ptr(const Endpoint, asked, login->asked)
	{
		if (asked->address_len == endpoint->address_len &&
			memcmp(&asked->address, &endpoint->address, asked->address_len) == 0)
			return true;
	}
	return false;
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
	connection_wait(&conn, 0, until);
	FreeWaitEventSet(conn.set);
	if (conn.client_gone)
		return fail(login, FAULT_client_gone, "The client closed its connection while the service was unreachable.");
	return true;
}
