/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the libvfu authors */
/*
 * Takes the payloads of the generated cases apart with parts.h, and builds them again:
 *
 *	payload --parse, next--> pieces --build, add--> copy --> its check passes, and it has the same pieces
 *
 * That into any room; and from payloads that are cut short, or break a rule, where nothing is read behind the
 * end. Every payload ends with its memory block.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "part-cases.h"
#include "wire-vector.h"
#include "suite.h"

/* More than any copy takes. */
#define ROOM 65536

static const struct wire_copy *copy_of(const struct wire_base *base)
{
	for (const struct wire_copy *copy = wire_copies; copy->command; copy++)
		if (copy->command == base->command && copy->reply == base->reply)
			return copy;
	return NULL;
}

void wire_saw(struct wire_seen *seen, unsigned kind, const void *piece, size_t size)
{
	const uint64_t head[] = {kind, size};

	seen->bytes = realloc(seen->bytes, seen->len + sizeof(head) + size);
	ck_assert_ptr_nonnull(seen->bytes);
	memcpy(seen->bytes + seen->len, head, sizeof(head));
	if (size > 0)
		memcpy(seen->bytes + seen->len + sizeof(head), piece, size);
	seen->len += sizeof(head) + size;
}

/* Copies into so much room, in a block of its own; returns how long all would be. */
static size_t copy(const struct wire_base *base, const void *payload, size_t len, size_t room,
		   uint8_t **out, struct wire_seen *seen)
{
	struct vfu_wire_builder b = {.buf = malloc(room + 1), .room = room};

	ck_assert_ptr_nonnull(b.buf);
	*seen = (struct wire_seen){0};
	copy_of(base)->copy(payload, len, base->request, &b, seen);
	*out = b.buf;
	return b.len;
}

static void copy_safely(const struct wire_base *base, const uint8_t *payload, size_t len)
{
	struct wire_seen seen;
	uint8_t *out;

	copy(base, payload, len, ROOM, &out, &seen);
	free(seen.bytes);
	free(out);
}

/* A case that holds, for the policy and the number of descriptors with which the base does. */
static const struct wire_case *good_case(const struct wire_base *base)
{
	for (size_t i = 0; i < base->ncases; i++) {
		const struct wire_case *c = &base->cases[i];

		if (!c->err && !c->nputs && !c->bits.value && c->len[0] <= base->len &&
		    base->len <= c->len[1])
			return c;
	}
	return NULL;
}

/* What was built passes the check, and taken apart it has the same pieces; into less room it is as long. */
static void judge_copy(const struct wire_vector *v, uint8_t *out, size_t len,
		       const struct wire_seen *seen)
{
	struct wire_vector again = *v;
	struct vfui_fault fault = {0};
	struct wire_seen more;
	uint8_t *small;
	int err;

	again.payload = out;
	again.len = len;
	err = vector_check(&again, &fault);
	ck_assert_msg(!err, "%s, %s: the copy is refused: %s %s", v->base->message, v->base->name,
		      fault.field, fault.rule);
	for (size_t room = 0; room <= len; room++) {
		ck_assert_uint_eq(copy(v->base, out, len, room, &small, &more), len);
		ck_assert_uint_eq(more.len, seen->len);
		if (seen->len > 0)
			ck_assert_mem_eq(more.bytes, seen->bytes, seen->len);
		if (room == len && len > 0)
			ck_assert_mem_eq(small, out, len);
		free(more.bytes);
		free(small);
	}
}

START_TEST(copies)
{
	const struct wire_base *base = &wire_bases[_i];
	const struct wire_case *c = good_case(base);
	struct wire_vector v;
	struct wire_seen seen;
	uint8_t *out;
	size_t len;

	if (!copy_of(base) || !c)
		return;
	vector_build(&v, base, c, base->len);
	v.nfds = c->nfds[0];
	ck_assert_int_eq(vector_check(&v, NULL), 0);
	len = copy(base, v.payload, v.len, ROOM, &out, &seen);
	ck_assert_uint_le(len, ROOM);
	/* Else it is another layout. */
	if (len > 0) {
		ck_assert_uint_eq(len, base->len);
		judge_copy(&v, out, len, &seen);
	}
	free(seen.bytes);
	free(out);
	free(v.block);
}
END_TEST

START_TEST(hostile)
{
	const struct wire_base *base = &wire_bases[_i];

	if (!copy_of(base))
		return;
	for (size_t len = 0; len <= base->len; len++) {
		struct wire_vector v;

		vector_build(&v, base, NULL, len);
		copy_safely(base, v.payload, len);
		free(v.block);
	}
	for (size_t i = 0; i < base->ncases; i++) {
		const struct wire_case *c = &base->cases[i];
		struct wire_vector v;

		vector_build(&v, base, c, c->len[1]);
		copy_safely(base, v.payload, v.len);
		free(v.block);
	}
}
END_TEST

/* Each payload with a tail was copied at least once. */
START_TEST(all_kinds)
{
	for (const struct wire_copy *copy = wire_copies; copy->command; copy++) {
		unsigned n = 0;

		for (size_t i = 0; i < wire_bases_count; i++)
			n += copy_of(&wire_bases[i]) == copy && good_case(&wire_bases[i]);
		ck_assert_msg(n > 0, "command %u, %s", copy->command,
			      copy->reply ? "reply" : "request");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parts");
	TCase *parts = tcase_create("parts");

	tcase_set_timeout(parts, 60);
	tcase_add_test(parts, all_kinds);
	tcase_add_loop_test(parts, copies, 0, (int)wire_bases_count);
	tcase_add_loop_test(parts, hostile, 0, (int)wire_bases_count);
	suite_add_tcase(suite, parts);
	return run_suite(suite);
}
