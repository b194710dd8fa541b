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
#include "wire-vector.h"
#include "suite.h"

static int failures;

static bool as_expected(const struct wire_vector *v, int err, const struct vfui_fault *fault)
{
	const struct wire_case *c = v->c;

	if (err != -c->err)
		return false;
	return err == 0 || (strcmp(fault->message, v->base->message) == 0 &&
			    strcmp(fault->field, c->field) == 0 && fault->rule[0] != '\0' &&
			    fault->offset == c->offset);
}

static void judge(const struct wire_vector *v)
{
	struct vfui_fault fault = {0};
	const int err = vector_check(v, &fault);

	if (as_expected(v, err, &fault) && vector_check(v, NULL) == err)
		return;
	failures++;
	fprintf(stderr, "%s, %s: %s, %zu bytes, %u descriptors:\n", v->base->message, v->base->name,
		v->c->about, v->len, v->nfds);
	fprintf(stderr, "\tgot %d %s at %u, expected %d %s at %u\n", err, err ? fault.field : "-",
		(unsigned)fault.offset, -v->c->err, v->c->err ? v->c->field : "-",
		(unsigned)v->c->offset);
}

static void judge_bits(const struct wire_vector *v)
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
		vector_set(at, bits->size, vector_get(at, bits->size) ^ bit);
		judge(v);
		vector_set(at, bits->size, vector_get(at, bits->size) ^ bit);
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
		struct wire_vector v;

		vector_build(&v, base, c, len);
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
	struct wire_vector v;

	vector_build(&v, base, NULL, base->len);
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

	tcase_add_test(tables, known_messages);
	tcase_add_test(tables, longest_message);
#ifdef VFU_WIRE_FEATURE_PROBE
	tcase_add_test(tables, effect_of_features);
#endif
	suite_add_tcase(suite, tables);
	tcase_set_timeout(checks, 60);
	tcase_add_loop_test(checks, cases, 0, (int)wire_bases_count);
	suite_add_tcase(suite, checks);
	return run_suite(suite);
}
