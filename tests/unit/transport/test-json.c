/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-json.c - capabilities in VERSION: what is taken, what is refused and by which name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/leaks.h"
#include "../../lib/suite.h"
#include "transport/json.h"

static struct vfui_caps caps;
static struct vfu_err err;

static int parse(const char *text, bool in_request)
{
	return vfui_json_parse(text, strlen(text) + 1, in_request, &caps, &err);
}

START_TEST(absent_means_default)
{
	static const char *const texts[] = {"{}", "{\"capabilities\":{}}",
					    " { \"other\" : [1, {}] } ",
					    "{\"capabilities\":{\"unknown\":{\"x\":null}}}"};

	ck_assert_int_eq(vfui_json_parse(NULL, 0, true, &caps, &err), 0);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_msg(parse(texts[i], true) == 0, "%s: %s", texts[i], err.text);
		ck_assert_uint_eq(caps.said, 0);
		ck_assert_uint_eq(caps.value[VFUI_KEY_MAX_MSG_FDS], 1);
		ck_assert_uint_eq(caps.value[VFUI_KEY_MAX_DATA_XFER_SIZE], 1048576);
		ck_assert_uint_eq(caps.value[VFUI_KEY_MAX_DMA_MAPS], 65535);
		ck_assert_uint_eq(caps.value[VFUI_KEY_PGSIZES], 4096);
		ck_assert(!caps.value[VFUI_KEY_WRITE_MULTIPLE]);
	}
}
END_TEST

START_TEST(all_keys_are_read)
{
	ck_assert_int_eq(parse("{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":4096,"
			       "\"max_dma_maps\":7,\"pgsizes\":2101248,\"write_multiple\":true,"
			       "\"twin_socket\":{\"supported\":true,\"fd_index\":3},"
			       "\"migration\":{\"pgsize\":8192}}}",
			       false),
			 0);
	ck_assert_uint_eq(caps.value[VFUI_KEY_MAX_MSG_FDS], 8);
	ck_assert_uint_eq(caps.value[VFUI_KEY_MAX_DATA_XFER_SIZE], 4096);
	ck_assert_uint_eq(caps.value[VFUI_KEY_MAX_DMA_MAPS], 7);
	ck_assert_uint_eq(caps.value[VFUI_KEY_PGSIZES], 2101248);
	ck_assert(caps.value[VFUI_KEY_WRITE_MULTIPLE] &&
		  caps.value[VFUI_KEY_TWIN_SOCKET_SUPPORTED]);
	ck_assert_uint_ne(caps.said & VFUI_CAP_OBJECT_BIT(VFUI_OBJECT_TWIN_SOCKET), 0);
	ck_assert_uint_eq(caps.value[VFUI_KEY_TWIN_SOCKET_FD_INDEX], 3);
	ck_assert_uint_ne(caps.said & VFUI_CAP_OBJECT_BIT(VFUI_OBJECT_MIGRATION), 0);
	ck_assert_uint_eq(caps.value[VFUI_KEY_MIGRATION_PGSIZE], 8192);
	ck_assert_uint_eq(caps.value[VFUI_KEY_MIGRATION_MAX_BITMAP_SIZE], 256u << 20);
	/* A key for the other direction is like an unknown one. */
	ck_assert_int_eq(parse("{\"capabilities\":{\"twin_socket\":{\"fd_index\":\"?\"}}}", true),
			 0);
	ck_assert_uint_eq(caps.value[VFUI_KEY_TWIN_SOCKET_FD_INDEX], UINT64_MAX);
}
END_TEST

