/*-------------------------------------------------------------------------
 *
 * trusted_file.c
 *	  Reads a small file that nobody but root and the server's user can have
 *	  written, or put in the place of another.
 *
 * What is judged is the file that was opened and every folder in which a name
 * was looked up on the way to it.  The folders are judged from the root
 * downwards: in one that has passed nobody else can exchange what is looked at
 * next, so there is no moment between the look and the opening.
 *
 * validator/pgmodule/trusted_file.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"

#include "pgbearer.h"

/* Of symbolic links, as the kernel has it (path_resolution(7)) */
#define MAX_LINKS	40

/* The way to a file */
typedef struct Way
{
	char		here[MAXPGPATH];	/* a folder whose name has no links; "" is the root */
	char		ahead[MAXPGPATH];	/* what is still to be looked up from there */
	int			links;			/* followed so far */
	char	   *why;			/* why not to go on, of MAX_TLS_WHY bytes */
} Way;

static Outcome find(Way *way, const char *path);
static Outcome take_step(Way *way, size_t len);
static Outcome follow_link(Way *way, const char *link, const char *rest);
static Outcome folder_is_kept(Way *way, bool last);
static bool file_is_ours(const struct stat *status, bool secret, char *why);
static Outcome read_all(int fd, size_t size, FileContent *content, char *why);
static Outcome cannot_be_used(char *why, int saved_errno);

/*
 * The whole file at `path`, which is followed through links: a Kubernetes
 * volume has two.  A `secret` nobody else may read; but a group may, where
 * root owns the file, as for check_ssl_key_file_permissions().
 *
 * Anything but OUTCOME_ANSWERED means that there is no content, and `why`, of
 * MAX_TLS_WHY bytes, goes on from the file's name.  OUTCOME_RETRY: it is not
 * there, or not whole, which may be because it is being replaced.
 */
Outcome
read_trusted_file(const char *path, bool secret, FileContent *content, char *why)
{
	Way			way = {.why = why};
	struct stat status;
	Outcome		outcome = find(&way, path);
	int			fd;

	if (outcome != OUTCOME_ANSWERED)
		return outcome;
	/* a pipe that nobody writes to would be waited for */
	fd = OpenTransientFile(way.here, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | PG_BINARY);
	if (fd < 0)
		return cannot_be_used(why, errno);
	if (fstat(fd, &status) != 0)
		outcome = cannot_be_used(why, errno);
	else if (!file_is_ours(&status, secret, why))
		outcome = OUTCOME_NEXT;
	else
		outcome = read_all(fd, status.st_size, content, why);
	CloseTransientFile(fd);
	return outcome;
}

/*
 * Leave nothing of it in memory.
 */
void
forget_content(FileContent *content)
{
	explicit_bzero(content->data, content->len);
	pfree(content->data);
}

/*
 * Go to the file: way->here is then its name without links.
 */
static Outcome
find(Way *way, const char *path)
{
	char		from[MAXPGPATH] = "";

	if (!is_absolute_path(path) && getcwd(from, sizeof(from)) == NULL)
		return cannot_be_used(way->why, errno);
	if (snprintf(way->ahead, MAXPGPATH, "%s/%s", from, path) >= MAXPGPATH)
		return cannot_be_used(way->why, ENAMETOOLONG);
	for (;;)
	{
		size_t		slashes = strspn(way->ahead, "/");
		size_t		len;
		Outcome		outcome;

		memmove(way->ahead, way->ahead + slashes, strlen(way->ahead + slashes) + 1);
		len = strcspn(way->ahead, "/");
		if (len == 0)
			return OUTCOME_ANSWERED;
		outcome = take_step(way, len);
		if (outcome != OUTCOME_ANSWERED)
			return outcome;
	}
}

/*
 * Look up the next name, of `len` bytes.  It is the last one although slashes
 * and dots come after it.
 */
