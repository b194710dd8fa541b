/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * json-text.c - whether a text is JSON, strictly.
 *
 * Json-c takes more than that, in each of its releases something else: NaN, 1., -01, strings with
 * line ends, bytes that are no UTF-8. What two readers understand differently is refused here, so
 * that json-c sees only what all of them agree about.
 */
#include <stdbool.h>
#include <string.h>

#include "caps.h"
#include "transport/json-text.h"

/* Twice, so that it is the number's value that becomes text. */
#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number

static const char malformed[] = "is malformed";

/* The text ends with a NUL, which no rule takes: nothing reads beyond it. */
struct scan {
	const unsigned char *at;
	const char *fault;
	size_t keys;
	unsigned depth;
};

static bool fail(struct scan *s, const char *fault)
{
	s->fault = fault;
	return false;
}

static bool take(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if (strncmp((const char *)s->at, word, len) != 0)
		return false;
	s->at += len;
	return true;
}

static void skip_space(struct scan *s)
{
	s->at += strspn((const char *)s->at, " \t\n\r");
}

static bool digits(struct scan *s)
{
	size_t n = strspn((const char *)s->at, "0123456789");

	s->at += n;
	return n > 0 || fail(s, malformed);
}

static bool number(struct scan *s)
{
	take(s, "-");
	if (!take(s, "0") && !digits(s))
		return false;
	if (take(s, ".") && !digits(s))
		return false;
	if (!take(s, "e") && !take(s, "E"))
		return true;
	if (!take(s, "+"))
		take(s, "-");
	return digits(s);
}

/* A character of several bytes, in the one way to write it, and no half of a surrogate pair. */
static bool wide(struct scan *s)
{
	unsigned char first = *s->at++;
	unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
	unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;

	if (first < 0xc2 || first > 0xf4)
		return fail(s, "is not UTF-8");
	for (; more > 0; more--, s->at++, low = 0x80, high = 0xbf) {
		if (*s->at < low || *s->at > high)
			return fail(s, "is not UTF-8");
	}
	return true;
}

/* What follows a backslash. */
static bool escape(struct scan *s, bool is_key)
{
	if (*s->at != '\0' && strchr("\"\\/bfnrt", *s->at) != NULL) {
		s->at++;
		return true;
	}
	if (!take(s, "u") || strspn((const char *)s->at, "0123456789abcdefABCDEF") < 4)
		return fail(s, malformed);
	if (is_key && take(s, "0000"))
		return fail(s, "has a NUL in a key");
	s->at += 4;
	return true;
}

static bool character(struct scan *s, bool is_key)
{
	if (*s->at >= 0x80)
		return wide(s);
	if (take(s, "\\"))
		return escape(s, is_key);
	return *s->at++ >= ' ' || fail(s, malformed);
}

static bool string(struct scan *s, bool is_key)
{
	if (!take(s, "\""))
		return fail(s, malformed);
	while (!take(s, "\"")) {
		if (!character(s, is_key))
			return false;
	}
	return true;
}

static bool value(struct scan *s);

static bool member(struct scan *s)
{
	skip_space(s);
	if (!string(s, true))
		return false;
	s->keys++;
	skip_space(s);
	return take(s, ":") ? value(s) : fail(s, malformed);
}

/* What one() takes, with commas between, up to this bracket. */
static bool list(struct scan *s, bool (*one)(struct scan *), const char *close)
{
	skip_space(s);
	if (take(s, close))
		return true;
	do {
		if (!one(s))
			return false;
		skip_space(s);
	} while (take(s, ","));
	return take(s, close) || fail(s, malformed);
}

/* An object or array, whose bracket was taken. */
static bool inside(struct scan *s, bool (*one)(struct scan *), const char *close)
{
	bool is_good;

	if (s->depth == VFUI_JSON_DEPTH)
		return fail(s, "is nested deeper than " TEXT_OF(VFUI_JSON_DEPTH) " levels");
	s->depth++;
	is_good = list(s, one, close);
	s->depth--;
	return is_good;
}

static bool value(struct scan *s)
{
	bool is_good;

	skip_space(s);
	if (take(s, "{"))
		is_good = inside(s, member, "}");
	else if (take(s, "["))
		is_good = inside(s, value, "]");
	else if (*s->at == '"')
		is_good = string(s, false);
	else
		is_good = take(s, "true") || take(s, "false") || take(s, "null") || number(s);
	return is_good;
}

const char *vfui_json_text_fault(const char *text, size_t *keys)
{
	struct scan s = {.at = (const unsigned char *)text};

	if (value(&s)) {
		skip_space(&s);
		if (*s.at != '\0')
			fail(&s, malformed);
	}
	*keys = s.keys;
	return s.fault;
}
