/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Addresses of the endpoints that are given by name.
 *
 * getaddrinfo() can be neither interrupted nor bounded, so no backend calls
 * it: a background worker does, again and again, and leaves what it found in
 * shared memory.  What it found stays while the name service is away, because
 * it is the certificate that says who is there, not the address.
 *
 * The worker is there only where the module is preloaded and a name is
 * configured at the start.
 *
 * validator/pgmodule/names.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <netdb.h>

#include "miscadmin.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/waiteventset.h"
#include "utils/wait_event.h"

#include "pgbearer.h"

#define TRANCHE "pgbearer names"

/* Until names are looked up again, in ms: when all were found, and when one was not */
#define REFRESH_AFTER	(30 * 1000)
#define RETRY_AFTER		(2 * 1000)

/* However often logins ask for it, in ms from one look-up to the next */
#define LEAST_BETWEEN	250

typedef struct FoundName
{
	uint32		hash;			/* of the endpoint, so that nothing outlives a change of the list */
	int			error;			/* of the last look-up (EAI_...), or 0 */
	int			count;
	FoundAddress addresses[MAX_ADDRESSES];
} FoundName;

typedef struct NameMemory
{
	bool		looked_after;	/* the worker has been here */
	Latch	   *worker;			/* its latch, while there is one */
	pg_atomic_uint32 changes;	/* of what is known below */
	pg_atomic_uint32 begun;		/* look-ups of all names; the last may be under way */
	pg_atomic_uint32 done;		/* the number of the last that is over */
	pg_atomic_uint32 asked;		/* the number of one that a login waits for */
	FoundName	names[MAX_ENDPOINTS];	/* by place in the list */
} NameMemory;

static NameMemory *name_memory = NULL;
static LWLock *name_lock = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

PGDLLEXPORT void pgbearer_names_main(Datum main_arg);

static void request_name_memory(void);
static void attach_name_memory(void);
static void register_worker(void);
static void worker_begins(void);
static void worker_ends(int code, Datum arg);
static void rest_until_due(int64 begun_at, bool all_found, uint32 wait_event);
static bool look_up_all(void);
static bool look_up(const Endpoint *endpoint);
static void copy_addresses(const struct addrinfo *found, FoundName *name);
static int	by_bytes(const void *one, const void *other);
static void keep(const Endpoint *endpoint, const FoundName *name);

/*
 * Ask for the shared memory and the worker; possible only while preloading.
 */
void
names_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_name_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_name_memory;
	if (any_names())
		register_worker();
}

/*
 * Is any endpoint given by name?
 */
bool
any_names(void)
{
	for (int i = 0; endpoint_list != NULL && i < endpoint_list->count; i++)
	{
		if (endpoint_list->items[i].host[0] != '\0')
			return true;
	}
	return false;
}

static void
request_name_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(NameMemory)));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
attach_name_memory(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	name_memory = ShmemInitStruct("pgbearer names", sizeof(NameMemory), &found);
	if (!found)
	{
		memset(name_memory, 0, sizeof(NameMemory));
		pg_atomic_init_u32(&name_memory->changes, 0);
		pg_atomic_init_u32(&name_memory->begun, 0);
		pg_atomic_init_u32(&name_memory->done, 0);
		pg_atomic_init_u32(&name_memory->asked, 0);
	}
	name_lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	LWLockRelease(AddinShmemInitLock);
}

