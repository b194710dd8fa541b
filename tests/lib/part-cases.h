/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the libvfu authors */
/*
 * The functions of tests/gen/check-parts.c, which is generated: each reads a payload piece by piece and builds
 * another one of what it found.
 */
#ifndef TESTS_LIB_PART_CASES_H
#define TESTS_LIB_PART_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parts.h"

/* What was found, one after the other: kind, size and bytes of each. */
struct wire_seen {
	uint8_t *bytes;
	size_t len;
};

/* What a piece may ask of what is around it. */
struct wire_around {
	const void *req;
	const void *outer;
};

struct wire_copy {
	unsigned command; /* 0: ends the list */
	bool reply;
	void (*copy)(const uint8_t *payload, size_t len, const void *request,
		     struct vfu_wire_builder *b, struct wire_seen *seen);
};

extern const struct wire_copy wire_copies[];

void wire_saw(struct wire_seen *seen, unsigned kind, const void *piece, size_t size);

#endif
