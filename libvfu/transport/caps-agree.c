/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * caps-agree.c - what two sides' capabilities come to, by the generated table.
 *
 * A side is a struct vfui_caps: a value for each key, the default for those that are not said. No key
 * is known here by name; spec/caps.lua says of each how two values combine.
 *
 *	own       request ----+                       what the client proposed
 *	 |           |        | proposed
 *	 +--answer---+        v
 *	       |            both = proposed & said    features that hold
 *	    (shorten)         |
 *	       v              v
 *	     reply         agree(mine, theirs, both)  what holds, the peer's where each has its own
 *	                      |
 *	                   limits(own), limits(peer)  what checks compare with
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "transport/caps-agree.h"

void vfui_caps_init(struct vfui_caps *caps)
{
	caps->said = 0;
	for (unsigned i = 0; i < VFUI_CAPS; i++)
		caps->value[i] = vfui_caps_table[i].dflt;
}

void vfui_caps_init_own(struct vfui_caps *own)
{
	vfui_caps_init(own);
	for (unsigned i = 0; i < VFUI_CAPS; i++) {
		if (!vfui_caps_table[i].is_own_said)
			continue;
		own->value[i] = vfui_caps_table[i].own;
		own->said |= VFUI_CAP_BIT(i);
	}
}

/* ---- by name ---- */

static int find(const char *name, struct vfu_err *err)
{
	for (unsigned i = 0; i < VFUI_CAPS; i++)
		if (strcmp(vfui_caps_table[i].name, name) == 0)
			return (int)i;
	return vfui_err_set(err, -ENOENT, NULL, 0, "VERSION has no capability '%.64s'", name);
}

/* Why this side cannot say it, or NULL. */
static const char *not_yours(const struct vfui_cap *cap, bool is_server)
{
	if (cap->kept)
		return "the library says itself";
	if (is_server && cap->combine == VFUI_COMBINE_ECHO)
		return "a server only repeats";
	if (!(is_server ? cap->in_reply : cap->in_request))
		return is_server ? "only a client says" : "only a server says";
	return NULL;
}

static int check_choice(const struct vfui_cap *cap, uint64_t value, bool is_server,
			struct vfu_err *err)
{
	const char *why = not_yours(cap, is_server);
	char field[sizeof(err->field)];

	snprintf(field, sizeof(field), "version.capabilities.%s", cap->name);
	if (why != NULL)
		return vfui_err_set(err, -EINVAL, field, 0, "%s is what %s", field, why);
	if (value < cap->own_min || value > cap->own_max)
		return vfui_err_set(err, -EINVAL, field, 0, "%s can not be %llu: from %llu to %llu",
				    field, (unsigned long long)value,
				    (unsigned long long)cap->own_min,
				    (unsigned long long)cap->own_max);
	if (cap->multiple_of != 0 && value % cap->multiple_of != 0)
		return vfui_err_set(err, -EINVAL, field, 0,
				    "%s can not be %llu: a multiple of %llu", field,
				    (unsigned long long)value,
				    (unsigned long long)cap->multiple_of);
	return 0;
}

int vfui_caps_choose(struct vfui_caps *own, const char *name, uint64_t value, bool is_server,
		     struct vfu_err *err)
{
	int key = find(name, err);
	const struct vfui_cap *cap;
	int r;

	if (key < 0)
		return key;
	cap = &vfui_caps_table[key];
	r = check_choice(cap, value, is_server, err);
	if (r < 0)
		return r;
	own->value[key] = value;
	/* A feature that is off need not be told. */
	if (cap->type == VFUI_CAP_TYPE_BOOL && value == cap->dflt)
		own->said &= ~VFUI_CAP_BIT(key);
	else
		own->said |= VFUI_CAP_BIT(key);
	return 0;
}

int vfui_caps_get(const struct vfui_caps *agreed, const char *name, uint64_t *value,
		  struct vfu_err *err)
{
	int key = find(name, err);

	if (key < 0)
		return key;
	*value = agreed->value[key];
	return 0;
}

const char *vfui_caps_unsaid(const struct vfui_caps *own, const char *rule)
{
	char needs[128]; /* as the rule `agreed` of codegen/rules.lua begins */

	for (unsigned i = 0; rule != NULL && i < VFUI_CAPS; i++) {
		int n = snprintf(needs, sizeof(needs), "needs %s, which was not agreed",
				 vfui_caps_table[i].name);

		if (n > 0 && strncmp(rule, needs, (size_t)n) == 0)
			return own->value[i] != 0 ? "the peer did not say it"
						  : "this side did not say it";
	}
	return NULL;
}

/* ---- what is answered ---- */

