/*-------------------------------------------------------------------------
 *
 * block.c
 *	  Writes JSON into a block of fixed size.
 *
 * A StringInfo would grow by repalloc() and leave copies of the token in freed
 * memory.  A block never moves: too much sets `overflowed`, and its memory is
 * wiped when its context goes, whichever way that happens.
 *
 * Strings are written as the bytes they are (UTF-8, checked by the caller);
 * only what RFC 8259 section 7 requires is escaped.
 *
 * validator/pgmodule/block.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "pgbearer.h"

static void block_wipe(void *arg);
static void block_name(Block *block, const char *name);
static void block_quoted(Block *block, const char *value);

/*
 * A new block of `size` bytes in the current memory context.
 */
Block *
block_create(size_t size)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));
	Block	   *block = palloc(sizeof(Block));

	block->start = block->data = palloc(size);
	block->len = 0;
	block->size = size;
	block->overflowed = false;

	callback->func = block_wipe;
	callback->arg = block;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return block;
}

static void
block_wipe(void *arg)
{
	Block	   *block = (Block *) arg;

	explicit_bzero(block->start, block->data + block->len - block->start);
}

void
block_bytes(Block *block, const char *bytes, size_t len)
{
	if (block->overflowed || len > block->size - block->len)
	{
		block->overflowed = true;
		return;
	}
	memcpy(block->data + block->len, bytes, len);
	block->len += len;
}

void
block_text(Block *block, const char *text)
{
	block_bytes(block, text, strlen(text));
}

/*
 * Open an object or array, as member `name` or, if that is NULL, as an item.
 */
void
block_open(Block *block, const char *name, char bracket)
{
	block_name(block, name);
	block_bytes(block, &bracket, 1);
}

void
block_close(Block *block, char bracket)
{
	block_bytes(block, &bracket, 1);
}

/*
 * A string member, or null if there is no value.
 */
void
block_string(Block *block, const char *name, const char *value)
{
	block_name(block, name);
	if (value == NULL)
		block_text(block, "null");
	else
		block_quoted(block, value);
}

void
block_integer(Block *block, const char *name, int64 value)
{
	char		digits[32];

	snprintf(digits, sizeof(digits), INT64_FORMAT, value);
	block_name(block, name);
	block_text(block, digits);
}

void
block_bool(Block *block, const char *name, bool value)
{
	block_name(block, name);
	block_text(block, value ? "true" : "false");
}

/*
 * The comma, where one is due, and the member's name.
 */
static void
block_name(Block *block, const char *name)
{
	char		before = block->len > 0 ? block->data[block->len - 1] : '{';

	if (before != '{' && before != '[')
		block_bytes(block, ",", 1);
	if (name != NULL)
	{
		block_quoted(block, name);
		block_bytes(block, ":", 1);
	}
}

static void
block_quoted(Block *block, const char *value)
{
	block_bytes(block, "\"", 1);
	for (const char *c = value; *c != '\0'; c++)
	{
		char		escaped[8];

		if (*c == '"' || *c == '\\')
		{
			block_bytes(block, "\\", 1);
			block_bytes(block, c, 1);
		}
		else if ((unsigned char) *c < 0x20)
		{
			snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned char) *c);
			block_text(block, escaped);
		}
		else
			block_bytes(block, c, 1);
	}
	block_bytes(block, "\"", 1);
}
