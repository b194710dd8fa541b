/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the libvfu authors */
/*
 * Payloads made from the generated cases. Each lies at an odd address and ends with its memory block, so
 * that valgrind and the sanitizers see who reads too far.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "wire-vector.h"

/* What lies where no field is; the generator's fill() is the same. */
static uint8_t fill(size_t offset)
{
	return 0x41 + offset % 23;
}

uint64_t vector_get(const uint8_t *from, unsigned size)
{
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (size) {
	case 1:
		memcpy(&u8, from, size);
		return u8;
	case 2:
		memcpy(&u16, from, size);
		return u16;
	case 4:
		memcpy(&u32, from, size);
		return u32;
	default:
		memcpy(&u64, from, size);
		return u64;
	}
}

void vector_set(uint8_t *to, unsigned size, uint64_t value)
{
	const uint8_t u8 = (uint8_t)value;
	const uint16_t u16 = (uint16_t)value;
	const uint32_t u32 = (uint32_t)value;

	switch (size) {
	case 1:
		memcpy(to, &u8, size);
		break;
	case 2:
		memcpy(to, &u16, size);
		break;
	case 4:
		memcpy(to, &u32, size);
		break;
	default:
		memcpy(to, &value, size);
	}
}

static void put_all(struct wire_vector *v, const struct wire_put *puts, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (puts[i].offset + puts[i].size <= v->len)
			vector_set(v->payload + puts[i].offset, puts[i].size, puts[i].value);
}

/* A field cut in two by the end of the payload keeps the bytes that are left. */
void vector_build(struct wire_vector *v, const struct wire_base *base, const struct wire_case *c,
		  size_t len)
{
	const size_t room = len > base->len ? len : base->len;
	struct wire_vector whole = {.len = room};

	whole.block = malloc(room + 1);
	ck_assert_ptr_nonnull(whole.block);
	whole.payload = whole.block;
	for (size_t i = 0; i < room; i++)
		whole.payload[i] = fill(i);
	put_all(&whole, base->puts, base->nputs);
	*v = (struct wire_vector){.base = base, .c = c, .len = len, .block = malloc(len + 1)};
	ck_assert_ptr_nonnull(v->block);
	v->payload = v->block + 1;
	memcpy(v->payload, whole.payload, len);
	free(whole.block);
	if (c)
		put_all(v, c->puts, c->nputs);
}

int vector_check(const struct wire_vector *v, struct vfui_fault *fault)
{
	const struct vfui_message *message = vfui_message(v->base->command);
	struct vfu_wire_header header;

	if (v->base->command == 0) {
		memcpy(&header, v->payload, sizeof(header));
		return vfui_check_header(&header, &v->c->policy, fault);
	}
	return (v->base->reply ? message->check_reply : message->check_request)(
		v->payload, v->len, v->nfds, v->c->limits ? v->c->limits : &wire_limits,
		&v->c->policy, v->base->request, fault);
}
