/*-------------------------------------------------------------------------
 *
 * endpoint.c
 *	  Reads how one endpoint is written.
 *
 *	  unix:/absolute/path
 *	  tcp://HOST:port?hostname=NAME
 *	  tcp://HOST:port?spiffe=spiffe://DOMAIN/PATH
 *
 * A host is an IP address, of which IPv6 stands in brackets, or a DNS name,
 * which names.c resolves.  Over the network it must be said whose
 * certificate is expected: an address is nobody's name.
 *
 * validator/pgmodule/endpoint.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "common/hashfn.h"
#include "port/pg_bswap.h"

#include "pgbearer.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static const char *parse_unix(const char *path, Endpoint *endpoint);
static const char *parse_network(const char *rest, Endpoint *endpoint);
static const char *parse_peer(const char *query, Endpoint *endpoint);
static bool parse_port(const char *text, size_t len, int *port);
static void set_address(Endpoint *endpoint, const char *host, int port);
static bool is_dns_name(const char *name);
static bool is_spiffe_id(const char *id);
static const char *after(const char *text, const char *prefix);

/*
 * NULL if `text` is an endpoint, else what is wrong with it, as a full
 * sentence.
 */
const char *
parse_endpoint(const char *text, Endpoint *endpoint)
{
	const char *rest;

	memset(endpoint, 0, sizeof(*endpoint));
	endpoint->hash = hash_bytes((const unsigned char *) text, strlen(text));
	if ((rest = after(text, "unix:")) != NULL)
		return parse_unix(rest, endpoint);
	if ((rest = after(text, "tcp://")) != NULL)
		return tls_is_built_in() ? parse_network(rest, endpoint) :
			"This PostgreSQL was built without OpenSSL, which endpoints over the network need.";
	return "It begins neither with unix:/ nor with tcp://.";
}

static const char *
parse_unix(const char *path, Endpoint *endpoint)
{
	struct sockaddr_un *address = (struct sockaddr_un *) &endpoint->address;

	if (path[0] != '/' || strlen(path) > MAX_UNIX_PATH)
		return "The path of a Unix socket is absolute, and has at most 107 bytes.";
	endpoint->kind = ENDPOINT_UNIX;
	snprintf(endpoint->label, sizeof(endpoint->label), "unix:%s", path);
	address->sun_family = AF_UNIX;
	strlcpy(address->sun_path, path, sizeof(address->sun_path));
	endpoint->address_len = sizeof(*address);
	return NULL;
}

static const char *
parse_network(const char *rest, Endpoint *endpoint)
{
	char		host[MAX_HOST + 1];
	const char *query = strchr(rest, '?');
	const char *host_end;
	const char *host_start = rest;
	int			port;

	if (query == NULL)
		return "It does not say whose certificate is expected: ?hostname=NAME or ?spiffe=ID.";
	if (*rest == '[')
	{
		host_start++;
		host_end = memchr(rest, ']', query - rest);
		rest = host_end ? host_end + 1 : query;
	}
	else
	{
		host_end = memchr(rest, ':', query - rest);
		rest = host_end ? host_end : query;
	}
	if (host_end == NULL || host_end == host_start || host_end - host_start > MAX_HOST || *rest != ':' ||
		!parse_port(rest + 1, query - rest - 1, &port))
		return "It has no host and port: tcp://HOST:port, an IPv6 address in brackets.";
	strlcpy(host, host_start, host_end - host_start + 1);
	set_address(endpoint, host, port);
	if (endpoint->address_len == 0 && !is_dns_name(host))
		return "Its host is neither an IP address nor a DNS name.";
	snprintf(endpoint->label, sizeof(endpoint->label), strchr(host, ':') ? "tcp://[%s]:%d" : "tcp://%s:%d", host, port);
	return parse_peer(query + 1, endpoint);
}

/*
 * "hostname=NAME" or "spiffe=ID", and nothing more.
 */
static const char *
parse_peer(const char *query, Endpoint *endpoint)
{
	const char *value;

	if ((value = after(query, "hostname=")) != NULL)
	{
		if (!is_dns_name(value))
			return "Its hostname is not a DNS name; one is compared exactly, without wildcards, and an address is none: give the name that the service's certificate has.";
		endpoint->kind = ENDPOINT_HOSTNAME;
	}
	else if ((value = after(query, "spiffe=")) != NULL)
	{
		if (!is_spiffe_id(value))
			return "Its spiffe is not the SPIFFE ID of a workload, or has more than 255 bytes.";
		endpoint->kind = ENDPOINT_SPIFFE;
	}
	else
		return "After the question mark stands hostname=NAME or spiffe=ID, and nothing more.";
	strlcpy(endpoint->peer_name, value, sizeof(endpoint->peer_name));
	return NULL;
}

static bool
parse_port(const char *text, size_t len, int *port)
{
	*port = 0;
	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		*port = *port * 10 + (text[i] - '0');
	}
	return *port > 0 && *port <= 65535;
}

/*
 * The address, if `host` is one; else what names.c is to resolve.
 */
static void
set_address(Endpoint *endpoint, const char *host, int port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *) &endpoint->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &endpoint->address;

	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
	{
		v4->sin_family = AF_INET;
		v4->sin_port = pg_hton16(port);
		endpoint->address_len = sizeof(*v4);
	}
	else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1)
	{
		v6->sin6_family = AF_INET6;
		v6->sin6_port = pg_hton16(port);
		endpoint->address_len = sizeof(*v6);
	}
	else
	{
		strlcpy(endpoint->host, host, sizeof(endpoint->host));
		endpoint->port = port;
	}
}

/*
 * Letters, digits, hyphens and underscores between dots, none of them at
 * either end.  What ends in a number is an address, or meant as one: OpenSSL
 * would look for it among a certificate's addresses, and those are not names.
 */
static bool
is_dns_name(const char *name)
{
	size_t		len = strlen(name);
	const char *last = strrchr(name, '.');

	last = last ? last + 1 : name;
	return len > 0 && len <= MAX_HOST && strspn(last, DIGITS) != strlen(last) &&
		strspn(name, LOWER UPPER DIGITS "-_.") == len &&
		name[0] != '.' && name[len - 1] != '.' && strstr(name, "..") == NULL;
}

/*
 * SPIFFE-ID.md section 2: a trust domain in lower case, and a path of segments
 * that are neither empty nor dots.
 */
static bool
is_spiffe_id(const char *id)
{
	const char *segment = after(id, "spiffe://");
	size_t		len;

	if (segment == NULL || strlen(id) > MAX_PEER_NAME)
		return false;
	len = strspn(segment, LOWER DIGITS "-_.");
	if (len == 0 || segment[len] != '/')
		return false;
	while (segment[len] == '/')
	{
		segment += len + 1;
		len = strspn(segment, LOWER UPPER DIGITS "-_.");
		if (len == 0 || (len == 1 && segment[0] == '.') || (len == 2 && segment[0] == '.' && segment[1] == '.'))
			return false;
	}
	return segment[len] == '\0';
}

/*
 * What comes after `prefix`, or NULL if `text` does not begin with it.
 */
static const char *
after(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}
