/* Stand-in: what the module calls (pem.h, bio.h, evp.h). */
#ifndef STAND_IN_OPENSSL_PEM_H
#define STAND_IN_OPENSSL_PEM_H

#include "ssl.h"

typedef struct bio_st BIO;
typedef int pem_password_cb(char *buf, int size, int rwflag, void *userdata);

extern BIO *BIO_new_mem_buf(const void *data, int len);
extern int	BIO_free(BIO *bio);
extern X509 *PEM_read_bio_X509(BIO *bio, X509 **x, pem_password_cb *callback, void *userdata);
extern EVP_PKEY *PEM_read_bio_PrivateKey(BIO *bio, EVP_PKEY **key, pem_password_cb *callback, void *userdata);
extern void EVP_PKEY_free(EVP_PKEY *key);

#define PEM_R_NO_START_LINE 108

#endif
