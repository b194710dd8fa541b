/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * negotiate.c - the VERSION exchange: both sides agree on a version, capabilities and limits.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/fds.h"
#include "transport/json.h"
#include "transport/negotiate.h"

#define TEXT_MAX 16384

/*
 * The highest minor version whose messages we know. We propose 0, which every server takes (E21).
 */
#define MINOR_OWN 2

/* A reply of this size is not too long for anybody: no client's request is shorter (E17). */
#define REPLY_MIN 128

void vfui_negotiate_offer(const uint64_t values[VFU_OPTIONS], struct vfui_caps *caps)
{
	vfui_caps_defaults(caps);
	caps->max_msg_fds = (uint32_t)values[VFU_OPT_MAX_MSG_FDS];
	caps->max_data_xfer_size = values[VFU_OPT_MAX_DATA_XFER_SIZE];
	caps->max_dma_maps = (uint32_t)values[VFU_OPT_MAX_DMA_MAPS];
	caps->present = VFUI_CAPS_MAX_MSG_FDS | VFUI_CAPS_MAX_DATA_XFER_SIZE |
			VFUI_CAPS_MAX_DMA_MAPS | VFUI_CAPS_PGSIZES;
	if (values[VFU_OPT_WRITE_MULTIPLE] != 0) {
		caps->write_multiple = true;
		caps->present |= VFUI_CAPS_WRITE_MULTIPLE;
	}
}

/* Features hold only if both sides said so. */
static void intersect(const struct vfui_caps *own, struct vfui_caps *agreed)
{
	agreed->write_multiple = agreed->write_multiple && own->write_multiple;
	agreed->sparse_mmap_fds = agreed->sparse_mmap_fds && own->sparse_mmap_fds;
	agreed->twin_socket_supported = agreed->twin_socket_supported && own->twin_socket_supported;
}

/* The limits that one side's capabilities mean; features and the minor version are those agreed. */
static void set_limits(struct vfui_limits *limits, const struct vfui_caps *caps,
		       const struct vfui_caps *agreed, uint16_t minor)
{
	limits->minor = minor;
	limits->max_msg_fds = (uint32_t)vfui_min(caps->max_msg_fds, VFUI_FDS_MAX);
	limits->max_data_xfer_size = vfui_min(caps->max_data_xfer_size, VFUI_XFER_MAX);
	limits->max_dma_maps = caps->max_dma_maps;
	limits->pgsize = caps->pgsizes & -caps->pgsizes;
	limits->write_multiple = agreed->write_multiple;
	limits->sparse_mmap_fds = agreed->sparse_mmap_fds;
	limits->twin_socket = agreed->twin_socket_supported;
}

/* ---- client ---- */

static int exchange(struct vfui_conn *conn, const struct vfui_caps *offer, struct vfui_caps *agreed,
		    uint16_t *minor, struct vfu_err *err)
{
	struct vfu_wire_version_request in = {.major = 0, .minor = 0};
	struct vfu_wire_version_reply out;
	char text[TEXT_MAX], answer[TEXT_MAX];
	struct vfui_call call = {.tail = text,
				 .reply_tail = answer,
				 .reply_room = sizeof(answer),
				 .timeout_ms = -1,
				 .err = err};
	int r = vfui_json_build(offer, true, text, sizeof(text));

	if (r < 0)
		return vfui_err_set(err, r, NULL, 0, "the offer cannot be written");
	call.tail_len = (size_t)r;
	r = vfui_conn_call(conn, VFU_WIRE_CMD_VERSION, &call, &in, sizeof(in), &out, sizeof(out));
	if (r < 0)
		return r;
	/* We asked for no second socket. */
	for (unsigned i = 0; i < call.reply_nfds; i++)
		vfui_os_close(call.reply_fds[i]);
	*minor = out.minor;
	return vfui_json_parse(answer, call.reply_len, false, agreed, err);
}

int vfui_negotiate_client(struct vfui_conn *conn, const struct vfui_caps *offer,
			  struct vfui_caps *agreed, uint16_t *minor, struct vfu_err *err)
{
	struct vfu_err own_err = {0};
	struct vfu_err *e = err != NULL ? err : &own_err;
	int r = exchange(conn, offer, agreed, minor, e);

	if (r < 0) {
		vfui_conn_fail(conn, e);
		return r;
	}
	intersect(offer, agreed);
	set_limits(vfui_conn_limits(conn), offer, agreed, *minor);
	set_limits(vfui_conn_peer_limits(conn), agreed, agreed, *minor);
	return 0;
}

/* ---- server ---- */

