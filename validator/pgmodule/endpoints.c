/*-------------------------------------------------------------------------
 *
 * endpoints.c
 *	  Where the service listens, and the memory of which endpoint is down.
 *
 * Preloaded, all backends share that memory; otherwise there is none and every
 * login finds out for itself.  It only orders the endpoints, it never excludes
 * one: if all are down, all are tried.
 *
 * validator/pgmodule/endpoints.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <netdb.h>
#include <netinet/in.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "pgbearer.h"

/* How long a failed endpoint stays behind the others, in ticks of 100 ms */
#define DOWN_FOR			50

/*
 * For each place in the list as many marks as a name may have addresses: the
 * tick until which the endpoint there is avoided and, in the upper half, a
 * hash of it with its address, so that a mark does not outlive a change of the
 * list or of the name.
 */
typedef struct DownMemory
{
	pg_atomic_uint64 marks[MAX_ENDPOINTS][MAX_ADDRESSES];
} DownMemory;

const EndpointList *endpoint_list = NULL;

static DownMemory *down_memory = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static int	located(const Endpoint *endpoint, const Endpoint **found);
static bool avoid(const Endpoint *endpoint);
static pg_atomic_uint64 *mark_of(const Endpoint *endpoint, bool wanted);
static uint32 hash_of(const Endpoint *endpoint);
static uint32 now_in_ticks(void);
static uint64 down_from(const Endpoint *endpoint, uint32 now);
static void request_down_memory(void);
static void attach_down_memory(void);

/*
 * Ask for the shared memory; possible only while preloading.
 */
void
endpoints_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_down_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_down_memory;
}

static void
request_down_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(DownMemory)));
}

