/* Stand-in: what the module calls (x509v3.h, asn1.h, stack.h). */
#ifndef STAND_IN_OPENSSL_X509V3_H
#define STAND_IN_OPENSSL_X509V3_H

#include "ssl.h"

typedef struct asn1_string_st ASN1_STRING;
typedef struct stack_st_GENERAL_NAME GENERAL_NAMES;

typedef struct GENERAL_NAME_st
{
	int			type;
	union
	{
		ASN1_STRING *uniformResourceIdentifier;
	}			d;
} GENERAL_NAME;

extern void *X509_get_ext_d2i(const X509 *x, int nid, int *critical, int *index);
extern void GENERAL_NAMES_free(GENERAL_NAMES *names);
extern int	OPENSSL_sk_num(const void *stack);
extern void *OPENSSL_sk_value(const void *stack, int i);
extern int	ASN1_STRING_length(const ASN1_STRING *string);
extern const unsigned char *ASN1_STRING_get0_data(const ASN1_STRING *string);

#define NID_subject_alt_name 85
#define GEN_URI 6
#define sk_GENERAL_NAME_num(names) OPENSSL_sk_num(names)
#define sk_GENERAL_NAME_value(names, i) ((GENERAL_NAME *) OPENSSL_sk_value(names, i))

#endif
