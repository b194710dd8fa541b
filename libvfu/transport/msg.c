/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * msg.c - one message that was received.
 */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "transport/msg.h"

int vfui_msg_take_fd(struct vfui_msg *msg, unsigned i)
{
	int fd;

	if (i >= msg->nfds)
		return -1;
	fd = msg->fds[i];
	msg->fds[i] = -1;
	return fd;
}

void vfui_msg_close_fds(struct vfui_msg *msg)
{
	for (unsigned i = 0; i < msg->nfds; i++)
		vfui_os_close(vfui_msg_take_fd(msg, i));
}

/* One block: the structure, the payload (which thus is aligned), the descriptors. */
struct vfui_msg *vfui_msg_copy(struct vfui_msg *msg)
{
	size_t head = (sizeof(*msg) + 7) / 8 * 8;
	size_t body = (msg->len + 7) / 8 * 8;
	char *block = vfui_os_malloc(head + body + msg->nfds * sizeof(int));
	struct vfui_msg *copy = (struct vfui_msg *)block;

	if (copy == NULL)
		return NULL;
	*copy = *msg;
	if (msg->len > 0)
		memcpy(block + head, msg->payload, msg->len);
	copy->payload = (uint8_t *)block + head;
	copy->fds = (int *)(block + head + body);
	for (unsigned i = 0; i < msg->nfds; i++)
		copy->fds[i] = vfui_msg_take_fd(msg, i);
	return copy;
}

void vfui_msg_free(struct vfui_msg *msg)
{
	if (msg == NULL)
		return;
	vfui_msg_close_fds(msg);
	vfui_os_free(msg);
}

int vfui_err_fault(struct vfu_err *err, int code, const struct vfui_fault *fault)
{
	const char *message = fault->message != NULL ? fault->message : "message";
	int n;

	vfui_err_set(err, code, NULL, fault->offset, "%s%s%s: value %llu breaks the rule: %s",
		     message, fault->field != NULL ? "." : "",
		     fault->field != NULL ? fault->field : "", (unsigned long long)fault->value,
		     fault->rule != NULL ? fault->rule : "layout");
	if (err == NULL)
		return code;
	n = snprintf(err->field, sizeof(err->field), "%s%s%s", message,
		     fault->field != NULL ? "." : "", fault->field != NULL ? fault->field : "");
	if (n < 0)
		err->field[0] = '\0';
	return code;
}
