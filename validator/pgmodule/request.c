/*-------------------------------------------------------------------------
 *
 * request.c
 *	  The login request: everything the service is told, as HTTP and JSON.
 *
 * validator/pgmodule/request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "common/ip.h"
#include "common/string.h"
#include "libpq/hba.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "replication/walsender.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "pgbearer.h"

/* Room before the body for the head, whose length is known only after it */
#define HEAD_ROOM 256

static bool names_are_utf8(Login *login);
static bool is_utf8(const char *text);
static void put_role(Block *block, const char *role);
static void put_hba(Block *block, const HbaLine *hba);
static void put_client(Block *block, const Port *port);
static void put_tls(Block *block, const Port *port);
static void put_server(Block *block);
static void put_backend(Block *block);
static const char *replication_kind(void);
static bool put_head(Block *request);

/*
 * Build the whole request; its memory is wiped with the current context.
 *
 * Returns NULL, with the reason set, if it cannot be expressed.
 */
Block *
build_request(Login *login)
{
	const Port *port = login->port;
	Block	   *request;

	if (!names_are_utf8(login))
		return NULL;

	request = block_create(HEAD_ROOM + MAX_REQUEST);
	request->len = HEAD_ROOM;
	block_text(request, "{");
	block_integer(request, "v", PROTOCOL_VERSION);
	block_string(request, "request_id", login->request_id);
	block_integer(request, "now", epoch_ms(GetCurrentTimestamp()));
	block_string(request, "token", login->token);
	block_string(request, "role", login->role);
	put_role(request, login->role);
	block_string(request, "database", login->database);
	block_string(request, "replication", replication_kind());
	put_hba(request, port->hba);
	put_client(request, port);
	block_open(request, "unverified", '{');
	block_string(request, "application_name",
				 port->application_name && is_utf8(port->application_name) ? port->application_name : NULL);
	block_close(request, '}');
	put_server(request);
	put_backend(request);
	block_close(request, '}');

	if (!put_head(request))
	{
		fail(login, FAULT_request_too_large, "The login request exceeds %d bytes.", MAX_REQUEST);
		return NULL;
	}
	return request;
}

/*
 * Nothing is converted: during authentication the server encoding is still
 * SQL_ASCII, and shared catalogs have none.  What is not UTF-8 is not sent.
 */
static bool
names_are_utf8(Login *login)
{
	const HbaLine *hba = login->port->hba;

	if (!is_utf8(login->role))
		return fail(login, FAULT_name_not_utf8, "The role name is not valid UTF-8.");
	if (!is_utf8(login->database))
		return fail(login, FAULT_name_not_utf8, "The database name is not valid UTF-8.");
	if (!is_utf8(hba->oauth_issuer) || !is_utf8(hba->oauth_scope) || (hba->usermap && !is_utf8(hba->usermap)))
		return fail(login, FAULT_name_not_utf8, "The HBA line is not valid UTF-8.");
	return true;
}

static bool
is_utf8(const char *text)
{
	int			len = strlen(text);

	return pg_encoding_verifymbstr(PG_UTF8, text, len) == len;
}

static void
put_role(Block *block, const char *role)
{
	RoleAttributes attributes;

	look_up_role(role, &attributes);
	block_open(block, "role_attributes", '{');
	block_bool(block, "exists", attributes.exists);
	block_bool(block, "super", attributes.super);
	block_bool(block, "replication", attributes.replication);
	block_bool(block, "createrole", attributes.createrole);
	block_bool(block, "createdb", attributes.createdb);
	block_bool(block, "bypassrls", attributes.bypassrls);
	block_open(block, "member_of", '[');
	foreach_ptr(char, name, attributes.member_of)
		block_string(block, NULL, name);
	block_close(block, ']');
	block_close(block, '}');
}

/*
 * The kind of replication connection (ProcessStartupPacket in
 * backend_startup.c): HBA keyword "all" does not cover physical replication,
 * but a logical one looks like any other there.
 */
static const char *
replication_kind(void)
{
	if (am_db_walsender)
		return "logical";
	return am_walsender ? "physical" : "none";
}