START_TEST(bad_values_are_named)
{
	static const struct {
		const char *text, *field;
	} cases[] = {
		{"{\"capabilities\":{\"max_msg_fds\":-1}}", "version.capabilities.max_msg_fds"},
		{"{\"capabilities\":{\"max_msg_fds\":1025}}", "version.capabilities.max_msg_fds"},
		{"{\"capabilities\":{\"max_msg_fds\":4294967297}}",
		 "version.capabilities.max_msg_fds"},
		{"{\"capabilities\":{\"max_msg_fds\":\"8\"}}", "version.capabilities.max_msg_fds"},
		{"{\"capabilities\":{\"max_msg_fds\":8.0}}", "version.capabilities.max_msg_fds"},
		{"{\"capabilities\":{\"max_msg_fds\":null}}", "version.capabilities.max_msg_fds"},
		{"{\"capabilities\":{\"max_data_xfer_size\":0}}",
		 "version.capabilities.max_data_xfer_size"},
		{"{\"capabilities\":{\"max_data_xfer_size\":1e3}}",
		 "version.capabilities.max_data_xfer_size"},
		{"{\"capabilities\":{\"pgsizes\":4097}}", "version.capabilities.pgsizes"},
		{"{\"capabilities\":{\"pgsizes\":18446744073709551616}}",
		 "version.capabilities.pgsizes"},
		{"{\"capabilities\":{\"migration\":{\"pgsize\":1}}}",
		 "version.capabilities.migration.pgsize"},
		{"{\"capabilities\":{\"migration\":{\"max_bitmap_size\":99999999999999999999}}}",
		 "version.capabilities.migration.max_bitmap_size"},
		{"{\"capabilities\":{\"write_multiple\":1}}",
		 "version.capabilities.write_multiple"},
		{"{\"capabilities\":{\"twin_socket\":true}}", "version.capabilities.twin_socket"},
		{"{\"capabilities\":[]}", "version.capabilities"},
		{"{\"capabilities\":null}", "version.capabilities"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_msg(parse(cases[i].text, true) == -EINVAL, "%s", cases[i].text);
		ck_assert_int_eq(err.code, -EINVAL);
		ck_assert_str_eq(err.field, cases[i].field);
		ck_assert_uint_eq(err.offset, 4);
	}
}
END_TEST

START_TEST(value_and_rule_are_said)
{
#define FIELD "version.capabilities."
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"{\"capabilities\":{\"max_msg_fds\":1025}}",
		 FIELD "max_msg_fds: value 1025 breaks the rule: is a whole number from 0 to 1024"},
		{"{\"capabilities\":{\"max_msg_fds\":-1}}",
		 FIELD "max_msg_fds: value -1 breaks the rule: is a whole number from 0 to 1024"},
		{"{\"capabilities\":{\"max_msg_fds\":\"\\u001b[8\"}}", FIELD
		 "max_msg_fds: value \"\\u001b[8\" breaks the rule: is a whole number from 0 to 1024"},
		{"{\"capabilities\":{\"max_msg_fds\":null}}",
		 FIELD "max_msg_fds: value null breaks the rule: is a whole number from 0 to 1024"},
		{"{\"capabilities\":{\"write_multiple\":"
		 "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]}}",
		 FIELD "write_multiple: value [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,... breaks "
		       "the rule: is true or false"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(parse(cases[i].text, true), -EINVAL);
		ck_assert_str_eq(err.text, cases[i].said);
	}
	ck_assert_int_eq(parse("{\"capabilities\":{\"pgsizes\":4097}}", true), -EINVAL);
	ck_assert_str_eq(err.text,
			 FIELD "pgsizes: value 4097 breaks the rule: is a multiple of 4096");
}
END_TEST

START_TEST(bad_texts_are_refused)
{
	static const char *const texts[] = {
		"",
		" ",
		"[]",
		"1",
		"\"x\"",
		"null",
		"{",
		"{}}",
		"{} x",
		"{\"a\":1,}",
		"{'a':1}",
		"{\"capabilities\":{\"max_msg_fds\":1,\"max_msg_fds\":2}}",
		"{\"a\":1,\"a\":1}",
		"{\"capabilities\":{},\"capabilities\":{}}",
		"{\"a\":[{\"b\":1,\"b\":2}]}",
		"{\"a\":[[[[[[[[[[1]]]]]]]]]]}",
		"{\"a\":nul}",
		"{\"a\":NaN}",
		"{\"a\":1.}",
		"{\"a\":\"\t\"}",
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\xf0\x90\"}",
		"{\"a\\u0000\":1}",
		"{\"a\":01}"};
	char *longest = calloc(1, 20001);

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(parse(texts[i], true) == -EINVAL, "taken: %s", texts[i]);
	/* Strings that look like keys do not confuse the count. */
	ck_assert_int_eq(parse("{\"a:\":\"x\\\":\",\"b\":\"{\\\\\"}", true), 0);
	/* The NUL ends it, once (E16). */
	ck_assert_int_eq(vfui_json_parse("{}", 2, true, &caps, &err), -EINVAL);
	ck_assert_int_eq(vfui_json_parse("{}\0", 4, true, &caps, &err), -EINVAL);
	memset(longest, ' ', 20000);
	longest[0] = '{';
	longest[19999] = '}';
	ck_assert_int_eq(vfui_json_parse(longest, 20001, true, &caps, &err), -EINVAL);
	ck_assert_int_eq(vfui_json_parse(longest, 20001, true, &caps, NULL), -EINVAL);
	free(longest);
}
END_TEST

