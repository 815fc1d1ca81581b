/*-------------------------------------------------------------------------
 *
 * json.c
 *	  A strict, bounded reader of one JSON object (RFC 8259).
 *
 * Not the server's own parser: during authentication the server encoding is
 * SQL_ASCII, in which that one refuses \u00e9, and it says nothing of
 * duplicates.  This one takes UTF-8 already verified by the caller, reports
 * the members of the outermost object with names and strings unescaped, and
 * walks over deeper values only to know that they are well formed.  Depth is
 * checked before each recursion.  Memory is palloc'd in the current context;
 * nothing here raises an error but running out of it.
 *
 * validator/pgmodule/json.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "pgbearer.h"

/* 2^53 - 1: beyond it, other readers of the same text may see another number */
#define MAX_SAFE_INTEGER	INT64CONST(9007199254740991)

typedef struct Reader
{
	const char *next;
	const char *end;
	const char *error;
} Reader;

static bool read_object(Reader *reader, int depth, JsonMemberCallback callback, void *arg);
static bool read_array(Reader *reader, int depth);
static bool read_value(Reader *reader, int depth, JsonValue *value);
static bool read_string(Reader *reader, char **string);
static bool read_escape(Reader *reader, char **out);
static bool read_code_unit(Reader *reader, uint32 *unit);
static bool read_number(Reader *reader, JsonValue *value);
static int	read_digits(Reader *reader);
static bool read_literal(Reader *reader, const char *literal);
static void skip_space(Reader *reader);
static bool take(Reader *reader, char c);
static bool error_at(Reader *reader, const char *error);

/*
 * Read `data`, which must be one object and nothing else, calling `callback`
 * for each of its members in order.  False sets *error to a constant string.
 */
bool
read_json_object(const char *data, size_t len, JsonMemberCallback callback, void *arg, const char **error)
{
	Reader		reader = {.next = data, .end = data + len};
	bool		ok;

	skip_space(&reader);
	ok = read_object(&reader, 1, callback, arg);
	skip_space(&reader);
	if (ok && reader.next != reader.end)
		ok = error_at(&reader, "text after the JSON object");
	*error = reader.error;
	return ok;
}

static bool
read_object(Reader *reader, int depth, JsonMemberCallback callback, void *arg)
{
	if (depth > MAX_ANSWER_DEPTH)
		return error_at(reader, "JSON nested too deeply");
	if (!take(reader, '{'))
		return error_at(reader, "JSON object expected");
	skip_space(reader);
	if (take(reader, '}'))
		return true;
	do
	{
		char	   *name;
		JsonValue	value;

		skip_space(reader);
		if (!read_string(reader, &name))
			return false;
		skip_space(reader);
		if (!take(reader, ':'))
			return error_at(reader, "JSON colon expected");
		if (!read_value(reader, depth, &value))
			return false;
		if (callback && !callback(arg, name, &value, &reader->error))
			return false;
		skip_space(reader);
	} while (take(reader, ','));
	return take(reader, '}') || error_at(reader, "JSON object not closed");
}

static bool
read_array(Reader *reader, int depth)
{
	JsonValue	item;

	if (depth > MAX_ANSWER_DEPTH)
		return error_at(reader, "JSON nested too deeply");
	if (!take(reader, '['))
		return error_at(reader, "JSON array expected");
	skip_space(reader);
	if (take(reader, ']'))
		return true;
	do
	{
		if (!read_value(reader, depth, &item))
			return false;
		skip_space(reader);
	} while (take(reader, ','));
	return take(reader, ']') || error_at(reader, "JSON array not closed");
}

/*
 * A value inside something of `depth`; space before it is skipped.
 */
static bool
read_value(Reader *reader, int depth, JsonValue *value)
{
	memset(value, 0, sizeof(*value));
	skip_space(reader);
	if (reader->next == reader->end)
		return error_at(reader, "JSON ends early");

	switch (*reader->next)
	{
		case '"':
			value->kind = JSON_STRING;
			return read_string(reader, &value->string);
		case '{':
			value->kind = JSON_OBJECT;
			return read_object(reader, depth + 1, NULL, NULL);
		case '[':
			value->kind = JSON_ARRAY;
			return read_array(reader, depth + 1);
		case 't':
			value->kind = JSON_BOOL;
			return read_literal(reader, "true");
		case 'f':
			value->kind = JSON_BOOL;
			return read_literal(reader, "false");
		case 'n':
			value->kind = JSON_NULL;
			return read_literal(reader, "null");
		default:
			return read_number(reader, value);
	}
}

/*
 * A string, unescaped.  That never makes it longer, so the rest of the text
 * bounds it.
 */