/* What we answer: our limits, and of the features those that were proposed (E18, E22). */
static void choose_answer(const struct vfui_caps *own, const struct vfui_caps *client,
			  struct vfui_caps *answer)
{
	*answer = *own;
	for (size_t i = 0; i < vfui_caps_count; i++) {
		const struct vfui_cap *cap = &vfui_caps_table[i];

		if (cap->feature && (client->present & cap->bit) == 0)
			answer->present &= ~cap->bit;
	}
	answer->write_multiple = own->write_multiple && client->write_multiple;
	answer->sparse_mmap_fds = own->sparse_mmap_fds && client->sparse_mmap_fds;
	if ((client->present & VFUI_CAPS_MIGRATION_PGSIZE) != 0) {
		answer->migration_pgsize = client->migration_pgsize;
		answer->migration_max_bitmap_size = client->migration_max_bitmap_size;
		answer->present |= client->present & (VFUI_CAPS_MIGRATION_PGSIZE |
						      VFUI_CAPS_MIGRATION_MAX_BITMAP_SIZE);
	}
}

/* The same holds without it: a limit that is the default, or a feature that is off. */
static bool is_idle(const struct vfui_caps *caps, const struct vfui_cap *cap)
{
	uint64_t value = vfui_json_value(caps, cap);

	return cap->feature ? cap->type == VFUI_CAP_BOOL && value == 0 : value == cap->dflt;
}

/* Leaves out the last key that says nothing; once there is none, the keys that may go first. */
static bool leave_out(struct vfui_caps *answer)
{
	uint32_t before = answer->present, bits = 0;
	unsigned first = UINT8_MAX;

	for (size_t i = vfui_caps_count; i-- > 0;) {
		const struct vfui_cap *cap = &vfui_caps_table[i];

		if ((before & cap->bit) == 0)
			continue;
		if (is_idle(answer, cap)) {
			bits = cap->bit;
			break;
		}
		if (cap->drop == 0 || cap->drop > first)
			continue;
		bits = cap->drop < first ? cap->bit : bits | cap->bit;
		first = cap->drop;
	}
	answer->present &= ~bits;
	return bits != 0;
}

/* Features whose key did not make it into the answer are off. */
static void forget_dropped(struct vfui_caps *answer)
{
	if ((answer->present & VFUI_CAPS_WRITE_MULTIPLE) == 0)
		answer->write_multiple = false;
	if ((answer->present & VFUI_CAPS_SPARSE_MMAP_FDS) == 0)
		answer->sparse_mmap_fds = false;
}

/* Writes the answer, without some keys if it would not fit into room, as far as that helps (E17). */
static int build_answer(struct vfui_caps *answer, size_t room, char *text)
{
	int r;

	do {
		r = vfui_json_build(answer, false, text, TEXT_MAX);
	} while (r > 0 && (size_t)r > room && leave_out(answer));
	forget_dropped(answer);
	return r;
}

static uint16_t choose_minor(const struct vfui_conn *conn, uint16_t proposed)
{
	if (vfui_conn_policy(conn)->minor == VFUI_MINOR_ZERO)
		return 0;
	return (uint16_t)vfui_min(proposed, MINOR_OWN);
}

static int answer_version(struct vfui_conn *conn, const struct vfui_msg *request,
			  const struct vfui_caps *own, const struct vfui_caps *client,
			  uint16_t *minor, struct vfui_caps *answer)
{
	struct vfu_wire_version_reply out = {.major = 0};
	struct vfu_wire_version_request in;
	size_t size = vfui_max(sizeof(request->hdr) + request->len, REPLY_MIN);
	char text[TEXT_MAX];
	struct iovec iov[2] = {{&out, sizeof(out)}, {text, 0}};
	int r;

	memcpy(&in, request->payload, sizeof(in));
	out.minor = *minor = choose_minor(conn, in.minor);
	choose_answer(own, client, answer);
	r = build_answer(answer, size - sizeof(request->hdr) - sizeof(out), text);
	if (r < 0)
		return r;
	iov[1].iov_len = (size_t)r;
	return vfui_conn_reply(conn, &request->hdr, 0, iov, 2, NULL, 0);
}

int vfui_negotiate_server(struct vfui_conn *conn, struct vfui_msg *request,
			  const struct vfui_caps *own, struct vfui_caps *agreed, uint16_t *minor,
			  struct vfu_err *err)
{
	const size_t fixed = sizeof(struct vfu_wire_version_request);
	struct vfu_err own_err = {0};
	struct vfu_err *e = err != NULL ? err : &own_err;
	struct vfui_caps answer;
	int r = vfui_conn_check(conn, request, e);

	if (r == 0)
		r = vfui_json_parse(request->payload + fixed, request->len - fixed, true, agreed,
				    e);
	if (r == 0) {
		r = answer_version(conn, request, own, agreed, minor, &answer);
		if (r < 0)
			return vfui_err_set(e, r, NULL, 0, "VERSION cannot be answered");
	}
	if (r < 0) {
		vfui_conn_count_violation(conn);
		vfui_conn_reply(conn, &request->hdr, r, NULL, 0, NULL, 0);
		return r;
	}
	intersect(&answer, agreed);
	set_limits(vfui_conn_limits(conn), own, agreed, *minor);
	set_limits(vfui_conn_peer_limits(conn), agreed, agreed, *minor);
	return 0;
}
