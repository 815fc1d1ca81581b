/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  One connection to the service: its socket, its TLS, and how to wait.
 *
 * Nothing here blocks.  Whoever waits does so in connection_wait(), which ends
 * at once when this backend is told to, the postmaster dies, or the client
 * goes away.
 *
 * validator/pgmodule/connection.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "storage/waiteventset.h"
#include "utils/wait_event.h"

#include "pgbearer.h"

/*
 * A socket that is not connected yet, non-blocking, counted among the
 * backend's files, closed in programs it runs.
 */
void
connection_open(Connection *conn, int family)
{
	memset(conn, 0, sizeof(*conn));
	conn->sock_pos = -1;
	if (!AcquireExternalFD())
		ereport(ERROR, errmsg("out of file descriptors for a socket to the service"));
	conn->sock = socket(family, SOCK_STREAM, 0);
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
 * Everything that can end a wait, in one set.  The service's socket, if there
 * is one, is its last member.
 */
void
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

void
connection_close(Connection *conn)
{
	if (conn->tls != NULL)
		tls_free(conn->tls);
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
bool
connection_wait(Connection *conn, uint32 events, int64 until)
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
 * Send what can be sent now.
 */
IoResult
connection_send(Connection *conn, const char *data, size_t len, size_t *done)
{
	ssize_t		n;

	if (conn->tls != NULL)
		return tls_send(conn->tls, data, len, done);
	do
		n = send(conn->sock, data, len, 0);
	while (n < 0 && errno == EINTR);
	*done = n < 0 ? 0 : n;
	if (n >= 0)
		return IO_DONE;
	return errno == EAGAIN || errno == EWOULDBLOCK ? IO_WANTS_WRITE : IO_ENDED;
}

/*
 * Receive what is here now.
 */
IoResult
connection_receive(Connection *conn, char *data, size_t room, size_t *done)
{
	ssize_t		n;

	if (conn->tls != NULL)
		return tls_receive(conn->tls, data, room, done);
	do
		n = recv(conn->sock, data, room, 0);
	while (n < 0 && errno == EINTR);
	*done = n < 0 ? 0 : n;
	if (n > 0)
		return IO_DONE;
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? IO_WANTS_READ : IO_ENDED;
}

/*
 * Wait for what an operation on the connection wants; as connection_wait().
 */
bool
connection_wait_for(Connection *conn, IoResult wanted, int64 until)
{
	return connection_wait(conn, wanted == IO_WANTS_READ ? WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE, until);
}
