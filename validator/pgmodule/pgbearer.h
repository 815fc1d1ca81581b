/*-------------------------------------------------------------------------
 *
 * pgbearer.h
 *	  What the files of the module share.
 *
 * One login goes through them in this order: pgbearer.c (entry), request.c
 * with role.c (what is asked), endpoints.c with endpoint.c and names.c (whom),
 * connect.c with connection.c, peer.c, tls.c, tls_files.c and trusted_file.c
 * (getting there), exchange.c with http.c (asking), answer.c with json.c (what
 * was said), session_end.c (the timer).
 *
 * validator/pgmodule/pgbearer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGBEARER_H
#define PGBEARER_H

#include <sys/socket.h>

#include "lib/stringinfo.h"
#include "libpq/libpq-be.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "reasons.h"

/* Bounds of docs/protocol.md, in bytes */
#define PROTOCOL_VERSION	1
#define MAX_REQUEST			(128 * 1024)
#define MAX_ANSWER_HEAD		(8 * 1024)
#define MAX_ANSWER_BODY		(64 * 1024)
#define MAX_ANSWER_DEPTH	8
#define MAX_IDENTITY		512
#define MAX_CODE			64	/* a reason or a decision id */

#define MAX_ENDPOINTS		8
#define MAX_UNIX_PATH		107 /* sun_path without its terminator */
#define MAX_HOST			253 /* a DNS name, RFC 1035 section 2.3.4 */
#define MAX_PEER_NAME		255 /* a DNS name or SPIFFE ID that a certificate is to have */
#define MAX_ADDRESSES		8	/* of one name */
#define MAX_TRIES			(MAX_ENDPOINTS * MAX_ADDRESSES)
#define MAX_TLS_WHY			1024
#define MAX_TLS_FILE		(256 * 1024)	/* bytes of a certificate, key or authority's file, as in the service */
#define MAX_LABEL			(MAX_HOST + 16 + 48)	/* the last for an address of that name */

#define REQUEST_ID_LEN		32	/* hex digits of 128 random bits */
#define TOKEN_REF_LEN		12	/* hex digits of SHA-256(token) */

/* Why the module refuses: FAULT_service_timeout and so on, see reasons.h */
typedef enum Fault
{
#define FAULT_MEMBER(name, meaning, remedy) FAULT_##name,
	PGBEARER_REASONS(FAULT_MEMBER)
#undef FAULT_MEMBER
} Fault;

typedef struct Tls Tls;
typedef struct TlsFiles TlsFiles;
struct ssl_ctx_st;

/*
 * One login.  It is refused until every step has said otherwise; `reason` and
 * `trail` are for the server log and hold nothing from the token.
 */
typedef struct Login
{
	const char *token;			/* owned by the server, never copied but into the request */
	const char *role;
	const char *database;		/* "" for physical replication */
	const Port *port;
	char		request_id[REQUEST_ID_LEN + 1];
	char		token_ref[TOKEN_REF_LEN + 1];
	int64		deadline;		/* monotonic_ms() by which the answer must be here */
	TlsFiles   *tls_files;		/* while it is exchanged */
	int			cuts;			/* handshakes that ended without a word */
	List	   *asked;			/* const Endpoint *: may have decided, but nothing came of it */

	const char *reason;			/* the last fault, or the service's reason */
	const char *decision_id;	/* NULL if there is no decision */
	const char *endpoint;		/* who answered, or NULL */
	StringInfoData trail;		/* what went wrong where, in sentences */
} Login;

/* A block of fixed size: text that holds a token must not leave copies behind by growing */
typedef struct Block
{
	char	   *start;			/* of the memory */
	char	   *data;			/* of what is in it */
	size_t		len;
	size_t		size;			/* from data on */
	bool		overflowed;
} Block;

/* What the catalog says of a role and of everything it can become by SET ROLE */
typedef struct RoleAttributes
{
	bool		exists;
	bool		super;
	bool		replication;
	bool		createrole;
	bool		createdb;
	bool		bypassrls;
	List	   *member_of;		/* names of predefined roles (char *) */
} RoleAttributes;

