/* Stand-in: what libpq/libpq-be.h names, and what the module calls, as OpenSSL 3 has it (ssl.h, tls1.h, x509_vfy.h). */
#ifndef STAND_IN_OPENSSL_SSL_H
#define STAND_IN_OPENSSL_SSL_H

#include <stddef.h>
#include <stdint.h>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_method_st SSL_METHOD;
typedef struct x509_st X509;
typedef struct x509_store_st X509_STORE;
typedef struct X509_VERIFY_PARAM_st X509_VERIFY_PARAM;
typedef struct evp_pkey_st EVP_PKEY;

extern int	i2d_X509(const X509 *x, unsigned char **out);
extern void X509_free(X509 *x);
extern int	X509_check_ca(X509 *x);
extern const char *X509_verify_cert_error_string(long n);
extern int	X509_VERIFY_PARAM_set_flags(X509_VERIFY_PARAM *param, unsigned long flags);

#define X509_V_OK 0
#define X509_V_FLAG_X509_STRICT 0x20
#define X509_CHECK_FLAG_NO_WILDCARDS 0x2
#define X509_CHECK_FLAG_NEVER_CHECK_SUBJECT 0x20

extern const SSL_METHOD *TLS_client_method(void);
extern SSL_CTX *SSL_CTX_new(const SSL_METHOD *method);
extern void SSL_CTX_free(SSL_CTX *ctx);
extern long SSL_CTX_ctrl(SSL_CTX *ctx, int cmd, long larg, void *parg);
extern uint64_t SSL_CTX_set_options(SSL_CTX *ctx, uint64_t options);
extern X509_VERIFY_PARAM *SSL_CTX_get0_param(SSL_CTX *ctx);
extern void SSL_CTX_set_verify(SSL_CTX *ctx, int mode, int (*callback) (int, void *));
extern int	SSL_CTX_use_certificate(SSL_CTX *ctx, X509 *certificate);
extern int	SSL_CTX_use_PrivateKey(SSL_CTX *ctx, EVP_PKEY *key);
extern int	SSL_CTX_check_private_key(const SSL_CTX *ctx);
extern X509_STORE *SSL_CTX_get_cert_store(const SSL_CTX *ctx);
extern int	X509_STORE_add_cert(X509_STORE *store, X509 *certificate);

#define TLS1_3_VERSION 0x0304
#define SSL_VERIFY_PEER 0x01
#define SSL_SESS_CACHE_OFF 0
#define SSL_MODE_ENABLE_PARTIAL_WRITE 0x1
#define SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER 0x2
#define SSL_MODE_AUTO_RETRY 0x4
#define SSL_OP_IGNORE_UNEXPECTED_EOF ((uint64_t) 1 << 7)
#define SSL_CTX_set_mode(ctx, mode) SSL_CTX_ctrl(ctx, 33, mode, NULL)
#define SSL_CTX_set_session_cache_mode(ctx, mode) SSL_CTX_ctrl(ctx, 44, mode, NULL)
#define SSL_CTX_clear_mode(ctx, mode) SSL_CTX_ctrl(ctx, 78, mode, NULL)
#define SSL_CTX_add1_chain_cert(ctx, certificate) SSL_CTX_ctrl(ctx, 89, 1, (char *) (certificate))
#define SSL_CTX_set1_groups_list(ctx, list) SSL_CTX_ctrl(ctx, 92, 0, (char *) (list))
#define SSL_CTX_set_min_proto_version(ctx, version) SSL_CTX_ctrl(ctx, 123, version, NULL)

extern SSL *SSL_new(SSL_CTX *ctx);
extern void SSL_free(SSL *ssl);
extern long SSL_ctrl(SSL *ssl, int cmd, long larg, void *parg);
extern int	SSL_set_fd(SSL *ssl, int fd);
extern int	SSL_get_fd(const SSL *ssl);
extern int	SSL_set1_host(SSL *ssl, const char *name);
extern void SSL_set_hostflags(SSL *ssl, unsigned int flags);
extern int	SSL_connect(SSL *ssl);
extern int	SSL_read_ex(SSL *ssl, void *data, size_t room, size_t *done);
extern int	SSL_write_ex(SSL *ssl, const void *data, size_t len, size_t *done);
extern int	SSL_get_error(const SSL *ssl, int returned);
extern long SSL_get_verify_result(const SSL *ssl);
extern X509 *SSL_get1_peer_certificate(const SSL *ssl);

#define SSL_ERROR_SSL 1
#define SSL_ERROR_WANT_READ 2
#define SSL_ERROR_WANT_WRITE 3
#define SSL_set_tlsext_host_name(ssl, name) SSL_ctrl(ssl, 55, 0, (char *) (name))
#define SSL_get_peer_certificate SSL_get1_peer_certificate

#endif
