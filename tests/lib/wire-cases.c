/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the libvfu authors */
/*
 * Runs the generated cases against the generated checks.  Every payload lies at an odd address and ends
 * with its memory block, so that valgrind and the sanitizers see a check that reads too far.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire-cases.h"

/* A payload of one case. */
struct vector {
	const struct wire_base *base;
	const struct wire_case *c;
	uint8_t *block;
	uint8_t *payload;
	size_t len;
	unsigned nfds;
};

static int failures;

/* What lies where no field is; the generator's fill() is the same. */
static uint8_t fill(size_t offset)
{
	return 0x41 + offset % 23;
}

static uint64_t get(const uint8_t *from, unsigned size)
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

static void set(uint8_t *to, unsigned size, uint64_t value)
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

static void put_all(struct vector *v, const struct wire_put *puts, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (puts[i].offset + puts[i].size <= v->len)
			set(v->payload + puts[i].offset, puts[i].size, puts[i].value);
}

/* A field cut in two by the end of the payload keeps the bytes that are left. */
static void build(struct vector *v, const struct wire_base *base, const struct wire_case *c,
		  size_t len)
{
	const size_t room = len > base->len ? len : base->len;
	struct vector whole = {.len = room};

	whole.block = malloc(room + 1);
	ck_assert_ptr_nonnull(whole.block);
	whole.payload = whole.block;
	for (size_t i = 0; i < room; i++)
		whole.payload[i] = fill(i);
	put_all(&whole, base->puts, base->nputs);
	*v = (struct vector){.base = base, .c = c, .len = len, .block = malloc(len + 1)};
	ck_assert_ptr_nonnull(v->block);
	v->payload = v->block + 1;
	memcpy(v->payload, whole.payload, len);
	free(whole.block);
	if (c)
		put_all(v, c->puts, c->nputs);
}

static int run_check(const struct vector *v, struct vfui_fault *fault)
{
	const struct vfui_message *message = vfui_message(v->base->command);
	struct vfu_wire_header header;

	if (v->base->command == 0) {
		memcpy(&header, v->payload, sizeof(header));
		return vfui_check_header(&header, &v->c->policy, fault);
	}
	return (v->base->reply ? message->check_reply : message->check_request)(
		v->payload, v->len, v->nfds, &wire_limits, &v->c->policy, v->base->request, fault);
}

static bool as_expected(const struct vector *v, int err, const struct vfui_fault *fault)
{
	const struct wire_case *c = v->c;

	if (err != -c->err)
		return false;
	return err == 0 || (strcmp(fault->message, v->base->message) == 0 &&
			    strcmp(fault->field, c->field) == 0 && fault->rule[0] != '\0' &&
			    fault->offset == c->offset);
}

static void judge(const struct vector *v)
{
	struct vfui_fault fault = {0};
	const int err = run_check(v, &fault);

	if (as_expected(v, err, &fault) && run_check(v, NULL) == err)
		return;
	failures++;
	fprintf(stderr, "%s, %s: %s, %zu bytes, %u descriptors:\n", v->base->message, v->base->name,
		v->c->about, v->len, v->nfds);
	fprintf(stderr, "\tgot %d %s at %u, expected %d %s at %u\n", err, err ? fault.field : "-",
		(unsigned)fault.offset, -v->c->err, v->c->err ? v->c->field : "-",
		(unsigned)v->c->offset);
}

static void judge_bits(const struct vector *v)
{
	const struct wire_put *bits = &v->c->bits;
	uint8_t *at = v->payload + bits->offset;

	if (bits->value == 0) {
		judge(v);
		return;
	}
	for (unsigned i = 0; i < bits->size * 8u; i++) {
		const uint64_t bit = UINT64_C(1) << i;

		if (!(bits->value & bit))
			continue;
		set(at, bits->size, get(at, bits->size) ^ bit);
		judge(v);
		set(at, bits->size, get(at, bits->size) ^ bit);
	}
}

static enum wire_order our_order(void)
{
	const uint16_t one = 1;

	return *(const uint8_t *)&one == 1 ? WIRE_LITTLE : WIRE_BIG;
}

