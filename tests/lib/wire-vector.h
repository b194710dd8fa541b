/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the libvfu authors */
/*
 * Payloads made from the generated cases.
 */
#ifndef TESTS_LIB_WIRE_VECTOR_H
#define TESTS_LIB_WIRE_VECTOR_H

#include "wire-cases.h"

/* A payload of one case. */
struct wire_vector {
	const struct wire_base *base;
	const struct wire_case *c;
	uint8_t *block;
	uint8_t *payload;
	size_t len;
	unsigned nfds;
};

/* A number of the host's byte order. */
uint64_t vector_get(const uint8_t *from, unsigned size);
void vector_set(uint8_t *to, unsigned size, uint64_t value);
/*
 * The first len bytes of a base's payload with what the case (NULL: nothing) puts there. A field cut in two by
 * the end keeps the bytes that are left. The block is the caller's to free.
 */
void vector_build(struct wire_vector *v, const struct wire_base *base, const struct wire_case *c,
		  size_t len);
/* What the generated check says of it; v->c tells the policy. */
int vector_check(const struct wire_vector *v, struct vfui_fault *fault);

#endif
