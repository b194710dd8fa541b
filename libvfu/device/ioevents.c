/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * ioevents.c - writes of the client that come as signals of eventfds (GET_REGION_IO_FDS).
 *
 *	guest --write--> KVM --signal--> eventfd --> events.c --> the device's function
 *	client --REGION_WRITE--> the region's handlers, as ever
 *
 * A doorbell whose value is known, or does not matter, needs no message: the client asks which places have
 * an eventfd and has KVM signal it. Several places may share one. Each client gets eventfds of its own, made when it asks:
 * what one that is gone has kept must not ring the next one's bells. Who takes fewer descriptors in a message than
 * there are (max_msg_fds) is told of as many as it takes, and writes to the other places by message.
 */
#include "device/ioevents.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/eventfd.h"
#include "base/os.h"
#include "base/util.h"
#include "parts-region.h"

/* The text's layout of an entry (E3). */
enum { STRIDE = sizeof(struct vfu_wire_io_fd) };

static void part(struct vfui_ioevents *ioevents, struct vfui_ioevent *one)
{
	if (one->fd >= 0)
		vfui_events_remove(ioevents->events, one->fd);
	vfui_os_close(one->fd);
	one->fd = -1;
}

void vfui_ioevents_disconnect(struct vfui_ioevents *ioevents)
{
	for (unsigned i = 0; i < ioevents->n; i++)
		part(ioevents, &ioevents->list[i]);
}

void vfui_ioevents_fini(struct vfui_ioevents *ioevents)
{
	vfui_ioevents_disconnect(ioevents);
	for (unsigned i = 0; i < ioevents->n; i++)
		vfui_os_free(ioevents->list[i].places);
	vfui_os_free(ioevents->list);
	*ioevents = (struct vfui_ioevents){.events = ioevents->events};
}

/* ---- what may be declared ---- */

static int check_place(const struct vfu_ioevent_place *place, uint64_t size, struct vfu_err *err)
{
	const uint32_t known = VFU_IOEVENT_MATCH | VFU_IOEVENT_PIO;

	if (place->flags & ~known)
		return vfui_err_set(err, -EINVAL, "ioevent.flags", 0, "unknown flags 0x%x",
				    place->flags & ~known);
	if (place->size > 8 || place->size & (place->size - 1))
		return vfui_err_set(err, -EINVAL, "ioevent.size", 0,
				    "%u: writes have 1, 2, 4 or 8 bytes, or 0: any number",
				    place->size);
	if (!place->size && place->flags & VFU_IOEVENT_MATCH)
		return vfui_err_set(err, -EINVAL, "ioevent.size", 0, "a value to match has a size");
	if (!vfui_is_inside(place->offset, vfui_max(place->size, 1), size))
		return vfui_err_set(err, -EINVAL, "ioevent.offset", 0, "outside of the region");
	return 0;
}

int vfui_ioevents_add(struct vfui_ioevents *ioevents, uint64_t size,
		      const struct vfu_ioevent_place *places, unsigned n, vfu_ioevent_fn *fn,
		      void *user, struct vfu_err *err)
{
	struct vfui_ioevent one = {.nplaces = n, .fn = fn, .user = user, .fd = -1}, *list;
	int rc = 0;

	if (!n || !fn || n > VFUI_IOEVENT_PLACES_MAX - ioevents->nplaces)
		return vfui_err_set(err, -EINVAL, "ioevent.places", 0,
				    "a function and 1 place or more, at most %d in a region",
				    VFUI_IOEVENT_PLACES_MAX);
	for (unsigned i = 0; i < n && !rc; i++)
		rc = check_place(&places[i], size, err);
	if (rc)
		return rc;
	list = vfui_os_realloc(ioevents->list, (ioevents->n + (size_t)1) * sizeof(*list));
	if (list)
		ioevents->list = list;
	one.places = list ? vfui_os_malloc(n * sizeof(*places)) : NULL;
	if (!one.places)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for an event");
	memcpy(one.places, places, n * sizeof(*places));
	list[ioevents->n++] = one;
	ioevents->nplaces += n;
	return 0;
}

