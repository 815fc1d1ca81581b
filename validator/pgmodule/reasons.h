/*-------------------------------------------------------------------------
 *
 * reasons.h
 *	  Why the module itself refuses a login: a table of name, meaning, remedy.
 *
 * These are the faults between the server and the service.  A refusal that
 * the service decided carries the service's reason instead.  The reference
 * page is generated from this table: keep one entry's three strings literal.
 *
 * validator/pgmodule/reasons.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGBEARER_REASONS_H
#define PGBEARER_REASONS_H

#define PGBEARER_REASONS(REASON) \
	REASON(not_configured, \
		   "pgbearer.endpoints is empty.", \
		   "Set pgbearer.endpoints to the login socket of the service and reload.") \
	REASON(service_user_unknown, \
		   "pgbearer.service_user names no user of this machine.", \
		   "Set pgbearer.service_user to the uid that the service runs as.") \
	REASON(token_too_large, \
		   "The token is longer than pgbearer.max_token_size.", \
		   "Ask for fewer scopes, map fewer claims into the token, or raise the limit.") \
	REASON(connections_short, \
		   "Fewer connections are free than are kept for logins that do not need the service.", \
		   "See why logins wait (is the service hung?), or raise max_connections.") \
	REASON(name_not_utf8, \
		   "The role or database name, or the HBA line, is not valid UTF-8.", \
		   "Use names in UTF-8 where logins go through pgbearer.") \
	REASON(request_too_large, \
		   "The login request would exceed 128 KiB.", \
		   "Shorten the token or the scopes of the HBA line.") \
	REASON(service_unreachable, \
		   "No connection to the service could be made.", \
		   "Start the service; check the path and the permissions of its socket.") \
	REASON(name_unresolved, \
		   "An endpoint is given by a DNS name that has no address, or that nobody resolves because pgbearer is not preloaded.", \
		   "See the detail and the name service; add pgbearer to shared_preload_libraries and restart, or give the IP address.") \
	REASON(peer_refused, \
		   "The socket is served by a user who is neither root, nor the server's own, nor pgbearer.service_user; or, over the network, with a certificate that does not verify or is of another name.", \
		   "Find out who listens there; set pgbearer.service_user if it is the service, or pgbearer.tls_ca_file and the endpoint's hostname or spiffe.") \
	REASON(tls_files_unusable, \
		   "pgbearer.tls_certificate_file, tls_key_file or tls_ca_file is not set, cannot be read, can be written or exchanged by others, or does not fit the others.", \
		   "See the detail; the server must be able to read all three, nobody else may write them or exchange them in their folders, and nobody else may read the key.") \
	REASON(tls_failed, \
		   "The TLS handshake with the service failed, or the service did not take this server's certificate.", \
		   "See the service's log of the same moment; it speaks TLS 1.3 only, and names why it refuses a certificate.") \
	REASON(caller_refused, \
		   "The service knows no server by this server's certificate.", \
		   "Name it under servers: in pgbearer.yaml; the service's log has the names that are in the certificate.") \
	REASON(service_timeout, \
		   "The service did not answer within pgbearer.timeout, or too little of authentication_timeout was left.", \
		   "See the service's log and load; raise the limits if they are too tight.") \
	REASON(service_cut, \
		   "The service closed the connection before its answer was complete.", \
		   "See the service's log: it stopped or crashed during the login.") \
	REASON(service_unavailable, \
		   "The service answered 503: it is starting, draining or overloaded.", \
		   "See /readyz of the service.") \
	REASON(answer_status, \
		   "The service answered a status other than 200 and 503.", \
		   "Check that the socket belongs to pgbearer serve, of this release or a neighbouring one.") \
	REASON(answer_invalid, \
		   "The answer is not what protocol version 1 says: HTTP, size, JSON, members or types.", \
		   "Check that the socket belongs to pgbearer serve, of this release or a neighbouring one.") \
	REASON(answer_mismatch, \
		   "The answer belongs to another request: request id, role or database differ.", \
		   "Treat it as an attack, or as a broken proxy between server and service.") \
	REASON(answer_expired, \
		   "The answer allows a session that is already over.", \
		   "Log in again; synchronise the clocks of server and service.") \
	REASON(session_end_failed, \
		   "The timer that ends the session could not be set.", \
		   "Look at the limit on pending signals (ulimit -i): all processes of the server's uid share it, in other pods of the node too.") \
	REASON(client_gone, \
		   "The client closed its connection while the service was being asked.", \
		   "Nothing, unless the service is slow.") \
	REASON(module_error, \
		   "The module met an error of its own; the server log has its text.", \
		   "Report it with the message from the server log.")

#endif							/* PGBEARER_REASONS_H */