static Outcome
take_step(Way *way, size_t len)
{
	char		step[MAXPGPATH];
	char		rest[MAXPGPATH];
	struct stat status;

	strlcpy(rest, way->ahead + len, MAXPGPATH);
	way->ahead[len] = '\0';
	if (strcmp(way->ahead, "..") == 0)
		*(strrchr(way->here, '/') ? strrchr(way->here, '/') : way->here) = '\0';
	else if (strcmp(way->ahead, ".") != 0)
	{
		Outcome		outcome = folder_is_kept(way, strspn(rest, "/.") == strlen(rest));

		if (outcome != OUTCOME_ANSWERED)
			return outcome;
		if (snprintf(step, MAXPGPATH, "%s/%s", way->here, way->ahead) >= MAXPGPATH)
			return cannot_be_used(way->why, ENAMETOOLONG);
		if (lstat(step, &status) != 0)
			return cannot_be_used(way->why, errno);
		if (S_ISLNK(status.st_mode))
		{
			if (status.st_uid == geteuid() || status.st_uid == 0)
				return follow_link(way, step, rest);
			snprintf(way->why, MAX_TLS_WHY, "leads over the link \"%s\" of uid %ld", step, (long) status.st_uid);
			return OUTCOME_NEXT;
		}
		strlcpy(way->here, step, MAXPGPATH);
	}
	strlcpy(way->ahead, rest, MAXPGPATH);
	return OUTCOME_ANSWERED;
}

static Outcome
follow_link(Way *way, const char *link, const char *rest)
{
	char		target[MAXPGPATH];
	ssize_t		len = readlink(link, target, MAXPGPATH - 1);

	if (len < 0)
		return cannot_be_used(way->why, errno);
	if (++way->links > MAX_LINKS)
		return cannot_be_used(way->why, ELOOP);
	target[len] = '\0';
	if (target[0] == '/')
		way->here[0] = '\0';
	if (snprintf(way->ahead, MAXPGPATH, "%s%s", target, rest) >= MAXPGPATH)
		return cannot_be_used(way->why, ENAMETOOLONG);
	return OUTCOME_ANSWERED;
}

/*
 * Can nobody else exchange what is in the folder?  In a sticky one only whoever
 * owns a thing can (/tmp, or a volume of Kubernetes, which a kubelet keeps in
 * memory).  Above the folder of the `last` name our own group is let write, as
 * it can at the top of a claimed volume of Kubernetes.
 */
static Outcome
folder_is_kept(Way *way, bool last)
{
	const char *folder = way->here[0] == '\0' ? "/" : way->here;
	struct stat status;
	mode_t		others = S_IWOTH;

	if (stat(folder, &status) != 0)
		return cannot_be_used(way->why, errno);
	if (last || status.st_gid != getegid())
		others |= S_IWGRP;
	if (status.st_uid != geteuid() && status.st_uid != 0)
		snprintf(way->why, MAX_TLS_WHY, "is below \"%s\", which belongs to uid %ld", folder, (long) status.st_uid);
	else if ((status.st_mode & others) != 0 && (status.st_mode & S_ISVTX) == 0)
		snprintf(way->why, MAX_TLS_WHY, "is below \"%s\", where others can put another in its place", folder);
	else
		return OUTCOME_ANSWERED;
	return OUTCOME_NEXT;
}

static bool
file_is_ours(const struct stat *status, bool secret, char *why)
{
	mode_t		readers = status->st_uid == 0 ? S_IRWXO : S_IRWXG | S_IRWXO;

	if (!S_ISREG(status->st_mode))
		strlcpy(why, "is no regular file", MAX_TLS_WHY);
	else if (status->st_uid != geteuid() && status->st_uid != 0)
		snprintf(why, MAX_TLS_WHY, "must belong to root or the server's user, not to uid %ld",
				 (long) status->st_uid);
	else if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		strlcpy(why, "can be written by others", MAX_TLS_WHY);
	else if (secret && (status->st_mode & readers) != 0)
		strlcpy(why, "can be read by others", MAX_TLS_WHY);
	else
		return true;
	return false;
}

static Outcome
read_all(int fd, size_t size, FileContent *content, char *why)
{
	if (size > MAX_TLS_FILE)
	{
		snprintf(why, MAX_TLS_WHY, "is larger than %d bytes", MAX_TLS_FILE);
		return OUTCOME_NEXT;
	}
	content->data = palloc(size + 1);
	content->len = 0;
	while (content->len <= size)
	{
		ssize_t		n = read(fd, content->data + content->len, size + 1 - content->len);

		if (n == 0)
			return OUTCOME_ANSWERED;
		if (n > 0)
			content->len += n;
		else if (errno != EINTR)
		{
			int			saved_errno = errno;

			forget_content(content);
			return cannot_be_used(why, saved_errno);
		}
	}
	forget_content(content);
	strlcpy(why, "cannot be used: it is being written", MAX_TLS_WHY);
	return OUTCOME_RETRY;
}

static Outcome
cannot_be_used(char *why, int saved_errno)
{
	snprintf(why, MAX_TLS_WHY, "cannot be used: %s", strerror(saved_errno));
	return OUTCOME_RETRY;
}