uint64_t vfui_caps_proposed(const struct vfui_caps *request)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < VFUI_CAPS; i++) {
		const struct vfui_cap *cap = &vfui_caps_table[i];
		/* What no request has is proposed with its object. */
		uint64_t by = cap->in_request || cap->object == VFUI_CAP_OBJECTS
				      ? VFUI_CAP_BIT(i)
				      : VFUI_CAP_OBJECT_BIT(cap->object);

		if (!cap->feature || (request->said & by) != 0)
			bits |= VFUI_CAP_BIT(i);
	}
	return bits;
}

static uint64_t combine(const struct vfui_cap *cap, uint64_t mine, uint64_t theirs)
{
	switch (cap->combine) {
	case VFUI_COMBINE_MIN:
		return vfui_min(mine, theirs);
	case VFUI_COMBINE_AND:
		return mine != 0 && theirs != 0;
	default: /* each its own, and an echo: theirs */
		return theirs;
	}
}

void vfui_caps_answer(const struct vfui_caps *own, const struct vfui_caps *request,
		      struct vfui_caps *answer)
{
	*answer = *own;
	for (unsigned i = 0; i < VFUI_CAPS; i++) {
		const struct vfui_cap *cap = &vfui_caps_table[i];

		if (cap->combine == VFUI_COMBINE_ECHO)
			answer->said |= request->said & VFUI_CAP_BIT(i);
		if (cap->combine != VFUI_COMBINE_OWN)
			answer->value[i] = combine(cap, own->value[i], request->value[i]);
	}
	answer->said &= vfui_caps_proposed(request);
}

/* The same holds without it: a limit that is the default, or a feature that is off. */
static bool is_idle(const struct vfui_caps *caps, unsigned key)
{
	const struct vfui_cap *cap = &vfui_caps_table[key];

	return caps->value[key] == cap->dflt && (cap->type == VFUI_CAP_TYPE_BOOL || !cap->feature);
}

bool vfui_caps_shorten(struct vfui_caps *answer)
{
	uint64_t bits = 0;
	unsigned first = UINT8_MAX;

	for (unsigned i = VFUI_CAPS; i-- > 0;) {
		const struct vfui_cap *cap = &vfui_caps_table[i];

		if ((answer->said & VFUI_CAP_BIT(i)) == 0)
			continue;
		if (is_idle(answer, i)) {
			bits = VFUI_CAP_BIT(i);
			break;
		}
		if (cap->drop == 0 || cap->drop > first)
			continue;
		bits = cap->drop < first ? VFUI_CAP_BIT(i) : bits | VFUI_CAP_BIT(i);
		first = cap->drop;
	}
	answer->said &= ~bits;
	return bits != 0;
}

/* ---- what holds ---- */

void vfui_caps_agree(const struct vfui_caps *mine, const struct vfui_caps *theirs, uint64_t both,
		     struct vfui_caps *agreed)
{
	agreed->said = theirs->said;
	for (unsigned i = 0; i < VFUI_CAPS; i++) {
		const struct vfui_cap *cap = &vfui_caps_table[i];

		if (cap->feature && (both & VFUI_CAP_BIT(i)) == 0) {
			agreed->value[i] = cap->dflt;
			continue;
		}
		agreed->value[i] = combine(cap, mine->value[i], theirs->value[i]);
		/* A peer that can take more is given no more than we are made for. */
		if (cap->limit != VFUI_CAP_NO_LIMIT && agreed->value[i] > cap->own_max)
			agreed->value[i] = cap->own_max;
	}
}

static void set_limit(struct vfui_limits *limits, const struct vfui_cap *cap, uint64_t value)
{
	char *at = (char *)limits + cap->limit;
	uint32_t u32;
	bool flag;

	if (cap->as == VFUI_AS_LOWEST_BIT)
		value &= -value;
	u32 = (uint32_t)value;
	flag = value != 0;
	if (cap->limit_size == sizeof(value))
		memcpy(at, &value, sizeof(value));
	else if (cap->limit_size == sizeof(u32))
		memcpy(at, &u32, sizeof(u32));
	else
		memcpy(at, &flag, sizeof(flag));
}

void vfui_caps_limits(const struct vfui_caps *own, const struct vfui_caps *agreed,
		      struct vfui_limits *limits)
{
	for (unsigned i = 0; i < VFUI_CAPS; i++) {
		const struct vfui_cap *cap = &vfui_caps_table[i];

		if (cap->limit != VFUI_CAP_NO_LIMIT)
			set_limit(limits, cap,
				  (cap->combine == VFUI_COMBINE_OWN ? own : agreed)->value[i]);
	}
}
