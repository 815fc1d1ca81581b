/* Stand-in: what the module calls (err.h). */
#ifndef STAND_IN_OPENSSL_ERR_H
#define STAND_IN_OPENSSL_ERR_H

extern unsigned long ERR_get_error(void);
extern unsigned long ERR_peek_last_error(void);
extern void ERR_clear_error(void);
extern const char *ERR_reason_error_string(unsigned long code);

#define ERR_SYSTEM_ERROR(code) (((code) & 0x80000000UL) != 0)
#define ERR_LIB_PEM 9
#define ERR_GET_LIB(code) (ERR_SYSTEM_ERROR(code) ? 2 : (int) (((code) >> 23) & 0xff))
#define ERR_GET_REASON(code) ((int) ((code) & (ERR_SYSTEM_ERROR(code) ? 0x7fffffffUL : 0x7fffffUL)))

#endif
