/*-------------------------------------------------------------------------
 *
 * passwords.c
 *	  Keeps roles that log in through OAuth from being given a password.
 *
 * A password would be a second way in, beside every rule and revocation, as
 * soon as some HBA line asks for one.  pgbearer.forbid_passwords lists whom
 * that concerns in the manner of pg_hba.conf: role names, +group for the
 * members of a role, * for everybody.
 *
 * The check sees every CREATE or ALTER ROLE ... PASSWORD, hashed or not, by
 * superusers too; PASSWORD NULL is always allowed.  Nor may whom it concerns
 * give one to a role that it has become, by SET ROLE: that role, say the owner
 * of a schema, is not among them.  What they leave to be run as that role, in
 * the session of somebody else or of autovacuum, may not do it either; only in
 * a session of the role itself is it the role, so one that people may become
 * and that logs in by a password is to be named too, or have none of them as
 * members.  The check sees neither passwords
 * that are there already nor how a role with one comes to be among those named
 * (CREATE ROLE ... IN ROLE, GRANT, RENAME): whoever may create roles gets
 * around it.
 *
 * validator/pgmodule/passwords.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/user.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "pgbearer.h"

static check_password_hook_type prev_check_password_hook = NULL;

static void refuse_password(const char *username, const char *shadow_pass, PasswordType password_type,
							Datum validuntil_time, bool validuntil_null);
static bool has_become(const char *username);
static bool runs_in_anothers_session(void);
static bool is_forbidden(const char *username);
static bool names_role(const char *entry, const char *username);

void
passwords_init(void)
{
	prev_check_password_hook = check_password_hook;
	check_password_hook = refuse_password;
}

/*
 * GUC check hook: a list that can be split.
 */
bool
check_forbid_passwords(char **newval, void **extra pg_attribute_unused(),
					   GucSource source pg_attribute_unused())
{
	char	   *copy = pstrdup(*newval);
	List	   *entries;
	bool		ok = SplitGUCList(copy, ',', &entries);

	if (!ok)
		GUC_check_errdetail("List syntax is invalid.");
	list_free(entries);
	pfree(copy);
	return ok;
}

static void
refuse_password(const char *username, const char *shadow_pass, PasswordType password_type,
				Datum validuntil_time, bool validuntil_null)
{
	if (prev_check_password_hook)
		prev_check_password_hook(username, shadow_pass, password_type, validuntil_time, validuntil_null);

	if (is_forbidden(username))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PASSWORD),
				errmsg("role \"%s\" must not have a password", username),
				errdetail("It logs in through OAuth only: \"pgbearer.forbid_passwords\" names it."),
				errhint("Log in with a token. PASSWORD NULL removes a password that is there."));
	if (has_become(username) && is_forbidden(GetUserNameFromId(GetSessionUserId(), false)))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PASSWORD),
				errmsg("role \"%s\" must not be given a password in a session of role \"%s\"",
					   username, GetUserNameFromId(GetSessionUserId(), false)),
				errdetail("\"pgbearer.forbid_passwords\" names the role that logged in."),
				errhint("Log in as somebody whose right it is to give passwords."));
	if (has_become(username) && guc_forbid_passwords[0] != '\0' && runs_in_anothers_session())
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PASSWORD),
				errmsg("role \"%s\" must not be given a password by what runs as it in a session of role \"%s\"",
					   username, GetUserNameFromId(GetSessionUserId(), false)),
				errdetail("Whoever may become the role may have written that, and \"pgbearer.forbid_passwords\" may name them."),
				errhint("Log in as somebody whose right it is to give passwords, and run ALTER ROLE itself."));
}

/*
 * Does somebody change a role by being it, after SET ROLE?  Then PostgreSQL
 * asks for no right over it (AlterRole in user.c).
 */
static bool
has_become(const char *username)
{
	return GetUserId() != GetSessionUserId() && GetUserId() == get_role_oid(username, true);
}

/*
 * Does a function run here as its owner, or an index's as the table's (ANALYZE,
 * REINDEX, also by autovacuum)?  SET ROLE alone is neither.
 */
static bool
runs_in_anothers_session(void)
{
	return InLocalUserIdChange() || InSecurityRestrictedOperation();
}

static bool
is_forbidden(const char *username)
{
	char	   *copy = pstrdup(guc_forbid_passwords);
	List	   *entries;

	if (!SplitGUCList(copy, ',', &entries))
		return true;			/* the check hook lets none of these in */
	foreach_ptr(char, entry, entries)
	{
		if (names_role(entry, username))
			return true;
	}
	return false;
}

/*
 * A role that is just being created belongs to no group yet, so +group finds
 * it only by its own name.
 */
static bool
names_role(const char *entry, const char *username)
{
	Oid			group;
	Oid			member;

	if (strcmp(entry, "*") == 0 || strcmp(entry, username) == 0)
		return true;
	if (entry[0] != '+')
		return false;
	group = get_role_oid(entry + 1, true);
	member = get_role_oid(username, true);
	return OidIsValid(group) && OidIsValid(member) && is_member_of_role_nosuper(member, group);
}
