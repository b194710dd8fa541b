/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * msg.c - one message that was received.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "transport/msg.h"

/* vfui_check_fn: nothing is known of such payloads, but they are not endless. */
static int check_unknown(const void *payload, size_t len, size_t nfds,
			 const struct vfui_limits *limits, const struct vfui_policy *policy,
			 const void *request, struct vfui_fault *fault)
{
	bool is_long = len > limits->max_data_xfer_size;

	(void)payload, (void)policy, (void)request;
	if (!is_long && nfds <= limits->max_msg_fds)
		return 0;
	if (fault != NULL)
		*fault = (struct vfui_fault){.message = vfui_message_unknown.name,
					     .field = is_long ? "length" : "fds",
					     .rule = is_long ? "is at most max_data_xfer_size"
							     : "is at most max_msg_fds",
					     .value = is_long ? len : nfds};
	return -EINVAL;
}

const struct vfui_message vfui_message_unknown = {
	.name = "unknown_command",
	.from = VFUI_FROM_CLIENT,
	.post = true,
	.request_takes_fds = true,
	.reply_takes_fds = true,
	.request_bulk = true,
	.reply_bulk = true,
	.check_request = check_unknown,
	.check_reply = check_unknown,
};

struct vfui_label vfui_msg_label(const struct vfu_wire_header *hdr)
{
	const struct vfui_message *info = vfui_message(hdr->command);
	struct vfui_label label;

	snprintf(label.text, sizeof(label.text), "%s(%u) id=%u", info ? info->name : "unknown",
		 hdr->command, hdr->id);
	return label;
}

int vfui_message_is_free(unsigned command, const char *call, struct vfu_err *err)
{
	const struct vfui_message *info = vfui_message(command);

	if (command == 0 || command > UINT16_MAX)
		return vfui_err_set(err, -EINVAL, NULL, 0, "%s: commands have numbers from 1 to %u",
				    call, UINT16_MAX);
	if (info != NULL && info->keeps != NULL)
		return vfui_err_set(err, -EOPNOTSUPP, NULL, 0,
				    "%s: %s is left to the library, which keeps %s", call,
				    info->name, info->keeps);
	if (info != NULL && info->from != VFUI_FROM_CLIENT)
		return vfui_err_set(err, -EOPNOTSUPP, NULL, 0, "%s: %s is %s", call, info->name,
				    info->from == VFUI_FROM_NOBODY ? "retired"
								   : "the server's to send");
	return 0;
}

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

void vfui_msg_drop_fds(struct vfui_msg *msg)
{
	vfui_msg_close_fds(msg);
	msg->nfds = 0;
}

/* One block: the structure, the payload (which thus is aligned), the descriptors. */
struct vfui_msg *vfui_msg_copy(struct vfui_msg *msg)
{
	size_t head = (sizeof(*msg) + 7) / 8 * 8;
	size_t len = msg->len - msg->placed, body = (len + 7) / 8 * 8;
	char *block = vfui_os_malloc(head + body + msg->nfds * sizeof(int));
	struct vfui_msg *copy = (struct vfui_msg *)block;

	if (copy == NULL)
		return NULL;
	*copy = *msg;
	if (len > 0)
		memcpy(block + head, msg->payload, len);
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
