/*-------------------------------------------------------------------------
 *
 * peer.c
 *	  Who may serve the socket that tokens are sent to.
 *
 * validator/pgmodule/peer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pwd.h>
#include <unistd.h>

#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "utils/guc.h"

#include "pgbearer.h"

typedef struct ServiceUser
{
	bool		set;
	bool		known;
	uid_t		uid;
	char		name[FLEXIBLE_ARRAY_MEMBER];
} ServiceUser;

static const ServiceUser *service_user = NULL;

static bool is_known_already(const char *name, uid_t *uid);
static bool parse_uid(const char *text, uid_t *uid);

/*
 * GUC check hook: a uid, or a name that is resolved here, once.
 *
 * A name that does not resolve is kept, and refuses every login until a reload
 * at which it does.  One that did is not asked for again: the postmaster, which
 * comes here at each reload, would let nobody in while a directory hangs, and
 * nobody by token once it has lost the name.  Nor do sessions that are already
 * in ask: they have no login before them.
 */
bool
check_service_user(char **newval, void **extra, GucSource source pg_attribute_unused())
{
	ServiceUser *user = guc_malloc(LOG, offsetof(ServiceUser, name) + strlen(*newval) + 1);
	const struct passwd *entry;

	if (user == NULL)
		return false;
	memset(user, 0, offsetof(ServiceUser, name));
	strcpy(user->name, *newval);
	user->set = (*newval)[0] != '\0';
	user->known = user->set && (parse_uid(*newval, &user->uid) || is_known_already(*newval, &user->uid));
	if (user->set && !user->known && (!IsUnderPostmaster || ClientAuthInProgress))
	{
		entry = getpwnam(*newval);
		user->known = entry != NULL;
		if (user->known)
			user->uid = entry->pw_uid;
		else
			ereport(LOG, errmsg("\"pgbearer.service_user\" names no user: \"%s\"", *newval));
	}
	*extra = user;
	return true;
}

void
assign_service_user(const char *newval pg_attribute_unused(), void *extra)
{
	service_user = extra;
}

/*
 * False if a user is configured that cannot be resolved.
 */
bool
service_user_is_known(void)
{
	return service_user == NULL || !service_user->set || service_user->known;
}

/*
 * May this peer be given a token?  Root could take it anyway, our own uid as
 * well; anybody else must have been named.
 */
bool
peer_is_trusted(pgsocket sock, uid_t *uid)
{
	gid_t		gid;

	*uid = (uid_t) -1;
	if (getpeereid(sock, uid, &gid) != 0)
		return false;
	return *uid == 0 || *uid == geteuid() ||
		(service_user != NULL && service_user->known && *uid == service_user->uid);
}

static bool
is_known_already(const char *name, uid_t *uid)
{
	if (service_user == NULL || !service_user->known || strcmp(service_user->name, name) != 0)
		return false;
	*uid = service_user->uid;
	return true;
}

static bool
parse_uid(const char *text, uid_t *uid)
{
	char	   *end;
	unsigned long value;

	if (strspn(text, "0123456789") != strlen(text))
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	*uid = (uid_t) value;
	return errno == 0 && *uid == value && *uid != (uid_t) -1;
}