static void
attach_down_memory(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	down_memory = ShmemInitStruct("pgbearer endpoints", sizeof(DownMemory), &found);
	if (!found)
	{
		for (int i = 0; i < MAX_ENDPOINTS; i++)
		{
			for (int j = 0; j < MAX_ADDRESSES; j++)
				pg_atomic_init_u64(&down_memory->marks[i][j], 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * GUC check hook: endpoints as endpoint.c reads them, separated by commas.
 */
bool
check_endpoints(char **newval, void **extra, GucSource source pg_attribute_unused())
{
	EndpointList *list = guc_malloc(LOG, sizeof(EndpointList));
	char	   *copy = pstrdup(*newval);
	List	   *texts;

	if (list == NULL)
		return false;
	list->count = 0;
	if (!SplitGUCList(copy, ',', &texts))
	{
		GUC_check_errdetail("List syntax is invalid.");
		guc_free(list);
		return false;
	}
	foreach_ptr(char, text, texts)
	{
		const char *wrong = "It is one too many.";

		if (list->count == MAX_ENDPOINTS ||
			(wrong = parse_endpoint(text, &list->items[list->count])) != NULL)
		{
			GUC_check_errdetail("\"%s\" is not an endpoint that can be used. %s", text, wrong);
			GUC_check_errhint("Name up to %d endpoints as unix:/absolute/path, tcp://IP:port?hostname=NAME or tcp://IP:port?spiffe=ID; with a name for the IP where pgbearer is preloaded.",
							  MAX_ENDPOINTS);
			guc_free(list);
			return false;
		}
		list->items[list->count].place = list->count;
		list->count++;
	}
	list_free(texts);
	pfree(copy);
	*extra = list;
	return true;
}

void
assign_endpoints(const char *newval pg_attribute_unused(), void *extra)
{
	endpoint_list = extra;
}

/*
 * The endpoints in the order in which to try them: as configured, those that
 * are remembered as down last.  One that is given by name is there as often as
 * it has addresses.  Returns their number, at most MAX_TRIES.
 */
int
order_endpoints(const Endpoint **ordered)
{
	const Endpoint *last[MAX_TRIES];
	int			all = 0;
	int			count = 0;
	int			avoided = 0;

	for (int i = 0; endpoint_list != NULL && i < endpoint_list->count; i++)
		all += located(&endpoint_list->items[i], &ordered[all]);
	for (int i = 0; i < all; i++)
	{
		if (all > 1 && avoid(ordered[i]))
			last[avoided++] = ordered[i];
		else
			ordered[count++] = ordered[i];
	}
	for (int i = 0; i < avoided; i++)
		ordered[count++] = last[i];
	return count;
}

/*
 * An endpoint with each address of its name in turn, not the same one first
 * for all; as it is if there is nothing to resolve, or nothing was found.
 */
static int
located(const Endpoint *endpoint, const Endpoint **found)
{
	FoundAddress addresses[MAX_ADDRESSES];
	int			count = endpoint->host[0] != '\0' ? find_addresses(endpoint, addresses) : 0;

	if (count == 0)
		found[0] = endpoint;
	for (int i = 0; i < count; i++)
	{
		const FoundAddress *address = &addresses[(i + MyProcPid) % count];
		Endpoint   *copy = palloc(sizeof(Endpoint));
		char		text[INET6_ADDRSTRLEN] = "?";

		*copy = *endpoint;
		copy->address = address->address;
		copy->address_len = address->len;
		(void) getnameinfo((const struct sockaddr *) &address->address, address->len,
						   text, sizeof(text), NULL, 0, NI_NUMERICHOST);
		snprintf(copy->label, sizeof(copy->label), "%s (%s)", endpoint->label, text);
		found[i] = copy;
	}
	return Max(count, 1);
}

/*
 * Is the endpoint down?  Once its time is over, the first login to notice
 * tries it on behalf of all others, which avoid it until the outcome is known.
 */
static bool
avoid(const Endpoint *endpoint)
{
	pg_atomic_uint64 *mark = mark_of(endpoint, false);
	uint32		now = now_in_ticks();
	uint64		marked;

	if (mark == NULL)
		return false;
	marked = pg_atomic_read_u64(mark);
	if (marked == 0)
		return false;
	return now < (uint32) marked || !pg_atomic_compare_exchange_u64(mark, &marked, down_from(endpoint, now));
}

void
endpoint_is_down(const Endpoint *endpoint)
{
	pg_atomic_uint64 *mark = mark_of(endpoint, true);

	if (mark != NULL)
		pg_atomic_write_u64(mark, down_from(endpoint, now_in_ticks()));
}

void
endpoint_is_up(const Endpoint *endpoint)
{
	pg_atomic_uint64 *mark = mark_of(endpoint, false);

	if (mark != NULL && pg_atomic_read_u64(mark) != 0)
		pg_atomic_write_u64(mark, 0);
}

/*
 * The endpoint's mark.  If it has none: where it is to have one, if that is
 * wanted, in place of the oldest of the others; else NULL.
 */
static pg_atomic_uint64 *
mark_of(const Endpoint *endpoint, bool wanted)
{
	pg_atomic_uint64 *oldest = NULL;
	uint32		oldest_tick = 0;
	uint32		hash = hash_of(endpoint);

	for (int i = 0; down_memory != NULL && i < MAX_ADDRESSES; i++)
	{
		pg_atomic_uint64 *mark = &down_memory->marks[endpoint->place][i];
		uint64		marked = pg_atomic_read_u64(mark);

		if (marked != 0 && (uint32) (marked >> 32) == hash)
			return mark;
		if (oldest == NULL || (uint32) marked < oldest_tick)
		{
			oldest = mark;
			oldest_tick = (uint32) marked;
		}
	}
	return wanted ? oldest : NULL;
}

/*
 * Of an endpoint that is given by name, each address is up or down by itself.
 */
static uint32
hash_of(const Endpoint *endpoint)
{
	if (endpoint->host[0] == '\0')
		return endpoint->hash;
	return hash_combine(endpoint->hash,
						hash_bytes((const unsigned char *) &endpoint->address, endpoint->address_len));
}

static uint32
now_in_ticks(void)
{
	return (uint32) (monotonic_ms() / 100);
}

static uint64
down_from(const Endpoint *endpoint, uint32 now)
{
	return ((uint64) hash_of(endpoint) << 32) | (now + DOWN_FOR);
}
