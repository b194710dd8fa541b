/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * command.h - commands and features that a device serves itself.
 */
#ifndef VFUI_COMMAND_H
#define VFUI_COMMAND_H

#include "device/request.h"
#include "wire-feature.h"

struct vfui_served {
	unsigned number;
	vfu_command_fn *fn;        /* of a command */
	vfu_command_fn *get, *set; /* of a feature */
	void *user;
};

/* Few, and asked for by number. Owner. */
struct vfui_served_list {
	struct vfui_served *served;
	unsigned n;
};

struct vfui_commands {
	struct vfui_served_list commands, features;
};

void vfui_commands_fini(struct vfui_commands *commands);
/* As vfu_device_set_command and _feature. */
int vfui_commands_set(struct vfui_commands *commands, unsigned number, vfu_command_fn *fn,
		      void *user, struct vfu_err *err);
int vfui_commands_set_feature(struct vfui_commands *commands, unsigned number,
			      const struct vfu_feature *feature, void *user, struct vfu_err *err);
/* Who serves a command in place of the library; NULL: nobody. */
const struct vfui_served *vfui_commands_find(const struct vfui_commands *commands, unsigned number);

/* Serves a request that has passed its check; as a handler of the server's, or VFU_PASS. */
int vfui_command_serve(const struct vfui_served *command, struct vfui_request *req);
/* DEVICE_FEATURE by the device's table. */
int vfui_feature_serve(const struct vfui_commands *commands, struct vfui_request *req,
		       const struct vfu_wire_device_feature_request *in,
		       const struct vfui_policy *policy);

#endif
