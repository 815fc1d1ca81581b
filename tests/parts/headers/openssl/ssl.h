/* Stand-in: the opaque types that libpq/libpq-be.h names, and what the module calls (openssl/x509.h). */
#ifndef STAND_IN_OPENSSL_SSL_H
#define STAND_IN_OPENSSL_SSL_H

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct x509_st X509;

extern int	i2d_X509(const X509 *x, unsigned char **out);

#endif
