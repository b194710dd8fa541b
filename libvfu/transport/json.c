/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * json.c - capabilities as the JSON text of VERSION, by the generated table.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "transport/json.h"

/* Levels of nesting; what we know needs three. */
#define DEPTH_MAX 8
#define TEXT_MAX 16384
/* Of a value that is refused. */
#define SHOWN_MAX 40

static void set_value(struct vfui_caps *caps, const struct vfui_cap *cap, uint64_t value)
{
	unsigned key = (unsigned)(cap - vfui_caps_table);

	caps->value[key] = value;
	caps->said |= VFUI_CAP_BIT(key);
}

/* ---- reading ---- */

/* Of a value that may be long, or an object, the beginning is enough. */
static int refuse(struct vfu_err *err, const struct vfui_cap *cap, json_object *value,
		  const char *rule)
{
	const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
	bool is_long = text != NULL && strlen(text) > SHOWN_MAX;
	char field[sizeof(err->field)];

	snprintf(field, sizeof(field), "version.capabilities.%s", cap->name);
	return vfui_err_set(err, -EINVAL, field, 0, "%s: value %.*s%s breaks the rule: %s", field,
			    SHOWN_MAX, text != NULL ? text : "?", is_long ? "..." : "", rule);
}

static int refuse_number(struct vfu_err *err, const struct vfui_cap *cap, json_object *value)
{
	char rule[96];

	snprintf(rule, sizeof(rule), "is from %llu to %llu", (unsigned long long)cap->min,
		 (unsigned long long)cap->max);
	if (cap->multiple_of != 0)
		snprintf(rule + strlen(rule), sizeof(rule) - strlen(rule), ", a multiple of %llu",
			 (unsigned long long)cap->multiple_of);
	return refuse(err, cap, value, rule);
}

/* A number: whole and in range, as written (E19). */
static int read_number(json_object *value, const struct vfui_cap *cap, struct vfui_caps *caps,
		       struct vfu_err *err)
{
	int64_t number;

	if (!json_object_is_type(value, json_type_int))
		return refuse(err, cap, value, "is a whole number");
	number = json_object_get_int64(value);
	/* Json-c gives the largest number for all that are larger, which no max in the spec is. */
	if (number < 0 || (uint64_t)number < cap->min || (uint64_t)number > cap->max ||
	    (cap->multiple_of != 0 && (uint64_t)number % cap->multiple_of != 0))
		return refuse_number(err, cap, value);
	set_value(caps, cap, (uint64_t)number);
	return 0;
}

static int read_cap(json_object *value, const struct vfui_cap *cap, struct vfui_caps *caps,
		    struct vfu_err *err)
{
	if (cap->type != VFUI_CAP_TYPE_BOOL)
		return read_number(value, cap, caps, err);
	if (!json_object_is_type(value, json_type_boolean))
		return refuse(err, cap, value, "is true or false");
	set_value(caps, cap, json_object_get_boolean(value) != 0);
	return 0;
}

/* Notes which objects are there; all must be objects. */
static int read_objects(json_object *all, struct vfui_caps *caps, struct vfu_err *err)
{
	for (unsigned i = 0; i < VFUI_CAP_OBJECTS; i++) {
		json_object *value;

		if (!json_object_object_get_ex(all, vfui_cap_objects[i], &value))
			continue;
		if (!json_object_is_type(value, json_type_object))
			return vfui_err_set(err, -EINVAL, "version.capabilities", 0,
					    "version.capabilities.%s is not an object",
					    vfui_cap_objects[i]);
		caps->said |= VFUI_CAP_OBJECT_BIT(i);
	}
	return 0;
}

static int read_caps(json_object *all, bool in_request, struct vfui_caps *caps, struct vfu_err *err)
{
	int r = read_objects(all, caps, err);

	for (unsigned i = 0; r == 0 && i < VFUI_CAPS; i++) {
		const struct vfui_cap *cap = &vfui_caps_table[i];
		json_object *in = all, *value;

		if (!(in_request ? cap->in_request : cap->in_reply))
			continue;
		if (cap->object != VFUI_CAP_OBJECTS &&
		    !json_object_object_get_ex(all, vfui_cap_objects[cap->object], &in))
			continue;
		if (json_object_object_get_ex(in, cap->key, &value))
			r = read_cap(value, cap, caps, err);
	}
	return r;
}

/*
 * Keys in the text: strings that a colon follows. The text is known to be JSON, or what json-c
 * takes for it: strings in single quotes too, which are no JSON. SIZE_MAX: there are such.
 */
static size_t count_keys(const char *text)
{
	size_t n = 0;
	bool in_string = false;

	for (; *text != '\0'; text++) {
		if (in_string && *text == '\\')
			text++;
		else if (*text == '"')
			in_string = !in_string;
		else if (*text == '\'' && !in_string)
			return SIZE_MAX;
		else if (*text == ':' && !in_string)
			n++;
	}
	return n;
}