typedef enum EndpointKind
{
	ENDPOINT_UNIX,
	ENDPOINT_HOSTNAME,			/* over TLS, the certificate has this DNS name */
	ENDPOINT_SPIFFE,			/* over TLS, the certificate is of this SPIFFE ID */
} EndpointKind;

typedef struct Endpoint
{
	EndpointKind kind;
	int			place;			/* in the list */
	uint32		hash;			/* of all that was said of it */
	char		label[MAX_LABEL + 1];	/* what it is called in messages: without what is expected of its certificate */
	char		host[MAX_HOST + 1]; /* to be resolved by names.c; empty if the address is known */
	int			port;			/* with host */
	char		peer_name[MAX_PEER_NAME + 1];	/* what is expected, or empty */
	struct sockaddr_storage address;
	socklen_t	address_len;	/* 0 if none is known */
} Endpoint;

typedef struct FoundAddress
{
	struct sockaddr_storage address;
	socklen_t	len;
} FoundAddress;

typedef struct EndpointList
{
	int			count;
	Endpoint	items[MAX_ENDPOINTS];
} EndpointList;

/* How one attempt at one endpoint ended */
typedef enum Outcome
{
	OUTCOME_ANSWERED,			/* a whole answer is here */
	OUTCOME_RETRY,				/* not there at this moment: after the others, again */
	OUTCOME_NEXT,				/* of no use for this login: the others */
	OUTCOME_FINAL,				/* nothing more to try */
} Outcome;

/* How an operation that does not block ended */
typedef enum IoResult
{
	IO_DONE,
	IO_WANTS_READ,				/* again, once the socket is readable */
	IO_WANTS_WRITE,
	IO_ENDED,					/* closed or broken */
} IoResult;

struct WaitEventSet;

typedef struct Connection
{
	pgsocket	sock;
	Tls		   *tls;			/* NULL over a Unix socket */
	struct WaitEventSet *set;
	int			sock_pos;		/* of the service's socket in the set */
	bool		client_gone;
} Connection;

/* Of a file, in memory that forget_content() is to be called for */
typedef struct FileContent
{
	char	   *data;
	size_t		len;
} FileContent;

/* Where in an HTTP answer the body lies */
typedef struct HttpHead
{
	int			status;
	size_t		head_len;
	size_t		body_len;
} HttpHead;

typedef enum HttpResult
{
	HTTP_INCOMPLETE,
	HTTP_COMPLETE,
	HTTP_INVALID,
} HttpResult;

typedef enum JsonKind
{
	JSON_STRING,
	JSON_INTEGER,
	JSON_NUMBER,				/* with fraction, exponent, or out of range */
	JSON_BOOL,
	JSON_NULL,
	JSON_OBJECT,
	JSON_ARRAY,
} JsonKind;

typedef struct JsonValue
{
	JsonKind	kind;
	char	   *string;			/* JSON_STRING: unescaped UTF-8 without NUL, terminated */
	int64		integer;		/* JSON_INTEGER */
} JsonValue;

/* Called for each member of the outermost object; false stops, having set *error */
typedef bool (*JsonMemberCallback) (void *arg, const char *name, const JsonValue *value, const char **error);

typedef struct Answer
{
	bool		allow;
	char	   *identity;		/* UTF-8, NULL unless allow */
	bool		ends;			/* false: the session has no end of its own */
	int64		ends_at;		/* epoch ms, by this machine's clock */
} Answer;

/* pgbearer.c */
extern int	guc_connect_timeout;
extern int	guc_timeout;
extern char *guc_instance;
extern char *guc_forbid_passwords;
extern char *guc_tls_certificate_file;
extern char *guc_tls_key_file;
extern char *guc_tls_ca_file;
extern bool fail(Login *login, Fault fault, const char *fmt,...) pg_attribute_printf(3, 4);
extern int64 monotonic_ms(void);
extern int64 epoch_ms(TimestampTz at);
extern void sha256_hex(const void *data, size_t len, char *hex, size_t hex_len);

/* request.c */
extern Block *build_request(Login *login);

/* role.c */
extern void look_up_role(const char *role, RoleAttributes *attributes);