static void run_case(const struct wire_base *base, const struct wire_case *c)
{
	if (c->order != WIRE_ANY_ORDER && c->order != our_order())
		return;
	for (size_t len = c->len[0]; len <= c->len[1]; len++) {
		struct vector v;

		build(&v, base, c, len);
		for (v.nfds = c->nfds[0]; v.nfds <= c->nfds[1]; v.nfds++)
			judge_bits(&v);
		free(v.block);
	}
}

/* What was put by offset is read back by member. */
static void read_back(const struct wire_base *base)
{
	const struct wire_put *put = base->puts;
	uint64_t values[64];
	struct vector v;

	build(&v, base, NULL, base->len);
	for (unsigned i = 0; i < base->nsegments; i++) {
		const struct wire_segment *s = &base->segments[i];

		ck_assert_uint_le(s->nfields, 64);
		s->read(v.payload + s->at, values);
		for (unsigned j = 0; j < s->nfields; j++, put++)
			ck_assert_uint_eq(values[j], put->value);
	}
	free(v.block);
}

START_TEST(cases)
{
	const struct wire_base *base = &wire_bases[_i];

	failures = 0;
	read_back(base);
	for (size_t i = 0; i < base->ncases; i++)
		run_case(base, &base->cases[i]);
	ck_assert_msg(failures == 0, "%s, %s: %d cases fail", base->message, base->name, failures);
}
END_TEST

START_TEST(known_messages)
{
	for (unsigned command = 0; command <= 0x1ffff; command++) {
		const struct vfui_message *m = vfui_message(command);
		bool tested = false;

		for (size_t i = 0; i < wire_bases_count; i++)
			tested = tested || (command != 0 && wire_bases[i].command == command);
		ck_assert_int_eq(tested, m != NULL);
		if (m)
			ck_assert_uint_eq(m->id, command);
	}
}
END_TEST

/* What the check refuses as too long must not be received either. */
START_TEST(longest_message)
{
	for (size_t i = 0; i < wire_bases_count; i++) {
		const struct wire_base *base = &wire_bases[i];
		const struct vfui_message *m = vfui_message(base->command);

		if (!m)
			continue;
		ck_assert_uint_le(base->len, vfui_message_max(m, base->reply, &wire_limits));
		for (size_t j = 0; j < base->ncases; j++)
			if (base->cases[j].err == 0)
				ck_assert_uint_le(base->cases[j].len[1],
						  vfui_message_max(m, base->reply, &wire_limits));
	}
}
END_TEST

#ifdef VFU_WIRE_FEATURE_PROBE /* the specs of tests/codegen have no features */
/* Feature requests are barriers only if they change something. */
START_TEST(effect_of_features)
{
	const struct vfui_message *m = vfui_message(VFU_WIRE_CMD_DEVICE_FEATURE);
	struct vfu_wire_device_feature_request in = {.argsz = sizeof(in)};

	in.flags = VFU_WIRE_FEATURE_SET;
	ck_assert(vfui_message_has_effect(m, &in, sizeof(in)));
	ck_assert(!vfui_message_has_effect(m, &in, sizeof(in) - 1));
	ck_assert(!vfui_message_has_effect(m, &in, 0));
	in.flags = VFU_WIRE_FEATURE_SET | VFU_WIRE_FEATURE_PROBE;
	ck_assert(!vfui_message_has_effect(m, &in, sizeof(in)));
	in.flags = VFU_WIRE_FEATURE_GET;
	ck_assert(!vfui_message_has_effect(m, &in, sizeof(in)));
	ck_assert(vfui_message_has_effect(vfui_message(VFU_WIRE_CMD_RESET), NULL, 0));
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("wire");
	TCase *tables = tcase_create("tables");
	TCase *checks = tcase_create("checks");
	SRunner *runner;
	int failed;

	tcase_add_test(tables, known_messages);
	tcase_add_test(tables, longest_message);
#ifdef VFU_WIRE_FEATURE_PROBE
	tcase_add_test(tables, effect_of_features);
#endif
	suite_add_tcase(suite, tables);
	tcase_set_timeout(checks, 60);
	tcase_add_loop_test(checks, cases, 0, (int)wire_bases_count);
	suite_add_tcase(suite, checks);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