static bool
read_string(Reader *reader, char **string)
{
	const char *closing;
	char	   *out;

	if (!take(reader, '"'))
		return error_at(reader, "JSON string expected");
	for (closing = reader->next; closing < reader->end && *closing != '"'; closing++)
		closing += (*closing == '\\');
	if (closing >= reader->end)
		return error_at(reader, "JSON string not closed");

	out = *string = palloc(closing - reader->next + 1);
	while (*reader->next != '"')
	{
		if ((unsigned char) *reader->next < 0x20)
			return error_at(reader, "control character in a JSON string");
		if (*reader->next != '\\')
			*out++ = *reader->next++;
		else if (!read_escape(reader, &out))
			return false;
	}
	*out = '\0';
	reader->next++;
	return true;
}

/*
 * One backslash escape; the caller knows that a closing quote follows.
 */
static bool
read_escape(Reader *reader, char **out)
{
	static const char *const letters = "\"\\/bfnrt";
	static const char *const meaning = "\"\\/\b\f\n\r\t";
	const char *letter;
	uint32		unit;
	uint32		low;

	reader->next++;
	letter = strchr(letters, *reader->next);
	if (*reader->next != '\0' && letter != NULL)
	{
		*(*out)++ = meaning[letter - letters];
		reader->next++;
		return true;
	}
	if (!read_code_unit(reader, &unit))
		return false;
	if (is_utf16_surrogate_first(unit))
	{
		if (!take(reader, '\\') || !read_code_unit(reader, &low) || !is_utf16_surrogate_second(low))
			return error_at(reader, "half a surrogate pair in a JSON string");
		unit = surrogate_pair_to_codepoint(unit, low);
	}
	else if (is_utf16_surrogate_second(unit))
		return error_at(reader, "half a surrogate pair in a JSON string");
	if (unit == 0)
		return error_at(reader, "NUL in a JSON string");

	unicode_to_utf8(unit, (unsigned char *) *out);
	*out += pg_utf_mblen((const unsigned char *) *out);
	return true;
}

/*
 * uXXXX of an escape.
 */
static bool
read_code_unit(Reader *reader, uint32 *unit)
{
	*unit = 0;
	if (!take(reader, 'u') || reader->end - reader->next < 4)
		return error_at(reader, "unknown escape in a JSON string");
	for (int i = 0; i < 4; i++)
	{
		char		c = *reader->next++;

		if (c >= '0' && c <= '9')
			*unit = *unit * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			*unit = *unit * 16 + ((c | 0x20) - 'a' + 10);
		else
			return error_at(reader, "unknown escape in a JSON string");
	}
	return true;
}

/*
 * -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
 */
static bool
read_number(Reader *reader, JsonValue *value)
{
	bool		negative = take(reader, '-');
	const char *first = reader->next;
	int			digits = read_digits(reader);

	if (digits == 0 || (digits > 1 && *first == '0'))
		return error_at(reader, "JSON value expected");

	value->kind = JSON_INTEGER;
	for (int i = 0; i < digits && value->integer <= MAX_SAFE_INTEGER; i++)
		value->integer = value->integer * 10 + (first[i] - '0');
	if (value->integer > MAX_SAFE_INTEGER)
		value->kind = JSON_NUMBER;
	if (negative)
		value->integer = -value->integer;

	if (take(reader, '.'))
	{
		value->kind = JSON_NUMBER;
		if (read_digits(reader) == 0)
			return error_at(reader, "JSON number without a fraction");
	}
	if (take(reader, 'e') || take(reader, 'E'))
	{
		value->kind = JSON_NUMBER;
		if (!take(reader, '+'))
			take(reader, '-');
		if (read_digits(reader) == 0)
			return error_at(reader, "JSON number without an exponent");
	}
	return true;
}

static int
read_digits(Reader *reader)
{
	const char *first = reader->next;

	while (reader->next < reader->end && *reader->next >= '0' && *reader->next <= '9')
		reader->next++;
	return reader->next - first;
}

static bool
read_literal(Reader *reader, const char *literal)
{
	size_t		len = strlen(literal);

	if ((size_t) (reader->end - reader->next) < len || memcmp(reader->next, literal, len) != 0)
		return error_at(reader, "JSON value expected");
	reader->next += len;
	return true;
}

static void
skip_space(Reader *reader)
{
	while (reader->next < reader->end &&
		   (*reader->next == ' ' || *reader->next == '\t' || *reader->next == '\n' || *reader->next == '\r'))
		reader->next++;
}

static bool
take(Reader *reader, char c)
{
	if (reader->next == reader->end || *reader->next != c)
		return false;
	reader->next++;
	return true;
}

static bool
error_at(Reader *reader, const char *error)
{
	if (reader->error == NULL)
		reader->error = error;
	return false;
}
