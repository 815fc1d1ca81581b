/*-------------------------------------------------------------------------
 *
 * http.c
 *	  The head of an HTTP answer: status line and headers (RFC 9112).
 *
 * Strict, because there is one service and it is ours: CRLF, one
 * Content-Length, no Transfer-Encoding, no folding.  No state: the caller reads
 * more and asks again.
 *
 * validator/pgmodule/http.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgbearer.h"

typedef struct Line
{
	const char *text;
	size_t		len;
} Line;

static bool parse_status(Line line, HttpHead *head);
static bool parse_header(Line line, HttpHead *head, bool *has_length, bool *is_json, const char **error);
static bool parse_length(Line value, size_t *length);
static bool value_is(Line value, const char *expected);
static const char *find_crlf(const char *data, size_t len);

/*
 * Look for a complete head at the start of `data`.
 *
 * HTTP_INVALID sets *error to a constant string.  Of an answer that is not 200
 * only the status is judged: its body is never read.
 */
HttpResult
parse_http_head(const char *data, size_t len, HttpHead *head, const char **error)
{
	const char *rest = data;
	bool		has_length = false;
	bool		is_json = false;

	*error = "the answer is not HTTP";
	for (int n = 0;; n++)
	{
		const char *crlf = find_crlf(rest, data + len - rest);
		Line		line;

		if (crlf == NULL)
			break;
		line.text = rest;
		line.len = crlf - rest;
		rest = crlf + 2;
		if (n == 0)
		{
			if (!parse_status(line, head))
				return HTTP_INVALID;
		}
		else if (line.len == 0)
		{
			head->head_len = rest - data;
			if (head->head_len > MAX_ANSWER_HEAD)
				break;
			*error = has_length ? "the answer is not application/json" : "the answer has no Content-Length";
			return head->status != 200 || (has_length && is_json) ? HTTP_COMPLETE : HTTP_INVALID;
		}
		else if (!parse_header(line, head, &has_length, &is_json, error))
			return HTTP_INVALID;
	}
	if (len < MAX_ANSWER_HEAD)
		return HTTP_INCOMPLETE;
	*error = "the answer's headers are too long";
	return HTTP_INVALID;
}

/*
 * "HTTP/1.1 200 OK"
 */
static bool
parse_status(Line line, HttpHead *head)
{
	static const char version[] = "HTTP/1.1 ";
	const char *code = line.text + strlen(version);

	if (line.len < strlen(version) + 3 || memcmp(line.text, version, strlen(version)) != 0)
		return false;
	if (line.len > strlen(version) + 3 && code[3] != ' ')
		return false;
	head->status = 0;
	for (int i = 0; i < 3; i++)
	{
		if (code[i] < '0' || code[i] > '9')
			return false;
		head->status = head->status * 10 + (code[i] - '0');
	}
	return true;
}

static bool
parse_header(Line line, HttpHead *head, bool *has_length, bool *is_json, const char **error)
{
	const char *colon = memchr(line.text, ':', line.len);
	Line		name = {line.text, colon ? colon - line.text : 0};
	Line		value;

	*error = "the answer has a malformed header";
	if (name.len == 0 || memchr(name.text, ' ', name.len) || memchr(name.text, '\t', name.len))
		return false;
	value.text = colon + 1;
	value.len = line.len - name.len - 1;
	while (value.len > 0 && (*value.text == ' ' || *value.text == '\t'))
		value.text++, value.len--;
	while (value.len > 0 && (value.text[value.len - 1] == ' ' || value.text[value.len - 1] == '\t'))
		value.len--;

	if (value_is(name, "transfer-encoding"))
	{
		*error = "the answer has a Transfer-Encoding";
		return false;
	}
	if (value_is(name, "content-length"))
	{
		*error = "the answer's Content-Length is too large, malformed or repeated";
		if (*has_length || !parse_length(value, &head->body_len))
			return false;
		*has_length = true;
	}
	else if (value_is(name, "content-type"))
	{
		const char *parameters = memchr(value.text, ';', value.len);

		if (parameters)
			value.len = parameters - value.text;
		*is_json = value_is(value, "application/json");
	}
	return true;
}

static bool
parse_length(Line value, size_t *length)
{
	*length = 0;
	if (value.len == 0)
		return false;
	for (size_t i = 0; i < value.len; i++)
	{
		if (value.text[i] < '0' || value.text[i] > '9')
			return false;
		*length = *length * 10 + (value.text[i] - '0');
		if (*length > MAX_ANSWER_BODY)
			return false;
	}
	return true;
}

static bool
value_is(Line value, const char *expected)
{
	return value.len == strlen(expected) && pg_strncasecmp(value.text, expected, value.len) == 0;
}

static const char *
find_crlf(const char *data, size_t len)
{
	const char *end = data + len;

	for (const char *cr = data; (cr = memchr(cr, '\r', end - cr)) != NULL; cr++)
	{
		if (cr + 1 < end && cr[1] == '\n')
			return cr;
	}
	return NULL;
}