/* Members of all objects in a tree that is DEPTH_MAX deep at most. */
static size_t count_members(json_object *value)
{
	size_t n = 0;

	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, key, member)
		{
			(void)key;
			n += 1 + count_members(member);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			n += count_members(json_object_array_get_idx(value, i));
	}
	return n;
}

/* The tree of a text, NULL if it is no JSON, with nothing but space behind it. */
static json_object *read_text(const char *text, size_t len, struct vfu_err *err)
{
	json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	json_object *tree;

	if (tokener == NULL) {
		vfui_err_set(err, -ENOMEM, NULL, 0, "out of memory");
		return NULL;
	}
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	tree = json_tokener_parse_ex(tokener, text, (int)len);
	if (json_tokener_get_error(tokener) != json_tokener_success) {
		vfui_err_set(err, -EINVAL, "version.data", 4, "version.data: %s",
			     json_tokener_error_desc(json_tokener_get_error(tokener)));
		json_object_put(tree);
		tree = NULL;
	} else if (!json_object_is_type(tree, json_type_object)) {
		vfui_err_set(err, -EINVAL, "version.data", 4, "version.data is not an object");
		json_object_put(tree);
		tree = NULL;
	}
	json_tokener_free(tokener);
	return tree;
}

static int read_tree(json_object *tree, const char *text, bool in_request, struct vfui_caps *caps,
		     struct vfu_err *err)
{
	json_object *all;

	/* Json-c keeps the last of several; other readers keep the first. */
	if (count_members(tree) != count_keys(text))
		return vfui_err_set(err, -EINVAL, "version.data", 4,
				    "version.data has a key twice, or single quotes");
	if (!json_object_object_get_ex(tree, "capabilities", &all))
		return 0;
	if (!json_object_is_type(all, json_type_object))
		return vfui_err_set(err, -EINVAL, "version.capabilities", 4,
				    "version.capabilities is not an object");
	return read_caps(all, in_request, caps, err);
}

int vfui_json_parse(const void *data, size_t len, bool in_request, struct vfui_caps *caps,
		    struct vfu_err *err)
{
	const char *text = data;
	json_object *tree;
	int r;

	vfui_caps_init(caps);
	if (len == 0)
		return 0;
	if (len > TEXT_MAX || memchr(text, '\0', len) != text + len - 1)
		return vfui_err_set(err, -EINVAL, "version.data", 4,
				    "version.data is too long, or does not end at its one NUL");
	tree = read_text(text, len, err);
	if (tree == NULL)
		return err != NULL ? err->code : -EINVAL;
	r = read_tree(tree, text, in_request, caps, err);
	json_object_put(tree);
	return r;
}

/* ---- writing ---- */

/* The object that cap lies in, made if it is not there. NULL: no memory. */
static json_object *home_of(json_object *all, const struct vfui_cap *cap)
{
	const char *name = vfui_cap_objects[cap->object];
	json_object *home;

	if (name == NULL)
		return all;
	if (json_object_object_get_ex(all, name, &home))
		return home;
	home = json_object_new_object();
	if (home != NULL && json_object_object_add(all, name, home) != 0) {
		json_object_put(home);
		return NULL;
	}
	return home;
}

static int write_cap(json_object *all, const struct vfui_caps *caps, const struct vfui_cap *cap)
{
	uint64_t number = caps->value[cap - vfui_caps_table];
	json_object *home = home_of(all, cap);
	json_object *value;

	if (home == NULL)
		return -ENOMEM;
	value = cap->type == VFUI_CAP_TYPE_BOOL ? json_object_new_boolean(number != 0)
						: json_object_new_int64((int64_t)number);
	if (value == NULL)
		return -ENOMEM;
	if (json_object_object_add(home, cap->key, value) != 0) {
		json_object_put(value);
		return -ENOMEM;
	}
	return 0;
}

static int write_caps(json_object *all, const struct vfui_caps *caps, bool in_request)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < VFUI_CAPS; i++) {
		const struct vfui_cap *cap = &vfui_caps_table[i];
		bool is_meant = in_request ? cap->in_request : cap->in_reply;

		if (is_meant && (caps->said & VFUI_CAP_BIT(i)) != 0)
			r = write_cap(all, caps, cap);
	}
	return r;
}

static int write_text(json_object *tree, char *text, size_t room)
{
	const char *made = json_object_to_json_string_ext(tree, JSON_C_TO_STRING_PLAIN);
	size_t size;

	if (made == NULL)
		return -ENOMEM;
	size = strlen(made) + 1;
	if (size > room)
		return -EMSGSIZE;
	memcpy(text, made, size);
	return (int)size;
}

int vfui_json_build(const struct vfui_caps *caps, bool in_request, char *text, size_t room)
{
	json_object *tree = json_object_new_object();
	json_object *all = json_object_new_object();
	int r;

	if (tree == NULL || all == NULL || json_object_object_add(tree, "capabilities", all) != 0) {
		json_object_put(all);
		json_object_put(tree);
		return -ENOMEM;
	}
	r = write_caps(all, caps, in_request);
	if (r == 0)
		r = write_text(tree, text, room);
	json_object_put(tree);
	return r;
}
