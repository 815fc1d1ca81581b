/* Stand-in: the types that libpq/libpq-be.h names (RFC 2744); PostgreSQL's Port holds a pointer to a struct of them. */
#ifndef STAND_IN_GSSAPI_H
#define STAND_IN_GSSAPI_H

#include <stddef.h>

typedef struct gss_buffer_desc_struct
{
	size_t		length;
	void	   *value;
} gss_buffer_desc, *gss_buffer_t;

typedef struct gss_cred_id_struct *gss_cred_id_t;
typedef struct gss_ctx_id_struct *gss_ctx_id_t;
typedef struct gss_name_struct *gss_name_t;

#endif
