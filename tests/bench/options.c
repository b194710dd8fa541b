/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * options.c - the command line that limit and load share.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static const char usage[] =
	"usage: %s [OPTION]...\n"
	"  --socket-path=PATH  the server (load only)\n"
	"  --mode=MODE         samecore: both ends on CPU 0 (default); cputime: the same, and not\n"
	"                      time counts but what both ends use of the processor (for a\n"
	"                      machine with other work); spin: on CPUs 0 and 1, and the client\n"
	"                      polls (let the server poll too); free: bind nothing\n"
	"  --rows=NAME,...     which rows (default: all)\n"
	"  --rounds=N          rounds of which the median is taken (5)\n"
	"  --percent=N         length of a round, of what is usual (100)\n"
	"  --target=N          load only: most that a row may cost (default: the row's own)\n"
	"  --check             load only: the data must come back as written, time nothing\n"
	"  --count=N           do N operations, time nothing (for counting calls)\n";

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end || !n || n > 1000000000)
		die("not a number of 1 to 1000000000: %s", text);
	return (unsigned)n;
}

static enum mode mode_of(const char *text)
{
	if (!strcmp(text, "samecore"))
		return MODE_SAMECORE;
	if (!strcmp(text, "cputime"))
		return MODE_CPUTIME;
	if (!strcmp(text, "spin"))
		return MODE_SPIN;
	if (strcmp(text, "free"))
		die("no such mode: %s", text);
	return MODE_FREE;
}

void options_parse(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {{"socket-path", required_argument, NULL, 's'},
					      {"mode", required_argument, NULL, 'm'},
					      {"rows", required_argument, NULL, 'r'},
					      {"rounds", required_argument, NULL, 'n'},
					      {"percent", required_argument, NULL, 'p'},
					      {"count", required_argument, NULL, 'c'},
					      {"target", required_argument, NULL, 't'},
					      {"check", no_argument, NULL, 'k'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int c;

	*o = (struct options){.mode = MODE_SAMECORE, .rounds = 5, .percent = 100};
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 's':
			o->socket_path = optarg;
			break;
		case 'm':
			o->mode = mode_of(optarg);
			break;
		case 'r':
			o->row_names = optarg;
			break;
		case 'n':
			o->rounds = number(optarg);
			break;
		case 'p':
			o->percent = number(optarg);
			break;
		case 'c':
			o->count = number(optarg);
			break;
		case 't':
			o->target = strtod(optarg, NULL);
			break;
		case 'k':
			o->check = true;
			break;
		default:
			fprintf(c == 'h' ? stdout : stderr, usage, argv[0]);
			exit(c == 'h' ? 0 : 2);
		}
	}
}

bool options_row(const struct options *o, const struct row *row)
{
	size_t len = strlen(row->name);
	const char *at = o->row_names;

	if (!at)
		return true;
	for (;;) {
		size_t n = strcspn(at, ",");

		if (n == len && !memcmp(at, row->name, n))
			return true;
		if (!at[n])
			return false;
		at += n + 1;
	}
}

unsigned options_ops(const struct options *o, const struct row *row)
{
	uint64_t n = o->count ? o->count : (uint64_t)row->ops * o->percent / 100;

	n += row->depth - 1;
	n -= n % row->depth;
	return (unsigned)n;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}
