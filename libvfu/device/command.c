/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * command.c - commands and features that a device serves itself.
 *
 *	a message --> gate, generated check --> [ commands ] by number --> fn(user, req)
 *	                                             | none                     |
 *	                                             v                          | vfu_request_reply,
 *	                                        the library's handler           | now or later
 *	                                             |                          v
 *	                      DEVICE_FEATURE --> [ features ] --> get, set   generated check --> client
 *
 * The message is copied, so that its payload is aligned and stays, with its descriptors, until it is answered
 * (struct vfu_request, kept). A feature's function is one like a command's: it sees the data behind the fixed
 * part, and what it answers comes behind one that the library writes.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "device/command.h"
#include "wire-feature.h"

/* ---- tables ---- */

static struct vfui_served *find(const struct vfui_served_list *list, unsigned number)
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->served[i].number == number)
			return &list->served[i];
	return NULL;
}

/* In place of what has its number, if there is such. What is served no more stays, without functions. */
static int put(struct vfui_served_list *list, const struct vfui_served *one, struct vfu_err *err)
{
	struct vfui_served *served = find(list, one->number);

	if (!served && !one->fn && !one->get && !one->set)
		return 0;
	if (!served) {
		served = vfui_os_realloc(list->served, (list->n + (size_t)1) * sizeof(*served));
		if (!served)
			return vfui_err_set(err, -ENOMEM, NULL, 0,
					    "no memory for what the device serves");
		list->served = served;
		served += list->n++;
	}
	*served = *one;
	return 0;
}

void vfui_commands_fini(struct vfui_commands *commands)
{
	vfui_os_free(commands->commands.served);
	vfui_os_free(commands->features.served);
	memset(commands, 0, sizeof(*commands));
}

const struct vfui_served *vfui_commands_find(const struct vfui_commands *commands, unsigned number)
{
	const struct vfui_served *command = find(&commands->commands, number);

	return command && command->fn ? command : NULL;
}

int vfui_commands_set(struct vfui_commands *commands, unsigned number, vfu_command_fn *fn,
		      void *user, struct vfu_err *err)
{
	const struct vfui_served one = {.number = number, .fn = fn, .user = user};
	int rc = vfui_message_is_free(number, "vfu_device_set_command", err);

	return rc ? rc : put(&commands->commands, &one, err);
}

int vfui_commands_set_feature(struct vfui_commands *commands, unsigned number,
			      const struct vfu_feature *def, void *user, struct vfu_err *err)
{
	struct vfui_served one = {.number = number, .user = user};

	if (number > VFU_WIRE_FEATURE_MASK)
		return vfui_err_set(err, -EINVAL, NULL, 0,
				    "vfu_device_set_feature: features have numbers from 0 to %u",
				    VFU_WIRE_FEATURE_MASK);
	if (def && def->size != sizeof(*def))
		return vfui_err_set(err, -EINVAL, NULL, 0,
				    "vfu_device_set_feature: size %zu is not %zu", def->size,
				    sizeof(*def));
	if (def) {
		one.get = def->get;
		one.set = def->set;
	}
	return put(&commands->features, &one, err);
}

int vfu_command_number(const char *name)
{
	const struct vfui_message *info = vfui_message_named(name);

	return info ? info->id : -ENOENT;
}

/* ---- serving ---- */

/* What a function answers, taken for the last word: whoever has replied may not fail any more. */
static int result_of(struct vfui_request *req, int rc)
{
	if (req->base.is_deferred)
		return VFU_LATER;
	if (!rc && !req->is_replied)
		vfu_request_reply(&req->base, NULL, 0, NULL, 0, NULL);
	return req->is_replied ? 0 : rc;
}

/* fn NULL: the answer is the request. */
static int serve(struct vfui_request *req, vfu_command_fn *fn, void *user)
{
	struct vfui_msg *kept = vfui_msg_copy(req->msg);
	int rc;

	if (!kept)
		return -ENOMEM;
	if (!kept->info->request_takes_fds)
		vfui_msg_drop_fds(kept);
	req->base.kept = kept;
	rc = result_of(req, fn ? fn(user, &req->base) : 0);
	if (req->base.is_deferred)
		return rc;
	/* The message as it came, but for descriptors that were taken. */
	for (unsigned i = 0; rc == VFU_PASS && i < kept->nfds; i++)
		req->msg->fds[i] = vfui_msg_take_fd(kept, i);
	vfui_msg_free(kept);
	req->base.kept = NULL;
	return rc;
}

int vfui_command_serve(const struct vfui_served *command, struct vfui_request *req)
{
	req->base.head_len = 0;
	req->base.skip = 0;
	req->base.room = UINT32_MAX;
	req->base.echoes = false;
	return serve(req, command->fn, command->user);
}

/* Bare PROBE asks for the feature, else for each method it names (E46). */
static bool has_methods(const struct vfui_served *feature, uint32_t flags)
{
	bool is_bare = !(flags & (VFU_WIRE_FEATURE_GET | VFU_WIRE_FEATURE_SET));

	if (!feature || (is_bare && !feature->get && !feature->set))
		return false;
	return (feature->get || !(flags & VFU_WIRE_FEATURE_GET)) &&
	       (feature->set || !(flags & VFU_WIRE_FEATURE_SET));
}

int vfui_feature_serve(const struct vfui_commands *commands, struct vfui_request *req,
		       const struct vfu_wire_device_feature_request *in,
		       const struct vfui_policy *policy)
{
	const struct vfui_served *feature =
		find(&commands->features, in->flags & VFU_WIRE_FEATURE_MASK);
	const struct vfu_wire_device_feature_reply head = {.flags = in->flags};
	bool is_probe = in->flags & VFU_WIRE_FEATURE_PROBE;
	bool is_get = !is_probe && in->flags & VFU_WIRE_FEATURE_GET;

	if (!has_methods(feature, in->flags))
		return policy->unsupported_feature == VFUI_UNSUPPORTED_FEATURE_EINVAL ? -EINVAL
										      : -ENOTTY;
	vfui_request_set_head(&req->base, &head, sizeof(head));
	req->base.skip = sizeof(*in);
	req->base.room = is_get ? in->argsz - (uint32_t)sizeof(*in) : UINT32_MAX;
	req->base.echoes = !is_get;
	return serve(req, is_probe ? NULL : is_get ? feature->get : feature->set, feature->user);
}
