/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What the service said: read, checked, and compared with what was asked.
 *
 * Only an answer that is whole, well typed, ours and still valid can allow.
 *
 * validator/pgmodule/answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "pgbearer.h"

typedef enum Member
{
	MEMBER_V,
	MEMBER_REQUEST_ID,
	MEMBER_ROLE,
	MEMBER_DATABASE,
	MEMBER_DECISION,
	MEMBER_DECISION_ID,
	MEMBER_REASON,
	MEMBER_IDENTITY,
	MEMBER_ENDS_AT,
	MEMBER_ENDS_IN_MS,
	MEMBER_CLAIMS,
	MEMBER_COUNT,
} Member;

/* The members we know; others are ignored, so that a newer service can say more */
static const struct
{
	const char *name;
	JsonKind	kind;
	bool		nullable;
	bool		required;		/* of every answer */
}			members[MEMBER_COUNT] =
{
	[MEMBER_V] = {"v", JSON_INTEGER, false, true},
	[MEMBER_REQUEST_ID] = {"request_id", JSON_STRING, false, true},
	[MEMBER_ROLE] = {"role", JSON_STRING, false, true},
	[MEMBER_DATABASE] = {"database", JSON_STRING, false, true},
	[MEMBER_DECISION] = {"decision", JSON_STRING, false, true},
	[MEMBER_DECISION_ID] = {"decision_id", JSON_STRING, false, true},
	[MEMBER_REASON] = {"reason", JSON_STRING, false, true},
	[MEMBER_IDENTITY] = {"identity", JSON_STRING, true, false},
	[MEMBER_ENDS_AT] = {"ends_at", JSON_INTEGER, true, false},
	[MEMBER_ENDS_IN_MS] = {"ends_in_ms", JSON_INTEGER, true, false},
	[MEMBER_CLAIMS] = {"claims", JSON_OBJECT, false, false},
};

typedef struct Members
{
	bool		seen[MEMBER_COUNT];
	JsonValue	values[MEMBER_COUNT];
} Members;

static bool collect_member(void *arg, const char *name, const JsonValue *value, const char **error);
static bool check_required(Login *login, const Members *found);
static bool check_echo(Login *login, const Members *found);
static bool check_decision(Login *login, const Members *found, bool *allow);
static bool read_identity(Login *login, const Members *found, Answer *answer);
static bool read_end(Login *login, const Members *found, Answer *answer);
static bool is_code(const char *text, const char *allowed);
static bool has_forbidden_character(const char *utf8);

/*
 * Read `body`.  True means that it is an answer to this login, allow or deny;
 * false that it is a fault, with the reason set.  What a denial says is left
 * in login->reason and login->decision_id.
 */
bool
read_answer(Login *login, const char *body, size_t len, Answer *answer)
{
	Members    *found = palloc0(sizeof(Members));
	const char *error;
	bool		allow;

	memset(answer, 0, sizeof(*answer));
	if (pg_encoding_verifymbstr(PG_UTF8, body, len) != (int) len)
		return fail(login, FAULT_answer_invalid, "The answer is not valid UTF-8.");
	if (!read_json_object(body, len, collect_member, found, &error))
		return fail(login, FAULT_answer_invalid, "The answer cannot be read: %s.", error);
	if (!check_required(login, found) || !check_echo(login, found) || !check_decision(login, found, &allow))
		return false;
	if (allow && (!read_identity(login, found, answer) || !read_end(login, found, answer)))
		return false;

	login->decision_id = found->values[MEMBER_DECISION_ID].string;
	login->reason = found->values[MEMBER_REASON].string;
	answer->allow = allow;
	return true;
}

static bool
collect_member(void *arg, const char *name, const JsonValue *value, const char **error)
{
	Members    *found = (Members *) arg;

	for (int i = 0; i < MEMBER_COUNT; i++)
	{
		if (strcmp(name, members[i].name) != 0)
			continue;
		if (found->seen[i])
		{
			*error = psprintf("member \"%s\" appears twice", name);
			return false;
		}
		if (value->kind != members[i].kind && !(value->kind == JSON_NULL && members[i].nullable))
		{
			*error = psprintf("member \"%s\" has a wrong type", name);
			return false;
		}
		found->seen[i] = true;
		found->values[i] = *value;
		break;
	}
	return true;
}

static bool
check_required(Login *login, const Members *found)
{
	for (int i = 0; i < MEMBER_COUNT; i++)
	{
		if (members[i].required && !found->seen[i])
			return fail(login, FAULT_answer_invalid, "The answer has no member \"%s\".", members[i].name);
	}
	if (found->values[MEMBER_V].integer != PROTOCOL_VERSION)
		return fail(login, FAULT_answer_invalid, "The answer is of another protocol version than %d.", PROTOCOL_VERSION);
	return true;
}

