/*-------------------------------------------------------------------------
 *
 * module_http.c
 *	  Fuzz target: http.c, given the beginning of an answer.
 *
 * The head arrives in pieces of any size, so what is said of the whole must
 * agree with what was said of its beginnings.
 *
 * tests/fuzz/module_http.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "module_stubs.h"

static void
check_complete(const HttpHead *head, size_t size)
{
	must(head->status >= 0 && head->status <= 999, "a status has three digits");
	must(head->head_len <= size && head->head_len <= MAX_ANSWER_HEAD, "a head ends within what came");
	must(head->status != 200 || head->body_len <= MAX_ANSWER_BODY, "a body is bounded");
}

/*
 * A copy of exactly these bytes, for the sanitizer to see where they end.
 */
static HttpResult
parse_beginning(const uint8_t *data, size_t size, HttpHead *head)
{
	char	   *copy = memcpy(palloc(size), data, size);
	const char *error = NULL;
	HttpResult	result;

	memset(head, 0, sizeof(*head));
	result = parse_http_head(copy, size, head, &error);
	must(result != HTTP_INVALID || error != NULL, "what is invalid is said");
	if (result == HTTP_COMPLETE)
		check_complete(head, size);
	return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HttpHead	whole;
	HttpHead	part;
	HttpResult	of_whole;
	HttpResult	of_part;

	if (size == 0 || size > MAX_ANSWER_HEAD + 1024)
		return 0;
	of_whole = parse_beginning(data, size, &whole);
	of_part = parse_beginning(data, 1 + data[size / 2] * (size - 1) / 255, &part);
	if (of_part == HTTP_COMPLETE)
		must(of_whole == HTTP_COMPLETE && part.head_len == whole.head_len && part.body_len == whole.body_len &&
			 part.status == whole.status, "more bytes change no head that was complete");
	if (of_part == HTTP_INVALID)
		must(of_whole == HTTP_INVALID, "more bytes mend nothing");
	forget_memory();
	return 0;
}
