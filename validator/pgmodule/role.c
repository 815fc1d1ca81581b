/*-------------------------------------------------------------------------
 *
 * role.c
 *	  What the catalog says of the requested role.
 *
 * Privilege is judged by the catalog, never by a name.  Attributes are not
 * inherited, but SET ROLE takes them: so what is reported is the role's own
 * attributes and those of every role it is a member of, directly or not, and
 * whatever the options of the grants (a member who may not SET can often grant
 * it to himself).
 *
 * Runs in InitPostgres's transaction before a database is chosen: the shared
 * catalogs can be read there, nothing else.
 *
 * validator/pgmodule/role.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/catalog.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "utils/catcache.h"
#include "utils/syscache.h"

#include "pgbearer.h"

static void add_attributes(Oid roleid, RoleAttributes *attributes);
static List *add_memberships(Oid roleid, List *reachable);

/*
 * Fill `attributes` for `role`; one that does not exist has none.
 */
void
look_up_role(const char *role, RoleAttributes *attributes)
{
	Oid			roleid = GetSysCacheOid1(AUTHNAME, Anum_pg_authid_oid, CStringGetDatum(role));
	List	   *reachable;

	memset(attributes, 0, sizeof(*attributes));
	if (!OidIsValid(roleid))
		return;

	attributes->exists = true;
	reachable = list_make1_oid(roleid);
	for (int i = 0; i < list_length(reachable); i++)
	{
		add_attributes(list_nth_oid(reachable, i), attributes);
		reachable = add_memberships(list_nth_oid(reachable, i), reachable);
	}
}

static void
add_attributes(Oid roleid, RoleAttributes *attributes)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(roleid));
	Form_pg_authid form;

	if (!HeapTupleIsValid(tuple))
		return;					/* dropped a moment ago */

	form = (Form_pg_authid) GETSTRUCT(tuple);
	attributes->super |= form->rolsuper;
	attributes->replication |= form->rolreplication;
	attributes->createrole |= form->rolcreaterole;
	attributes->createdb |= form->rolcreatedb;
	attributes->bypassrls |= form->rolbypassrls;
	if (IsReservedName(NameStr(form->rolname)))
		attributes->member_of = lappend(attributes->member_of, pstrdup(NameStr(form->rolname)));
	ReleaseSysCache(tuple);
}

/*
 * Append to `reachable` the roles of which `roleid` is a member.
 */
static List *
add_memberships(Oid roleid, List *reachable)
{
	CatCList   *grants = SearchSysCacheList1(AUTHMEMMEMROLE, ObjectIdGetDatum(roleid));

	for (int i = 0; i < grants->n_members; i++)
	{
		HeapTuple	tuple = &grants->members[i]->tuple;

		reachable = list_append_unique_oid(reachable, ((Form_pg_auth_members) GETSTRUCT(tuple))->roleid);
	}
	ReleaseSysCacheList(grants);
	return reachable;
}
