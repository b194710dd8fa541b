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
#include "transport/json-text.h"
#include "transport/json.h"
#include "wire-session.h"

#define TEXT_MAX 16384
/* Where the text lies in the payload, behind the fields. */
#define DATA_AT sizeof(struct vfu_wire_version_request)
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
static int refuse(struct vfu_err *err, const char *name, json_object *value, const char *rule)
{
	const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
	bool is_long = text != NULL && strlen(text) > SHOWN_MAX;
	char field[sizeof(err->field)];

	snprintf(field, sizeof(field), "version.%s", name);
	return vfui_err_set(err, -EINVAL, field, DATA_AT, "%s: value %.*s%s breaks the rule: %s",
			    field, SHOWN_MAX, text != NULL ? text : "?", is_long ? "..." : "",
			    rule);
}

static int refuse_cap(struct vfu_err *err, const char *cap, json_object *value, const char *rule)
{
	char name[sizeof(err->field)];

	snprintf(name, sizeof(name), "capabilities.%s", cap);
	return refuse(err, name, value, rule);
}

/* A number: whole and in range, as written (E19). */
static int read_number(json_object *value, const struct vfui_cap *cap, struct vfui_caps *caps,
		       struct vfu_err *err)
{
	bool is_whole = json_object_is_type(value, json_type_int);
	/* Json-c gives the largest number for all that are larger, which no max in the spec is. */
	int64_t number = json_object_get_int64(value);
	char rule[96];

	if (!is_whole || number < 0 || (uint64_t)number < cap->min || (uint64_t)number > cap->max)
		snprintf(rule, sizeof(rule), "is a whole number from %llu to %llu",
			 (unsigned long long)cap->min, (unsigned long long)cap->max);
	else if (cap->multiple_of != 0 && (uint64_t)number % cap->multiple_of != 0)
		snprintf(rule, sizeof(rule), "is a multiple of %llu",
			 (unsigned long long)cap->multiple_of);
	else {
		set_value(caps, cap, (uint64_t)number);
		return 0;
	}
	return refuse_cap(err, cap->name, value, rule);
}

static int read_cap(json_object *value, const struct vfui_cap *cap, struct vfui_caps *caps,
		    struct vfu_err *err)
{
	if (cap->type != VFUI_CAP_TYPE_BOOL)
		return read_number(value, cap, caps, err);
	if (!json_object_is_type(value, json_type_boolean))
		return refuse_cap(err, cap->name, value, "is true or false");
	set_value(caps, cap, json_object_get_boolean(value) != 0);
	return 0;
}

/* The object in `all` that a key lies in; NULL in *home: there is none. Notes those that are. */
static int find_home(json_object *all, const struct vfui_cap *cap, struct vfui_caps *caps,
		     json_object **home, struct vfu_err *err)
{
	const char *name = vfui_cap_objects[cap->object];

	*home = all;
	if (name == NULL)
		return 0;
	if (!json_object_object_get_ex(all, name, home)) {
		*home = NULL;
		return 0;
	}
	if (!json_object_is_type(*home, json_type_object))
		return refuse_cap(err, name, *home, "is an object");
	caps->said |= VFUI_CAP_OBJECT_BIT(cap->object);
	return 0;
}

static int read_caps(json_object *all, bool in_request, struct vfui_caps *caps, struct vfu_err *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < VFUI_CAPS; i++) {
		const struct vfui_cap *cap = &vfui_caps_table[i];
		json_object *home, *value;

		r = find_home(all, cap, caps, &home, err);
		if (r < 0 || home == NULL || !(in_request ? cap->in_request : cap->in_reply))
			continue;
		if (json_object_object_get_ex(home, cap->key, &value))
			r = read_cap(value, cap, caps, err);
	}
	return r;
}

/* Members of all objects in a tree that is not deep. */
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

static int refuse_text(struct vfu_err *err, const char *why)
{
	return vfui_err_set(err, -EINVAL, "version.data", DATA_AT,
			    "version.data breaks the rule: is JSON text (%s)", why);
}

static int read_tree(json_object *tree, bool in_request, struct vfui_caps *caps,
		     struct vfu_err *err)
{
	json_object *all;

	if (!json_object_is_type(tree, json_type_object))
		return refuse(err, "data", tree, "is an object");
	if (!json_object_object_get_ex(tree, "capabilities", &all))
		return 0;
	if (!json_object_is_type(all, json_type_object))
		return refuse(err, "capabilities", all, "is an object");
	return read_caps(all, in_request, caps, err);
}

/* A text that is JSON, with so many keys. */
static int read_text(json_tokener *tokener, const char *text, size_t len, size_t keys,
		     bool in_request, struct vfui_caps *caps, struct vfu_err *err)
{
	json_object *tree = json_tokener_parse_ex(tokener, text, (int)len);
	enum json_tokener_error error = json_tokener_get_error(tokener);
	int r;

	/* Json-c keeps the last of several; other readers keep the first. */
	if (error != json_tokener_success)
		r = refuse_text(err, json_tokener_error_desc(error));
	else if (count_members(tree) != keys)
		r = refuse_text(err, "has a key twice");
	else
		r = read_tree(tree, in_request, caps, err);
	json_object_put(tree);
	return r;
}

int vfui_json_parse(const void *data, size_t len, bool in_request, struct vfui_caps *caps,
		    struct vfu_err *err)
{
	const char *text = data, *fault;
	json_tokener *tokener;
	size_t keys;
	int r;

	vfui_caps_init(caps);
	if (len == 0)
		return 0;
	if (len > TEXT_MAX || memchr(text, '\0', len) != text + len - 1)
		return vfui_err_set(err, -EINVAL, "version.data", DATA_AT,
				    "version.data is too long, or does not end at its one NUL");
	fault = vfui_json_text_fault(text, &keys);
	if (fault != NULL)
		return refuse_text(err, fault);
	tokener = json_tokener_new_ex(VFUI_JSON_DEPTH +
				      1); /* what is in the last level counts, too */
	if (tokener == NULL)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "out of memory");
	r = read_text(tokener, text, len, keys, in_request, caps, err);
	json_tokener_free(tokener);
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
