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
 *
 * Two more kinds of entries are listed, and that is all: of an ioregionfd, whose accesses come as messages of the
 * kernel's on a file of the device's, and of a shadow ioeventfd, where the value written is stored in memory first (E4).
 */
#include "device/ioevents.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/eventfd.h"
#include "base/os.h"
#include "base/util.h"
#include "parts-region.h"

/* Layouts of an entry: the text's, and libvfio-user's, which has room for a shadow (E3). */
enum { STRIDE = sizeof(struct vfu_wire_io_fd), STRIDE_LONG = sizeof(struct vfu_wire_io_fd_shadow) };

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
	for (unsigned i = 0; i < ioevents->n; i++) {
		vfui_os_free(ioevents->list[i].places);
		vfui_os_close(ioevents->list[i].file);
	}
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
	if (place->flags & VFU_IOEVENT_MATCH && place->size < 8 &&
	    place->datamatch >> 8 * place->size)
		return vfui_err_set(err, -EINVAL, "ioevent.datamatch", 0,
				    "0x%llx is no value of %u bytes",
				    (unsigned long long)place->datamatch, place->size);
	if (!vfui_is_inside(place->offset, vfui_max(place->size, 1), size))
		return vfui_err_set(err, -EINVAL, "ioevent.offset", 0,
				    "%u bytes at 0x%llx are outside of the region", place->size,
				    (unsigned long long)place->offset);
	return 0;
}

static int check_ioregion(const struct vfui_ioevent *one, uint64_t size, struct vfu_err *err)
{
	const uint32_t known = VFU_IOREGION_PIO | VFU_IOREGION_POSTED_WRITES;

	if (one->places->flags & ~known)
		return vfui_err_set(err, -EINVAL, "ioregion.flags", 0, "unknown flags 0x%x",
				    one->places->flags & ~known);
	if (!one->size || !vfui_is_inside(one->places->offset, one->size, size))
		return vfui_err_set(err, -EINVAL, "ioregion.offset", 0, "outside of the region");
	return 0;
}

/* What is written is stored there, all of it. */
static int check_shadow(const struct vfui_ioevent *one, struct vfu_err *err)
{
	struct stat st;
	int rc = vfui_os_fstat(one->file, &st);

	if (rc < 0)
		return vfui_err_set(err, rc, "shadow.fd", 0, "no such descriptor");
	if (!one->places->size)
		return vfui_err_set(err, -EINVAL, "ioevent.size", 0,
				    "a value that is stored has a size");
	if (!S_ISREG(st.st_mode) ||
	    !vfui_is_inside(one->shadow, one->places->size, (uint64_t)st.st_size))
		return vfui_err_set(err, -EINVAL, "shadow.offset", 0,
				    "not a file that has room for the value there");
	return 0;
}

static int check(const struct vfui_ioevents *ioevents, uint64_t size,
		 const struct vfui_ioevent *one, struct vfu_err *err)
{
	bool is_ioregion = one->type == VFU_WIRE_IO_FD_TYPE_IOREGIONFD;
	int rc = 0;

	if (!one->nplaces || one->nplaces > VFUI_IOEVENT_PLACES_MAX - ioevents->nplaces ||
	    (!one->fn && !is_ioregion))
		return vfui_err_set(err, -EINVAL, "ioevent.places", 0,
				    "a function and 1 place or more, at most %d in a region",
				    VFUI_IOEVENT_PLACES_MAX);
	if (is_ioregion)
		return check_ioregion(one, size, err);
	for (unsigned i = 0; i < one->nplaces && !rc; i++)
		rc = check_place(&one->places[i], size, err);
	if (!rc && one->type == VFU_WIRE_IO_FD_TYPE_SHADOW)
		rc = check_shadow(one, err);
	return rc;
}

/* Its places and its file become copies; negative errno: it has neither. */
static int copy(struct vfui_ioevent *one)
{
	size_t len = one->nplaces * sizeof(*one->places);
	struct vfu_ioevent_place *places = vfui_os_malloc(len);
	int file = one->type == VFU_WIRE_IO_FD_TYPE_IOEVENTFD ? -1 : vfui_os_dup(one->file);

	if (places && (file >= 0 || one->type == VFU_WIRE_IO_FD_TYPE_IOEVENTFD)) {
		one->places = memcpy(places, one->places, len);
		one->file = file;
		one->fd = -1;
		return 0;
	}
	vfui_os_free(places);
	vfui_os_close(file);
	return places ? file : -ENOMEM;
}

int vfui_ioevents_add(struct vfui_ioevents *ioevents, uint64_t size, const struct vfui_ioevent *one,
		      struct vfu_err *err)
{
	struct vfui_ioevent mine = *one, *list;
	int rc = check(ioevents, size, one, err);

