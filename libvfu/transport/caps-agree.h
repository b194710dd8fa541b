/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * caps-agree.h - what two sides' capabilities come to, by the generated table.
 */
#ifndef VFUI_CAPS_AGREE_H
#define VFUI_CAPS_AGREE_H

#include "base/err.h"
#include "caps.h"
#include "checks.h"

/* A side that says nothing; and what we say if nobody chose. */
void vfui_caps_init(struct vfui_caps *caps);
void vfui_caps_init_own(struct vfui_caps *own);

/*
 * Has own say this: name as in "max_msg_fds" or "migration.pgsize", a bool is 0 or 1. -ENOENT: there
 * is no such key; -EINVAL: not this value, or not for this side to say. err tells the rule.
 */
int vfui_caps_choose(struct vfui_caps *own, const char *name, uint64_t value, bool is_server,
		     struct vfu_err *err);
/* *value of what was agreed. -ENOENT. */
int vfui_caps_get(const struct vfui_caps *agreed, const char *name, uint64_t *value,
		  struct vfu_err *err);

/* Which side did not say what this rule of a check needs; NULL: it needs nothing that must be agreed. */
const char *vfui_caps_unsaid(const struct vfui_caps *own, const char *rule);

/* Keys of a reply that this request lets it have: all but features that were not proposed. */
uint64_t vfui_caps_proposed(const struct vfui_caps *request);
/* What a server with own answers; keys with said of it were said by either. */
void vfui_caps_answer(const struct vfui_caps *own, const struct vfui_caps *request,
		      struct vfui_caps *answer);
/* What holds; theirs where each side has its own. Features are off but for those in both. */
void vfui_caps_agree(const struct vfui_caps *mine, const struct vfui_caps *theirs, uint64_t both,
		     struct vfui_caps *agreed);
/* The limits of one side, own being what it says. */
void vfui_caps_limits(const struct vfui_caps *own, const struct vfui_caps *agreed,
		      struct vfui_limits *limits);
/* Leaves the last key that says nothing out; once there is none, those that may go first. */
bool vfui_caps_shorten(struct vfui_caps *answer);

#endif
