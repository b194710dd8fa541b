/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * options.h - the command line that limit and load share.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench.h"

struct options {
	const char *socket_path, *row_names;
	enum mode mode;
	unsigned rounds, percent, count;
	double target; /* 0: that of each row */
	bool check;
};

void options_parse(struct options *o, int argc, char **argv);
bool options_row(const struct options *o, const struct row *row);
/* Operations of one round: the row's own number times --percent, in whole batches. */
unsigned options_ops(const struct options *o, const struct row *row);
double median(double *v, unsigned n);

#endif
