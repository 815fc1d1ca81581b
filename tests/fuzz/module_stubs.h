/*-------------------------------------------------------------------------
 *
 * module_stubs.h
 *	  See module_stubs.c.
 *
 * tests/fuzz/module_stubs.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef MODULE_STUBS_H
#define MODULE_STUBS_H

#include "pgbearer.h"

#define STUB_NOW	INT64CONST(1800000000000)	/* epoch ms at which every answer is read */
#define STUB_TEXT	1024						/* bytes of a sentence */

extern void forget_memory(void);
extern void must(bool holds, const char *what);
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif							/* MODULE_STUBS_H */
