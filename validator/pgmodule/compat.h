/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The one place that knows which PostgreSQL the module is compiled for.
 *
 * validator/pgmodule/compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGBEARER_COMPAT_H
#define PGBEARER_COMPAT_H

#include "libpq/oauth.h"

#if PG_VERSION_NUM < 180000
#error "pgbearer needs PostgreSQL 18 or later: earlier servers have no OAuth"
#endif

/*
 * Put a refusal into the server log, and nowhere else.
 *
 * PostgreSQL 19 prints the validator's error_detail below its own FATAL
 * message (auth-oauth.c), so there it is one message; 18 has no such member,
 * and we log a message of our own.  Never sent to the client.
 */
static inline void
compat_report_refusal(ValidatorModuleResult *result, const char *reason, char *detail)
{
#if PG_VERSION_NUM >= 190000
	result->error_detail = psprintf("OAuth login refused: %s. %s", reason, detail);
#else
	(void) result;
	ereport(COMMERROR,
			errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			errmsg("OAuth login refused: %s", reason),
			errdetail_log("%s", detail));
#endif
}

#endif							/* PGBEARER_COMPAT_H */
