/*-------------------------------------------------------------------------
 *
 * module_answer.c
 *	  Fuzz target: answer.c and json.c, given the body of an answer.
 *
 * The login is that of the seeds in corpus/module_answer, so that edits of
 * them reach every check.  What comes out is held to what the rest of the
 * module relies on.
 *
 * tests/fuzz/module_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "module_stubs.h"

static void
check_allowed(const Answer *answer)
{
	const char *identity = answer->identity;

	must(identity != NULL && identity[0] != '\0', "who is allowed has an identity");
	must(strlen(identity) <= MAX_IDENTITY, "an identity is bounded");
	must(pg_encoding_verifymbstr(PG_UTF8, identity, strlen(identity)) == (int) strlen(identity), "an identity is UTF-8");
	for (const char *c = identity; *c != '\0'; c++)
		must((unsigned char) *c >= 0x20 && *c != 0x7f, "an identity has no control character");
	must(!answer->ends || answer->ends_at > STUB_NOW, "a session that is allowed has not ended");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Login		login = {.role = "app", .database = "appdb", .request_id = "0123456789abcdef0123456789abcdef"};
	Answer		answer;

	if (size > MAX_ANSWER_BODY)
		return 0;
	if (read_answer(&login, (const char *) data, size, &answer))
	{
		must(login.decision_id != NULL && login.decision_id[0] != '\0', "a decision has an id");
		must(login.reason != NULL && strlen(login.reason) <= MAX_CODE, "a decision has a reason");
		if (answer.allow)
			check_allowed(&answer);
		else
			must(answer.identity == NULL, "a denial has no identity");
	}
	else
		must(!answer.allow, "a fault allows nobody");
	forget_memory();
	return 0;
}