/* ---- signals ---- */

void vfui_ioevents_signalled(const struct vfui_ioevents *ioevents, uint64_t key)
{
	uint32_t i = (uint32_t)key;

	/* What was done about another of the same look may have taken it away. */
	if (i >= ioevents->n || ioevents->list[i].fd < 0)
		return;
	vfui_eventfd_drain(ioevents->list[i].fd);
	ioevents->list[i].fn(ioevents->list[i].user);
}

/* epoll looks at the counter again before it tells. */
void vfui_ioevents_reset(const struct vfui_ioevents *ioevents)
{
	for (unsigned i = 0; i < ioevents->n; i++)
		if (ioevents->list[i].fd >= 0)
			vfui_eventfd_drain(ioevents->list[i].fd);
}

/* ---- the answer ---- */

static int open_one(struct vfui_ioevents *ioevents, unsigned index, unsigned i)
{
	struct vfui_ioevent *one = &ioevents->list[i];
	int rc;

	if (one->fd >= 0)
		return 0;
	one->fd = vfui_os_eventfd();
	if (one->fd < 0)
		return one->fd;
	rc = vfui_events_add(ioevents->events, one->fd,
			     VFUI_IOEVENT_KEY | (uint64_t)index << 32 | i);
	if (rc < 0) {
		vfui_os_close(one->fd);
		one->fd = -1;
	}
	return rc;
}

/* Of the first nfds events. Returns how long it is, whatever the room. */
static size_t build(const struct vfui_ioevents *ioevents, unsigned index, unsigned nfds, void *buf,
		    size_t room)
{
	const struct vfu_wire_get_region_io_fds_reply head = {.index = index};
	struct vfu_wire_builder b;

	vfu_wire_get_region_io_fds_reply_build(&b, buf, room, &head);
	for (unsigned i = 0; i < nfds; i++) {
		for (unsigned p = 0; p < ioevents->list[i].nplaces; p++) {
			const struct vfu_ioevent_place *place = &ioevents->list[i].places[p];
			const struct vfu_wire_io_fd entry = {.offset = place->offset,
							     .size = place->size,
							     .fd_index = i,
							     .flags = place->flags,
							     .datamatch = place->datamatch};

			vfu_wire_get_region_io_fds_reply_sub_regions_add_ioeventfd(&b, STRIDE,
										   &entry);
		}
	}
	return b.len;
}

/* E5: a client without room is told how much it takes, and gets no descriptors. */
static int shorten(struct vfui_io_fds *out)
{
	struct vfu_wire_get_region_io_fds_reply head;

	memcpy(&head, out->payload, sizeof(head));
	head.count = 0;
	memcpy(out->payload, &head, sizeof(head));
	out->len = sizeof(head);
	out->nfds = 0;
	return 0;
}

int vfui_ioevents_reply(struct vfui_ioevents *ioevents, unsigned index, uint32_t in_argsz,
			unsigned max_fds, struct vfui_io_fds *out)
{
	unsigned nfds = (unsigned)vfui_min(ioevents->n, max_fds);
	int rc = 0;

	*out = (struct vfui_io_fds){.len = build(ioevents, index, nfds, NULL, 0), .nfds = nfds};
	out->payload = vfui_os_malloc(out->len);
	out->fds = vfui_os_malloc((nfds + (size_t)1) * sizeof(*out->fds));
	if (!out->payload || !out->fds)
		rc = -ENOMEM;
	if (!rc)
		build(ioevents, index, nfds, out->payload, out->len);
	if (!rc && in_argsz < out->len)
		return shorten(out);
	for (unsigned i = 0; i < nfds && !rc; i++) {
		rc = open_one(ioevents, index, i);
		out->fds[i] = ioevents->list[i].fd;
	}
	if (rc) {
		vfui_os_free(out->payload);
		vfui_os_free(out->fds);
	}
	return rc;
}
