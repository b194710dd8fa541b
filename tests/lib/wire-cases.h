/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the libvfu authors */
/*
 * The tables of tests/gen/check-wire.c, which is generated: good payloads, and what the checks must
 * say when something in them changes.
 */
#ifndef TESTS_LIB_WIRE_CASES_H
#define TESTS_LIB_WIRE_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"
#include "checks.h"
#include "wire.h"

/* A number at an offset of the payload. */
struct wire_put {
	uint32_t offset;
	uint8_t size;
	uint64_t value;
};

/* A structure of the payload; read gives its members in order. */
struct wire_segment {
	uint32_t at;
	unsigned nfields;
	void (*read)(const uint8_t *from, uint64_t *values);
};

/* Some payloads have a check look between two fields: what it finds is not the same everywhere. */
enum wire_order { WIRE_ANY_ORDER, WIRE_LITTLE, WIRE_BIG };

struct wire_case {
	const char *about;
	size_t len[2];    /* first to last, each must give the same */
	unsigned nfds[2]; /* likewise */
	const struct wire_put *puts;
	unsigned nputs;
	struct wire_put bits; /* each bit of value alone is turned over; 0: none */
	struct vfui_policy policy;
	const struct vfui_limits *limits;
	/* NULL: the usual ones */ /* what is not said is the default */
	enum wire_order order;
	int err;
	const char *field; /* as in struct vfui_fault */
	uint32_t offset;
};

struct wire_base {
	const char *message;
	const char *name;
	unsigned command; /* 0: the header */
	bool reply;
	size_t len;
	const struct wire_put *puts; /* bytes they do not cover are filled */
	unsigned nputs;
	const struct wire_segment *segments; /* their values are the first puts */
	unsigned nsegments;
	const void *request;
	const struct wire_case *cases;
	size_t ncases;
};

extern const struct wire_base wire_bases[];
extern const size_t wire_bases_count;
extern const struct vfui_limits wire_limits;

#endif /* TESTS_LIB_WIRE_CASES_H */