	if (rc)
		return rc;
	list = vfui_os_realloc(ioevents->list, (ioevents->n + (size_t)1) * sizeof(*list));
	if (list)
		ioevents->list = list;
	rc = list ? copy(&mine) : -ENOMEM;
	if (rc)
		return vfui_err_set(err, rc, "ioevent.fd", 0, "no copy of it: %s", strerror(-rc));
	list[ioevents->n++] = mine;
	ioevents->nplaces += mine.nplaces;
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

/* Descriptors that go with it; 0: the layout has no room for it (E4). */
static unsigned fds_of(const struct vfui_ioevent *one, bool is_long)
{
	if (one->type == VFU_WIRE_IO_FD_TYPE_SHADOW)
		return is_long ? 2 : 0;
	return 1;
}

/* Notes which a client is told of: the first ones whose descriptors go into a message. Returns how many those are. */
static unsigned choose(struct vfui_ioevents *ioevents, unsigned max_fds, bool is_long)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ioevents->n; i++) {
		unsigned more = fds_of(&ioevents->list[i], is_long);

		if (n + more > max_fds)
			max_fds = 0;
		ioevents->list[i].is_told = more && max_fds;
		n += max_fds ? more : 0;
	}
	return n;
}

static int open_one(struct vfui_ioevents *ioevents, unsigned index, unsigned i)
{
	struct vfui_ioevent *one = &ioevents->list[i];
	int rc;

	if (one->fd >= 0 || one->type == VFU_WIRE_IO_FD_TYPE_IOREGIONFD)
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

/* One entry, whose descriptors are from fd_index on. */
static void add_entry(struct vfu_wire_builder *b, const struct vfui_ioevent *one,
		      const struct vfu_ioevent_place *place, unsigned fd_index, bool is_long)
{
	const struct vfu_wire_io_fd entry = {
		.offset = place->offset,
		.size = one->type == VFU_WIRE_IO_FD_TYPE_IOREGIONFD ? one->size : place->size,
		.fd_index = fd_index,
		.flags = place->flags,
		.datamatch = place->datamatch};
	const struct vfu_wire_io_fd_shadow with_shadow = {.gpa_offset = entry.offset,
							  .size = entry.size,
							  .fd_index = fd_index,
							  .flags = entry.flags,
							  .shadow_mem_fd_index = fd_index + 1,
							  .shadow_offset = one->shadow,
							  .datamatch = entry.datamatch};
	struct vfu_wire_io_fd_shadow plain = with_shadow;

	plain.shadow_mem_fd_index = 0;
	if (one->type == VFU_WIRE_IO_FD_TYPE_SHADOW)
		vfu_wire_get_region_io_fds_reply_sub_regions_add_shadow(b, STRIDE_LONG,
									&with_shadow);
	else if (one->type == VFU_WIRE_IO_FD_TYPE_IOREGIONFD)
		vfu_wire_get_region_io_fds_reply_sub_regions_add_ioregionfd(
			b, is_long ? STRIDE_LONG : STRIDE, &entry);
	else if (is_long)
		vfu_wire_get_region_io_fds_reply_sub_regions_add_ioeventfd_long(b, STRIDE_LONG,
										&plain);
	else
		vfu_wire_get_region_io_fds_reply_sub_regions_add_ioeventfd(b, STRIDE, &entry);
}

/* Of those that are told. Returns how long it is, whatever the room. */
static size_t build(const struct vfui_ioevents *ioevents, unsigned index, bool is_long, void *buf,
		    size_t room)
{
	const struct vfu_wire_get_region_io_fds_reply head = {.index = index};
	struct vfu_wire_builder b;
	unsigned fd_index = 0;

	vfu_wire_get_region_io_fds_reply_build(&b, buf, room, &head);
	for (unsigned i = 0; i < ioevents->n; i++) {
		const struct vfui_ioevent *one = &ioevents->list[i];

		for (unsigned p = 0; one->is_told && p < one->nplaces; p++)
			add_entry(&b, one, &one->places[p], fd_index, is_long);
		fd_index += one->is_told ? fds_of(one, is_long) : 0;
	}
	return b.len;
}

/* The descriptors of those that are told. */
static int open_told(struct vfui_ioevents *ioevents, unsigned index, int *fds)
{
	int rc = 0;

	for (unsigned i = 0; i < ioevents->n && !rc; i++) {
		const struct vfui_ioevent *one = &ioevents->list[i];

		if (!one->is_told)
			continue;
		rc = open_one(ioevents, index, i);
		if (one->type != VFU_WIRE_IO_FD_TYPE_IOREGIONFD)
			*fds++ = one->fd;
		if (one->type != VFU_WIRE_IO_FD_TYPE_IOEVENTFD)
			*fds++ = one->file;
	}
	return rc;
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
			unsigned max_fds, bool is_long, struct vfui_io_fds *out)
{
	unsigned nfds = choose(ioevents, max_fds, is_long);
	int rc = 0;

	*out = (struct vfui_io_fds){.len = build(ioevents, index, is_long, NULL, 0), .nfds = nfds};
	out->payload = vfui_os_malloc(out->len);
	out->fds = vfui_os_malloc((nfds + (size_t)1) * sizeof(*out->fds));
	if (!out->payload || !out->fds)
		rc = -ENOMEM;
	if (!rc)
		build(ioevents, index, is_long, out->payload, out->len);
	if (!rc && in_argsz < out->len)
		return shorten(out);
	if (!rc)
		rc = open_told(ioevents, index, out->fds);
	if (rc) {
		vfui_os_free(out->payload);
		vfui_os_free(out->fds);
	}
	return rc;
}
