/*-------------------------------------------------------------------------
 *
 * module_stubs.c
 *	  What the module's parsers need of PostgreSQL and of the rest of the
 *	  module, so that they run in a fuzzer without a server.
 *
 * Every piece of memory is malloc'd with its exact size, for the address
 * sanitizer to see its ends, and freed by forget_memory().  Character sets
 * come from the server's own libpgcommon.
 *
 * tests/fuzz/module_stubs.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "module_stubs.h"

typedef struct Piece
{
	struct Piece *next;
	void	   *memory;
} Piece;

static Piece *pieces = NULL;

void *
palloc(Size size)
{
	Piece	   *piece = malloc(sizeof(Piece));

	piece->memory = malloc(size);
	piece->next = pieces;
	pieces = piece;
	return piece->memory;
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

char *
psprintf(const char *fmt,...)
{
	char	   *text = palloc(STUB_TEXT);
	va_list		args;

	va_start(args, fmt);
	vsnprintf(text, STUB_TEXT, fmt, args);
	va_end(args);
	return text;
}

void
forget_memory(void)
{
	while (pieces != NULL)
	{
		Piece	   *piece = pieces;

		pieces = piece->next;
		free(piece->memory);
		free(piece);
	}
}

/*
 * pgbearer.c's fail() without its list of reasons; the sentence is made, so that its arguments are read.
 */
bool
fail(Login *login, Fault fault, const char *fmt,...)
{
	char	   *text = palloc(STUB_TEXT);
	va_list		args;

	(void) fault;
	va_start(args, fmt);
	vsnprintf(text, STUB_TEXT, fmt, args);
	va_end(args);
	login->reason = text;
	return false;
}

TimestampTz
GetCurrentTimestamp(void)
{
	return 0;
}

int64
epoch_ms(TimestampTz at)
{
	(void) at;
	return STUB_NOW;
}

/* A check that also counts where assertions are compiled out */
void
must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}