/* block.c */
extern Block *block_create(size_t size);
extern void block_bytes(Block *block, const char *bytes, size_t len);
extern void block_text(Block *block, const char *text);
extern void block_open(Block *block, const char *name, char bracket);
extern void block_close(Block *block, char bracket);
extern void block_string(Block *block, const char *name, const char *value);
extern void block_integer(Block *block, const char *name, int64 value);
extern void block_bool(Block *block, const char *name, bool value);

/* endpoint.c */
extern const char *parse_endpoint(const char *text, Endpoint *endpoint);

/* endpoints.c */
extern const EndpointList *endpoint_list;
extern void endpoints_init(void);
extern bool check_endpoints(char **newval, void **extra, GucSource source);
extern void assign_endpoints(const char *newval, void *extra);
extern int	order_endpoints(const Endpoint **ordered);
extern void endpoint_is_down(const Endpoint *endpoint);
extern void endpoint_is_up(const Endpoint *endpoint);

/* names.c */
extern void names_init(void);
extern bool any_names(void);
extern uint32 names_changes(void);
extern uint32 names_ask(void);
extern bool names_awaited(uint32 ask);
extern int	find_addresses(const Endpoint *endpoint, FoundAddress *addresses);
extern Outcome no_address(Login *login, const Endpoint *endpoint);

/* peer.c */
extern bool check_service_user(char **newval, void **extra, GucSource source);
extern void assign_service_user(const char *newval, void *extra);
extern bool service_user_is_known(void);
extern bool peer_is_trusted(pgsocket sock, uid_t *uid);

/* exchange.c */
extern bool exchange(Login *login, const Block *request, char **body, size_t *body_len);
extern Outcome client_gone(Login *login, const Endpoint *endpoint);

/* connect.c */
extern Outcome connect_to(Login *login, const Endpoint *endpoint, Connection *conn, int64 until);

/* connection.c */
extern void connection_open(Connection *conn, int family);
extern void connection_watch(Connection *conn);
extern void connection_close(Connection *conn);
extern bool connection_wait(Connection *conn, uint32 events, int64 until);
extern bool connection_wait_for(Connection *conn, IoResult wanted, int64 until);
extern IoResult connection_send(Connection *conn, const char *data, size_t len, size_t *done);
extern IoResult connection_receive(Connection *conn, char *data, size_t room, size_t *done);

/* tls.c */
extern bool tls_is_built_in(void);
extern Tls *tls_create(void);
extern bool tls_configure(Tls *tls, const TlsFiles *files, const Endpoint *endpoint);
extern IoResult tls_handshake(Tls *tls, pgsocket sock);
extern IoResult tls_send(Tls *tls, const char *data, size_t len, size_t *done);
extern IoResult tls_receive(Tls *tls, char *data, size_t room, size_t *done);
extern const char *tls_why(const Tls *tls);
extern bool tls_peer_is_refused(const Tls *tls);
extern bool tls_was_cut(const Tls *tls);
extern void tls_free(Tls *tls);

/* tls_files.c */
extern TlsFiles *tls_files_create(void);
extern Outcome tls_files_read(TlsFiles *files);
extern struct ssl_ctx_st *tls_files_context(const TlsFiles *files);
extern const char *tls_files_why(const TlsFiles *files);
extern void tls_files_free(TlsFiles *files);
extern void tls_note_failure(char *why, const char *what, int saved_errno);

/* trusted_file.c */
extern Outcome read_trusted_file(const char *path, bool secret, FileContent *content, char *why);
extern void forget_content(FileContent *content);

/* http.c */
extern HttpResult parse_http_head(const char *data, size_t len, HttpHead *head, const char **error);

/* json.c */
extern bool read_json_object(const char *data, size_t len, JsonMemberCallback callback, void *arg, const char **error);

/* answer.c */
extern bool read_answer(Login *login, const char *body, size_t len, Answer *answer);

/* session_end.c */
extern bool end_session_at(int64 ends_at, const char *decision_id);

/* passwords.c */
extern void passwords_init(void);
extern bool check_forbid_passwords(char **newval, void **extra, GucSource source);

#endif							/* PGBEARER_H */
