/*-------------------------------------------------------------------------
 *
 * module_tls_loop.c
 *	  The module's TLS without a server, over and over, for the sanitizers to
 *	  see what it leaves.
 *
 *	  module_tls_loop COUNT ENDPOINT CERTIFICATE KEY CA
 *
 * Prints how many connections came to a whole answer, and by how many bytes
 * what is allocated has grown since the second of them.  A backend ends soon
 * after its login, so what is left there is never missed; here it is.
 *
 * tests/integration/module_tls_loop.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <unistd.h>

#include "storage/fd.h"

#include "pgbearer.h"

static const char request[] =
	"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 64\r\n\r\n"
	"{\"request_id\": \"0\", \"role\": \"r\", \"database\": \"d\", \"padding\": \"xx\"}";

char	   *guc_tls_certificate_file;
char	   *guc_tls_key_file;
char	   *guc_tls_ca_file;

int
OpenTransientFile(const char *fileName, int fileFlags)
{
	return open(fileName, fileFlags);
}

int
CloseTransientFile(int fd)
{
	return close(fd);
}

static bool
wait_for(pgsocket sock, IoResult wanted)
{
	struct pollfd one = {.fd = sock, .events = wanted == IO_WANTS_READ ? POLLIN : POLLOUT};

	return poll(&one, 1, 10000) == 1;
}

static bool
converse(Tls *tls, pgsocket sock)
{
	IoResult	result;
	char		answer[4096];
	size_t		done = 0;
	size_t		received = 0;

	while ((result = tls_handshake(tls, sock)) != IO_DONE)
	{
		if (result == IO_ENDED || !wait_for(sock, result))
			return false;
	}
	if (tls_send(tls, request, strlen(request), &done) != IO_DONE)
		return false;
	while ((result = tls_receive(tls, answer, sizeof(answer), &done)) != IO_ENDED)
	{
		if (result != IO_DONE && !wait_for(sock, result))
			return false;
		received += done;
	}
	return received > 0;
}

static bool
once(const Endpoint *endpoint)
{
	pgsocket	sock = socket(endpoint->address.ss_family, SOCK_STREAM, 0);
	TlsFiles   *files = tls_files_create();
	Tls		   *tls = tls_create();
	bool		answered = tls_files_read(files) == OUTCOME_ANSWERED &&
		tls_files_read(files) == OUTCOME_ANSWERED &&
		tls_configure(tls, files, endpoint) &&
		connect(sock, (const struct sockaddr *) &endpoint->address, endpoint->address_len) == 0 &&
		pg_set_noblock(sock) &&
		converse(tls, sock);

	tls_free(tls);
	tls_files_free(files);
	close(sock);
	return answered;
}

int
main(int argc, char **argv)
{
	Endpoint	endpoint;
	int			answered = 0;
	size_t		before = 0;

	if (argc != 6 || parse_endpoint(argv[2], &endpoint) != NULL)
		return 2;
	guc_tls_certificate_file = argv[3];
	guc_tls_key_file = argv[4];
	guc_tls_ca_file = argv[5];
	for (int i = 0; i < atoi(argv[1]); i++)
	{
		answered += once(&endpoint);
		if (i == 1)
			before = mallinfo2().uordblks;
	}
	printf("%d %zd\n", answered, (ssize_t) (mallinfo2().uordblks - before));
	return 0;
}
