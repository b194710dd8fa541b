/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * ioevents.h - writes of the client that come as signals of eventfds (GET_REGION_IO_FDS). Owner only.
 */
#ifndef VFUI_IOEVENTS_H
#define VFUI_IOEVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/events.h"
#include "vfu.h"

/* One eventfd, and the writes that it stands for; or a file that takes accesses. */
struct vfui_ioevent {
	struct vfu_ioevent_place *places;
	unsigned nplaces;
	vfu_ioevent_fn *fn;
	void *user;
	uint32_t type;   /* enum io_fd_type of the protocol */
	int fd;          /* the eventfd; -1: the client that there is has not asked for it */
	int file;        /* of an ioregionfd, or the memory of a shadow one: ours; -1: none */
	uint64_t size;   /* of an ioregionfd */
	uint64_t shadow; /* where in the file a shadow one has its value */
	bool is_told;    /* to the client whose answer is being built */
};

/* Those of one region. */
struct vfui_ioevents {
	struct vfui_ioevent *list;
	unsigned n, nplaces;
	struct vfui_events *events; /* that watch them, once a client has asked */
};

/* The most places of a region: an answer has room for 1,637. */
#define VFUI_IOEVENT_PLACES_MAX 1024

/* A key of vfui_events_take is of these, and of which region. */
#define VFUI_IOEVENT_KEY (UINT64_C(1) << 63)
static inline unsigned vfui_ioevent_region(uint64_t key)
{
	return (unsigned)(key >> 32) & 0xffff;
}

void vfui_ioevents_fini(struct vfui_ioevents *ioevents);
/* The client is gone: what it signals from now on is nobody's. */
void vfui_ioevents_disconnect(struct vfui_ioevents *ioevents);
/* The device was reset: what was signalled before and not heard is not heard any more. */
void vfui_ioevents_reset(const struct vfui_ioevents *ioevents);
/* The body of vfu_device_add_ioevent and its like: makes a copy of one, its file and its places. size: of the region. */
int vfui_ioevents_add(struct vfui_ioevents *ioevents, uint64_t size, const struct vfui_ioevent *one,
		      struct vfu_err *err);
/* The client has signalled one of them. */
void vfui_ioevents_signalled(const struct vfui_ioevents *ioevents, uint64_t key);

/* A GET_REGION_IO_FDS reply. */
struct vfui_io_fds {
	void *payload; /* free with vfui_os_free */
	size_t len;
	int *fds; /* free with vfui_os_free; they themselves are borrowed */
	unsigned nfds;
};

/* in_argsz: room of the client; max_fds: what it takes in a message; is_long: layout of entries (E3). 0 or negative errno. */
int vfui_ioevents_reply(struct vfui_ioevents *ioevents, unsigned index, uint32_t in_argsz,
			unsigned max_fds, bool is_long, struct vfui_io_fds *out);

#endif