static void
register_worker(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS,
		.bgw_start_time = BgWorkerStart_PostmasterStart,
		.bgw_restart_time = 5,
	};

	strlcpy(worker.bgw_name, "pgbearer names", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pgbearer names", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "pgbearer", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pgbearer_names_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/*
 * The addresses of an endpoint that is given by name; returns their number, at
 * most MAX_ADDRESSES.
 */
int
find_addresses(const Endpoint *endpoint, FoundAddress *addresses)
{
	const FoundName *name;
	int			count = 0;

	if (name_memory == NULL)
		return 0;
	name = &name_memory->names[endpoint->place];
	LWLockAcquire(name_lock, LW_SHARED);
	if (name->hash == endpoint->hash)
	{
		count = name->count;
		memcpy(addresses, name->addresses, count * sizeof(FoundAddress));
	}
	LWLockRelease(name_lock);
	return count;
}

/*
 * How often what is known has changed: as long as it is the same,
 * find_addresses() finds the same.
 */
uint32
names_changes(void)
{
	return name_memory ? pg_atomic_read_u32(&name_memory->changes) : 0;
}

/*
 * Ask the worker to look all names up again, soon.  Returns the number of a
 * look-up that begins from now on, for names_awaited().
 */
uint32
names_ask(void)
{
	uint32		ask;
	uint32		asked;

	if (name_memory == NULL)
		return 0;
	ask = pg_atomic_read_u32(&name_memory->begun) + 1;
	asked = pg_atomic_read_u32(&name_memory->asked);
	while ((int32) (ask - asked) > 0 && !pg_atomic_compare_exchange_u32(&name_memory->asked, &asked, ask))
		;						/* somebody else asked meanwhile, perhaps for a later one */
	LWLockAcquire(name_lock, LW_SHARED);
	if (name_memory->worker != NULL)
		SetLatch(name_memory->worker);
	LWLockRelease(name_lock);
	return ask;
}

/*
 * Is that look-up still to come, or under way?
 */
bool
names_awaited(uint32 ask)
{
	bool		awaited = name_memory != NULL && name_memory->worker != NULL &&
		(int32) (pg_atomic_read_u32(&name_memory->done) - ask) < 0;

	pg_read_barrier();			/* pairs with the one of the worker: what comes of it is seen after this */
	return awaited;
}

/*
 * Why find_addresses() has found none.  The worker may only be about to: then
 * it is worth another try.
 */
Outcome
no_address(Login *login, const Endpoint *endpoint)
{
	int			error = 0;

	if (name_memory == NULL || !name_memory->looked_after)
	{
		fail(login, FAULT_name_unresolved, "Endpoint %s is given by name, and nobody resolves names: %s.", endpoint->label,
			 name_memory == NULL ? "pgbearer is not in \"shared_preload_libraries\"" :
			 "the worker has not begun, which takes a restart if no name was configured at the start");
		return name_memory == NULL ? OUTCOME_NEXT : OUTCOME_RETRY;
	}
	LWLockAcquire(name_lock, LW_SHARED);
	if (name_memory->names[endpoint->place].hash == endpoint->hash)
		error = name_memory->names[endpoint->place].error;
	LWLockRelease(name_lock);
	fail(login, FAULT_name_unresolved, "Endpoint %s has no address: %s.", endpoint->label,
		 error ? gai_strerror(error) : "its name is being looked up");
	return OUTCOME_RETRY;
}

/*
 * The worker.
 */
void
pgbearer_names_main(Datum main_arg pg_attribute_unused())
{
	uint32		wait_event;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	/* a shutdown waits for the look-up under way: resolv.conf(5) may say otherwise, if somebody has set this */
	(void) setenv("RES_OPTIONS", "timeout:1 attempts:2", 0);
	wait_event = WaitEventExtensionNew("PgbearerNames");
	worker_begins();

	while (!ShutdownRequestPending)
	{
		int64		begun_at = monotonic_ms();
		uint32		number = pg_atomic_add_fetch_u32(&name_memory->begun, 1);
		bool		all_found = look_up_all();

		name_memory->looked_after = true;
		pg_write_barrier();
		pg_atomic_write_u32(&name_memory->done, number);
		rest_until_due(begun_at, all_found, wait_event);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
	proc_exit(1);				/* after 0 the postmaster would not start it again, should somebody have ended it alone */
}

/*
 * From now on logins can wake this worker, until it ends.
 */
static void
worker_begins(void)
{
	before_shmem_exit(worker_ends, (Datum) 0);
	LWLockAcquire(name_lock, LW_EXCLUSIVE);
	name_memory->worker = MyLatch;
	LWLockRelease(name_lock);
}

static void
worker_ends(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	LWLockAcquire(name_lock, LW_EXCLUSIVE);
	name_memory->worker = NULL;
	LWLockRelease(name_lock);
}

/*
 * Wait until the names are to be looked up again: some time after the last
 * look-up began, or sooner if a login asks, or at once if the settings change.
 */
static void
rest_until_due(int64 begun_at, bool all_found, uint32 wait_event)
{
	for (;;)
	{
		uint32		done = pg_atomic_read_u32(&name_memory->done);
		bool		asked = (int32) (pg_atomic_read_u32(&name_memory->asked) - done) > 0;
		int64		left = begun_at + (asked ? LEAST_BETWEEN : all_found ? REFRESH_AFTER : RETRY_AFTER) - monotonic_ms();

		if (left <= 0 || ConfigReloadPending || ShutdownRequestPending)
			return;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left, wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static bool
look_up_all(void)
{
	bool		all_found = true;

	for (int i = 0; endpoint_list != NULL && i < endpoint_list->count && !ShutdownRequestPending; i++)
	{
		const Endpoint *endpoint = &endpoint_list->items[i];

		if (endpoint->host[0] != '\0' && !look_up(endpoint))
			all_found = false;
	}
	return all_found;
}

static bool
look_up(const Endpoint *endpoint)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	FoundName	name = {.hash = endpoint->hash};
	char		port[8];

	snprintf(port, sizeof(port), "%d", endpoint->port);
	name.error = getaddrinfo(endpoint->host, port, &hints, &found);
	if (name.error == 0)
	{
		copy_addresses(found, &name);
		freeaddrinfo(found);
	}
	keep(endpoint, &name);
	return name.error == 0;
}

static void
copy_addresses(const struct addrinfo *found, FoundName *name)
{
	for (const struct addrinfo *each = found; each != NULL && name->count < MAX_ADDRESSES; each = each->ai_next)
	{
		FoundAddress *address = &name->addresses[name->count];

		if ((each->ai_family != AF_INET && each->ai_family != AF_INET6) || each->ai_addrlen > sizeof(address->address))
			continue;
		memcpy(&address->address, each->ai_addr, each->ai_addrlen);
		address->len = each->ai_addrlen;
		name->count++;
	}
	/* a name service may give them in another order each time, which is no change */
	qsort(name->addresses, name->count, sizeof(FoundAddress), by_bytes);
}

static int
by_bytes(const void *one, const void *other)
{
	return memcmp(one, other, sizeof(FoundAddress));
}

/*
 * Put what was found in place of what was there, unless it is a failure; each
 * change of fortune is logged once.
 */
static void
keep(const Endpoint *endpoint, const FoundName *name)
{
	FoundName  *kept = &name_memory->names[endpoint->place];
	bool		other = kept->hash != name->hash;
	bool		turned = other || kept->error != name->error;
	bool		moved = other || (name->error == 0 && memcmp(kept->addresses, name->addresses, sizeof(name->addresses)) != 0);

	LWLockAcquire(name_lock, LW_EXCLUSIVE);
	if (other || name->error == 0)
		*kept = *name;
	else
		kept->error = name->error;
	LWLockRelease(name_lock);
	if (moved)
		pg_atomic_add_fetch_u32(&name_memory->changes, 1);

	if (turned && name->error != 0)
		ereport(LOG,
				errmsg("could not resolve the name of pgbearer endpoint \"%s\": %s", endpoint->label, gai_strerror(name->error)),
				kept->count > 0 ? errdetail("The addresses it had stay in use.") : 0);
	else if (turned)
		ereport(LOG, errmsg("resolved the name of pgbearer endpoint \"%s\": %d addresses", endpoint->label, name->count));
}
