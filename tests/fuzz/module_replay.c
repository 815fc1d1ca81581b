/*-------------------------------------------------------------------------
 *
 * module_replay.c
 *	  Gives a fuzz target each file that is named, once: for compilers
 *	  without a fuzzer.
 *
 * tests/fuzz/module_replay.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "module_stubs.h"

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		FILE	   *file = fopen(argv[i], "rb");
		long		size;
		uint8_t    *data;

		if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
			return 2;
		rewind(file);
		data = malloc(size);
		if (fread(data, 1, size, file) != (size_t) size)
			return 2;
		fclose(file);
		LLVMFuzzerTestOneInput(data, size);
		free(data);
	}
	return 0;
}
