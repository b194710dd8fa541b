/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * limit.c - what the bare socket allows: the bytes of each row, without the protocol.
 */
#include <stdio.h>
#include <stdlib.h>

#include "options.h"

int main(int argc, char **argv)
{
	struct options o;
	double *ns;

	options_parse(&o, argc, argv);
	ns = calloc(o.rounds, sizeof(*ns));
	if (!ns)
		die("out of memory");
	if (o.mode != MODE_FREE)
		pin(0, o.mode == MODE_SPIN);
	printf("%-32s %12s\n", "", "ns per op");
	for (const struct row *row = rows; row < rows + row_count; row++) {
		if (!options_row(&o, row))
			continue;
		for (unsigned i = 0; i < o.rounds; i++)
			ns[i] = measure_bare(row, options_ops(&o, row), o.mode);
		printf("%-32s %12.0f\n", row->title, median(ns, o.rounds));
	}
	free(ns);
	return 0;
}
