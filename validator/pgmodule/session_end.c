/*-------------------------------------------------------------------------
 *
 * session_end.c
 *	  Ends the session when its right does.
 *
 * Not with timeout.c: every ERROR switches its timers off
 * (disable_all_timeouts() in the error path of PostgresMain), and no hook runs
 * after each of them to arm one again.  A POSIX timer of our own is out of
 * reach of errors, savepoints and DISCARD ALL.  CLOCK_REALTIME with an absolute
 * time follows clock steps and suspend.
 *
 * The signal is SIGTERM to this very process, as pg_terminate_backend() would
 * send it: idle or in a query, the session ends at the next
 * CHECK_FOR_INTERRUPTS().  fork(2) hands no timer to children, execve(2) drops
 * it, so no program that the backend runs is ever hit.  Should it fire while
 * authentication is still going on, that ends in core's FATAL, which is a
 * denial.
 *
 * validator/pgmodule/session_end.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <time.h>

#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pgbearer.h"

typedef struct SessionEnd
{
	int64		at;				/* epoch ms */
	char	   *decision_id;
} SessionEnd;

static void log_session_end(int code, Datum arg);

/*
 * End this session at `ends_at` (epoch ms).  False if that cannot be arranged;
 * errno says why.
 */
bool
end_session_at(int64 ends_at, const char *decision_id)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGTERM};
	struct itimerspec at = {
		.it_value.tv_sec = ends_at / 1000,
		.it_value.tv_nsec = (ends_at % 1000) * 1000000,
	};
	timer_t		timer;
	SessionEnd *end;

	if (timer_create(CLOCK_REALTIME, &event, &timer) != 0)
		return false;
	if (timer_settime(timer, TIMER_ABSTIME, &at, NULL) != 0)
	{
		timer_delete(timer);
		return false;
	}

	end = MemoryContextAlloc(TopMemoryContext, sizeof(SessionEnd));
	end->at = ends_at;
	end->decision_id = MemoryContextStrdup(TopMemoryContext, decision_id);
	on_proc_exit(log_session_end, PointerGetDatum(end));
	return true;
}

/*
 * The client only sees core's "terminating connection due to administrator
 * command"; whoever reads the server log learns which decision ended.
 */
static void
log_session_end(int code pg_attribute_unused(), Datum arg)
{
	SessionEnd *end = (SessionEnd *) DatumGetPointer(arg);

	if (epoch_ms(GetCurrentTimestamp()) >= end->at)
		ereport(LOG,
				errmsg("OAuth session ended: its time is over"),
				errdetail("Decision %s allowed it until then.", end->decision_id));
}