/*
 * The answer says whom it is about, so that one given for somebody else, by
 * a mixed-up or malicious service, lets nobody in.
 */
static bool
check_echo(Login *login, const Members *found)
{
	if (strcmp(found->values[MEMBER_REQUEST_ID].string, login->request_id) != 0)
		return fail(login, FAULT_answer_mismatch, "The answer is for another request.");
	if (strcmp(found->values[MEMBER_ROLE].string, login->role) != 0)
		return fail(login, FAULT_answer_mismatch, "The answer is for another role.");
	if (strcmp(found->values[MEMBER_DATABASE].string, login->database) != 0)
		return fail(login, FAULT_answer_mismatch, "The answer is for another database.");
	return true;
}

/*
 * The decision, its id and its reason.  The latter two go into the server log,
 * so they are what they should be or the answer is none.
 */
static bool
check_decision(Login *login, const Members *found, bool *allow)
{
	const char *decision = found->values[MEMBER_DECISION].string;

	if (!is_code(found->values[MEMBER_DECISION_ID].string,
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"))
		return fail(login, FAULT_answer_invalid, "The answer's decision id is not one.");
	if (!is_code(found->values[MEMBER_REASON].string, "abcdefghijklmnopqrstuvwxyz0123456789_"))
		return fail(login, FAULT_answer_invalid, "The answer's reason is not one.");

	*allow = strcmp(decision, "allow") == 0;
	if (!*allow && strcmp(decision, "deny") != 0)
		return fail(login, FAULT_answer_invalid, "The answer's decision is neither \"allow\" nor \"deny\".");
	return true;
}

/*
 * Who the session will be (system_user).  It is kept as the UTF-8 it came in:
 * the conversion procedures of the database cannot be reached before there is
 * one.  What would forge lines or reorder text in logs is refused.
 */
static bool
read_identity(Login *login, const Members *found, Answer *answer)
{
	char	   *identity = found->values[MEMBER_IDENTITY].string;

	if (identity == NULL || identity[0] == '\0')
		return fail(login, FAULT_answer_invalid, "The answer allows, but names no identity.");
	if (strlen(identity) > MAX_IDENTITY)
		return fail(login, FAULT_answer_invalid, "The answer's identity is longer than %d bytes.", MAX_IDENTITY);
	if (has_forbidden_character(identity))
		return fail(login, FAULT_answer_invalid, "The answer's identity holds a control character.");
	answer->identity = identity;
	return true;
}

/*
 * When the session ends: ends_at by the service's clock or ends_in_ms from
 * now, whichever is earlier, so that a clock behind the service's prolongs
 * nothing.
 */
static bool
read_end(Login *login, const Members *found, Answer *answer)
{
	int64		now = epoch_ms(GetCurrentTimestamp());
	bool		absolute = found->values[MEMBER_ENDS_AT].kind == JSON_INTEGER;
	bool		relative = found->seen[MEMBER_ENDS_IN_MS] && found->values[MEMBER_ENDS_IN_MS].kind == JSON_INTEGER;

	if (!found->seen[MEMBER_ENDS_AT] || (relative && !absolute))
		return fail(login, FAULT_answer_invalid, "The answer does not say when the session ends.");
	if (!absolute)
		return true;

	answer->ends = true;
	answer->ends_at = found->values[MEMBER_ENDS_AT].integer;
	if (relative)
		answer->ends_at = Min(answer->ends_at, now + found->values[MEMBER_ENDS_IN_MS].integer);
	if (answer->ends_at <= now)
		return fail(login, FAULT_answer_expired, "The session would have ended " INT64_FORMAT " ms ago.",
					now - answer->ends_at);
	return true;
}

static bool
is_code(const char *text, const char *allowed)
{
	size_t		len = strlen(text);

	return len > 0 && len <= MAX_CODE && strspn(text, allowed) == len;
}

/*
 * C0, DEL and C1 controls, line and paragraph separators, and the characters
 * that reorder text (Unicode UAX #9) or cannot be seen (UTR #36, section 2).
 */
static bool
has_forbidden_character(const char *utf8)
{
	for (const unsigned char *c = (const unsigned char *) utf8; *c != '\0'; c += pg_utf_mblen(c))
	{
		pg_wchar	code = utf8_to_unicode(c);

		if (code < 0x20 || (code >= 0x7f && code <= 0x9f) ||
			code == 0x00ad || code == 0x061c || code == 0xfeff ||
			(code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
			(code >= 0x2060 && code <= 0x2069))
			return true;
	}
	return false;
}