START_TEST(texts_are_so_long_and_so_deep)
{
	static char text[16385 + 1];
	char deep[64];

	/* Blanks behind it are of the text, and so is its NUL. */
	memset(text, ' ', sizeof(text));
	memcpy(text, "{}", 2);
	text[16383] = '\0';
	ck_assert_int_eq(parse(text, true), 0);
	text[16383] = ' ';
	text[16384] = '\0';
	ck_assert_int_eq(parse(text, true), -EINVAL);
	for (int n = 0; n < 20; n++) {
		snprintf(deep, sizeof(deep), "{\"a\":%.*s1%.*s}", n, "[[[[[[[[[[[[[[[[[[[[", n,
			 "]]]]]]]]]]]]]]]]]]]]");
		ck_assert_msg(parse(deep, true) == (n + 1 <= VFUI_JSON_DEPTH ? 0 : -EINVAL),
			      "%d deep", n + 1);
	}
}
END_TEST

START_TEST(build_writes_what_is_present)
{
	char text[512];
	int n;

	vfui_caps_init(&caps);
	n = vfui_json_build(&caps, true, text, sizeof(text));
	ck_assert_str_eq(text, "{\"capabilities\":{}}");
	ck_assert_int_eq(n, (int)strlen(text) + 1);
	caps.value[VFUI_KEY_MAX_MSG_FDS] = 16;
	caps.value[VFUI_KEY_WRITE_MULTIPLE] = true;
	caps.value[VFUI_KEY_TWIN_SOCKET_FD_INDEX] = 0;
	caps.said = VFUI_CAP_BIT(VFUI_KEY_MAX_MSG_FDS) | VFUI_CAP_BIT(VFUI_KEY_PGSIZES) |
		    VFUI_CAP_BIT(VFUI_KEY_WRITE_MULTIPLE) |
		    VFUI_CAP_BIT(VFUI_KEY_TWIN_SOCKET_SUPPORTED) |
		    VFUI_CAP_BIT(VFUI_KEY_TWIN_SOCKET_FD_INDEX);
	vfui_json_build(&caps, true, text, sizeof(text));
	ck_assert_str_eq(text, "{\"capabilities\":{\"max_msg_fds\":16,\"pgsizes\":4096,"
			       "\"write_multiple\":true,\"twin_socket\":{\"supported\":false}}}");
	vfui_json_build(&caps, false, text, sizeof(text));
	ck_assert_str_eq(text, "{\"capabilities\":{\"max_msg_fds\":16,\"pgsizes\":4096,"
			       "\"write_multiple\":true,"
			       "\"twin_socket\":{\"supported\":false,\"fd_index\":0}}}");
	ck_assert_int_eq(vfui_json_build(&caps, false, text, 20), -EMSGSIZE);
}
END_TEST

/* A lawful value of this key: one of both ends of its range. */
static uint64_t value_of(const struct vfui_cap *cap, bool high)
{
	uint64_t value = high ? cap->max : cap->min;

	return cap->multiple_of != 0 ? value / cap->multiple_of * cap->multiple_of : value;
}

/* Whatever is written is read back, of every key of the table in both directions. */
START_TEST(round_trip)
{
	struct vfui_caps before, after;
	char text[1024];

	for (unsigned i = 0; i < 4; i++) {
		bool in_request = i / 2;
		uint64_t meant = 0;
		int n;

		vfui_caps_init(&before);
		for (unsigned key = 0; key < VFUI_CAPS; key++) {
			const struct vfui_cap *cap = &vfui_caps_table[key];

			before.value[key] = value_of(cap, i % 2);
			before.said |= VFUI_CAP_BIT(key);
			if (!(in_request ? cap->in_request : cap->in_reply))
				continue;
			meant |= VFUI_CAP_BIT(key);
			if (cap->object != VFUI_CAP_OBJECTS)
				meant |= VFUI_CAP_OBJECT_BIT(cap->object);
		}
		n = vfui_json_build(&before, in_request, text, sizeof(text));
		ck_assert_int_gt(n, 0);
		ck_assert_msg(vfui_json_parse(text, (size_t)n, in_request, &after, &err) == 0, "%s",
			      err.text);
		ck_assert_uint_eq(after.said, meant);
		for (unsigned key = 0; key < VFUI_CAPS; key++)
			ck_assert_uint_eq(after.value[key], meant & VFUI_CAP_BIT(key)
								    ? before.value[key]
								    : vfui_caps_table[key].dflt);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json");
	TCase *tcase = tcase_create("json");

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, absent_means_default);
	tcase_add_test(tcase, all_keys_are_read);
	tcase_add_test(tcase, bad_values_are_named);
	tcase_add_test(tcase, value_and_rule_are_said);
	tcase_add_test(tcase, bad_texts_are_refused);
	tcase_add_test(tcase, texts_are_so_long_and_so_deep);
	tcase_add_test(tcase, build_writes_what_is_present);
	tcase_add_test(tcase, round_trip);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