static void
put_hba(Block *block, const HbaLine *hba)
{
	char	   *scopes = pstrdup(hba->oauth_scope);
	char	   *rest = NULL;

	block_open(block, "hba", '{');
	block_string(block, "issuer", hba->oauth_issuer);
	block_open(block, "scopes", '[');
	for (char *scope = strtok_r(scopes, " \t", &rest); scope; scope = strtok_r(NULL, " \t", &rest))
		block_string(block, NULL, scope);
	block_close(block, ']');
	block_bool(block, "delegate", hba->oauth_skip_usermap);
	block_string(block, "map", hba->usermap);
	block_close(block, '}');
}

/*
 * The numeric address: remote_host is a name under log_hostname, and reverse
 * DNS belongs to whoever owns the address.
 */
static void
put_client(Block *block, const Port *port)
{
	char		host[NI_MAXHOST];
	char		service[NI_MAXSERV];
	bool		numeric = port->raddr.addr.ss_family != AF_UNIX &&
		pg_getnameinfo_all(&port->raddr.addr, port->raddr.salen, host, sizeof(host),
						   service, sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV) == 0;

	block_open(block, "client", '{');
	block_string(block, "address", numeric ? host : NULL);
	if (numeric)
		block_integer(block, "port", atoi(service));
	else
		block_string(block, "port", NULL);
	put_tls(block, port);
	block_close(block, '}');
}

#ifdef USE_OPENSSL

/*
 * SHA-256 of the client's certificate in hex, or NULL.  peer_cert_valid is set
 * only after OpenSSL verified the chain (be-secure-openssl.c).
 */
static const char *
client_certificate(const Port *port)
{
	unsigned char *der;
	unsigned char *end;
	char	   *hex;
	int			len;

	if (!port->peer_cert_valid || port->peer == NULL)
		return NULL;
	len = i2d_X509(port->peer, NULL);
	if (len <= 0)
		return NULL;
	der = end = palloc(len);
	i2d_X509(port->peer, &end);
	hex = palloc(2 * 32 + 1);
	sha256_hex(der, len, hex, 2 * 32);
	return hex;
}

#endif

static void
put_tls(Block *block, const Port *port)
{
#ifdef USE_OPENSSL
	if (port->ssl_in_use)
	{
		block_open(block, "tls", '{');
		block_string(block, "version", be_tls_get_version((Port *) port));
		block_string(block, "cipher", be_tls_get_cipher((Port *) port));
		block_string(block, "client_cert_sha256", client_certificate(port));
		block_close(block, '}');
		return;
	}
#else
	(void) port;
#endif
	block_string(block, "tls", NULL);
}

/*
 * The server as it describes itself.  The service knows who asks from the
 * peer of the connection, never from here.
 */
static void
put_server(Block *block)
{
	char		system_identifier[32];

	snprintf(system_identifier, sizeof(system_identifier), UINT64_FORMAT, GetSystemIdentifier());
	block_open(block, "server", '{');
	block_string(block, "instance", guc_instance[0] != '\0' ? guc_instance : cluster_name);
	block_string(block, "system_identifier", system_identifier);
	block_integer(block, "start", epoch_ms(PgStartTime));
	block_bool(block, "in_recovery", RecoveryInProgress());
	block_integer(block, "version", atoi(GetConfigOption("server_version_num", false, false)));
	block_close(block, '}');
}

static void
put_backend(Block *block)
{
	block_open(block, "backend", '{');
	block_integer(block, "pid", MyProcPid);
	block_integer(block, "start", epoch_ms(MyStartTimestamp));
	block_close(block, '}');
}

/*
 * Write the head into the room kept for it, flush against the body, and make
 * `request` begin there.
 */
static bool
put_head(Block *request)
{
	char		head[HEAD_ROOM];
	int			len;

	if (request->overflowed)
		return false;
	len = snprintf(head, sizeof(head),
				   "POST /v1/login HTTP/1.1\r\n"
				   "Host: pgbearer\r\n"
				   "Content-Type: application/json\r\n"
				   "Content-Length: %zu\r\n"
				   "Connection: close\r\n"
				   "\r\n", request->len - HEAD_ROOM);
	Assert(len < HEAD_ROOM);
	request->data += HEAD_ROOM - len;
	request->len -= HEAD_ROOM - len;
	request->size -= HEAD_ROOM - len;
	memcpy(request->data, head, len);
	return true;
}
