/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * vfu.h - the public interface of libvfu: vfio-user devices (servers) and their clients.
 *
 * Results: 0 or a count, or a negative errno. Detail (which field, which rule) is in the struct
 * vfu_err of the handle. Units: bytes, unless a name says otherwise. Addresses of guest memory
 * (IOVA) are uint64_t. Threads: each function says who may call it. "Owner" is the one thread that
 * runs a server's process or run calls; before a server runs, it is whoever set the device up.
 * Callbacks of a device run on the owner, and never with a lock of the library held:
 * doc/explanation/callbacks.md says what they may do, and a client's. File descriptors: a
 * function that says "takes" owns the descriptor from the call on, also when it fails; else the
 * caller keeps it. free and close functions accept NULL. After fork() the child may only free its
 * copies, which closes their descriptors and runs no callback (what other threads were changing at
 * the fork is left as it was): all else does nothing and answers -EOWNERDEAD, NULL or 0. A child
 * that is to serve makes a device and a server of its own. (E52) and the like are places where the
 * protocol's text leaves a choice, or is wrong: `vfu explain E52` and doc/gen/errata.rst say what
 * is done there.
 */
#ifndef VFU_H
#define VFU_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- common */

/* Version of the library, "MAJOR.MINOR.PATCH". Any thread. */
const char *vfu_version(void);

/* What went wrong last on a handle. code is the negative errno; field and offset name the offending
 * wire field, if one did. */
struct vfu_err {
	int code;
	char field[64];  /* "dma_map.size"; empty when no field is at fault */
	uint32_t offset; /* of the field in its payload */
	char text[192];  /* one sentence, for people */
};

/*
 * Errors of every call. Each says its own; beside those, calls that talk with the other side fail
 * with
 *
 *	- -ENOTCONN: there is no connection, or it has ended meanwhile
 *	- -EPROTO: the other side broke a rule of the protocol, which ended the connection
 *	- -ETIMEDOUT: no answer in VFU_OPT_TIMEOUT_MS, but what was asked for may be done
 *	- -EINTR: the function of vfu_client_set_interrupt said so, or a server is to stop
 *	- -EDEADLK: a wait in a function that serves DMA, which nothing could end
 *	- -ENOBUFS: a queue is full, and the call is one that does not wait
 *	- -ESTALE: connected again, and the device is another one (VFU_OPT_RECONNECT_MS)
 *	- -EOWNERDEAD: in a child after fork()
 *	- -ENOMEM, -EINVAL, -EBADF
 *
 * and with the errno that the other side answers; -EIO, if it says none.
 */

enum vfu_log_level {
	VFU_LOG_ERROR,
	VFU_LOG_WARN,
	VFU_LOG_INFO,
	VFU_LOG_DEBUG, /* messages with their fields, where VFU_OPT_TRACE asks for them */
	VFU_LOG_TRACE  /* and their bytes */
};

/* Receives log lines (no newline). Runs on whichever thread logs. Handles are silent until one is
 * set. */
typedef void vfu_log_fn(void *user, enum vfu_log_level level, const char *text);

/* Options of a client or a server; set them before connecting or listening. All are non-negative
 * integers. doc/reference/limits.md has all limits of a connection, and what happens at each. */
enum vfu_option {
	VFU_OPT_TIMEOUT_MS,         /* how long a request waits for its reply, and a server for
				       VERSION; 0: for ever (5000) */
	VFU_OPT_MAX_MSG_FDS,        /* descriptors per message: the capability max_msg_fds, 1..64
				       (16); what does not fit is in
				       doc/explanation/a-connection.md */
	VFU_OPT_MAX_DATA_XFER_SIZE, /* largest count in one message, 4096..16 MiB (1 MiB) */
	VFU_OPT_MAX_DMA_MAPS,       /* live DMA ranges, 1..65535 (65535) */
	VFU_OPT_QUEUE_BYTES,    /* what a peer can make us keep, 64 KiB..1 GiB (4 MiB): bytes to be
				   sent; and, on a server, requests held back, requests answered
				   later and message DMA: at the limit it reads no more and DMA is
				   -ENOBUFS, at half of it in requests answered later none starts */
	VFU_OPT_DMA_WINDOW,     /* server: message DMA requests in flight, 1..1024 (16) */
	VFU_OPT_DMA_READ_BYTES, /* server: DMA_READ data in flight, 4096..16 MiB (128 KiB, E61) */
	VFU_OPT_BUSY_POLL_US,   /* poll the socket this long before sleeping, 0..1000 (0) */
	VFU_OPT_POSTED, /* client: region writes may be posted with vfu_client_region_post, 0 or 1
			   (1) */
	VFU_OPT_WRITE_MULTIPLE, /* propose or accept REGION_WRITE_MULTI, 0 or 1 (1) */
	VFU_OPT_TRACE,          /* 1: log each message with its fields at VFU_LOG_DEBUG; 2: and its
				   first 256 bytes at VFU_LOG_TRACE, as hexadecimal; 0..2 (0) */
	VFU_OPT_BUS_MASTER,     /* client: turn bus mastering on before DMA and message interrupts
				   are used first, 0 or 1 (1); 0 for who passes a guest's
				   configuration space on */
	VFU_OPT_ONE_CLIENT, /* server: takes no other client once it has agreed on a version with one,
				   and so has nobody left when that one has gone, 0 or 1 (0) */
	VFU_OPT_DMA_BOUNCE_BYTES, /* server: buffers of pins that are not mapped, all told, 0..1 GiB
				     (16 MiB); a pin to read and write takes twice its length */
	VFU_OPT_SOCKET_MODE, /* server: permissions of the socket file, 1..0777; a client needs the right
				     to write. It has them before anybody can connect. 0: what the umask
				     leaves (0). Where the umask takes some of them /proc is needed:
				     -EOPNOTSUPP */
	VFU_OPT_CONNECT_WAIT_MS, /* client: how long vfu_client_connect tries again while there is no
				    server that takes it; 0: not at all (0) */
	VFU_OPT_DMA_SHARE, /* client: the files behind DMA ranges go to the device, 0 or 1 (1). 0: it
				reaches all memory by messages, and what it may do holds for each */
	VFU_OPT_TWIN_SOCKET, /* a second socket, for the server's commands alone (DMA_READ, DMA_WRITE) and
				their replies: propose it (client, 0), or grant it to who does (server,
				1); 0 or 1. See below */
	VFU_OPT_MAPPED, /* client: accesses inside of what can be mapped of a region are made in its
			   memory, not by message, where vfu_sigbus_guard was called (without it a
			   warning is logged): see vfu_client_region_read, 0 or 1 (0) */
	VFU_OPT_IOEVENTS, /* client: writes that an eventfd of the device stands for signal that, and
			     are no messages: see vfu_client_region_write, 0 or 1 (0) */
	VFU_OPT_MAX_REQUESTS, /* client: requests that wait for an answer at once, 1..32768 (32768); at the
				 limit calls wait for a place, and what calls a function at its end
				 is -ENOBUFS, as with a full queue (VFU_OPT_QUEUE_BYTES) */
	VFU_OPT_RECONNECT_MS, /* client: how long it tries to connect again when a connection that it made to an
				 address has ended (vfu_client_set_link); 0: not at all (0) */
	VFU_OPTIONS
};

/*
 * Capabilities are what both sides say in VERSION, by their names there: "max_msg_fds",
 * "migration.pgsize". The reference (doc/gen/protocol.rst) has all of them, their ranges, and how
 * the values of two sides combine. vfu_client_set_capability and vfu_server_set_capability have a
 * side say a value in its next connection; a bool is 0 or 1, and one that is what it is by default
 * anyway is not said. -ENOENT: there is no such capability; -EINVAL: out of range, or not for this
 * side's user to say; nothing changes, and vfu_client_err or vfu_server_err names the rule.
 * VFU_OPT_MAX_MSG_FDS, _MAX_DATA_XFER_SIZE, _MAX_DMA_MAPS and _WRITE_MULTIPLE are other names for
 * the capabilities called so, VFU_OPT_TWIN_SOCKET for "twin_socket.supported".
 *
 * vfu_client_agreed and vfu_server_agreed tell what holds in the present connection: the smaller of
 * both values, whether both are true, and of what each side has its own (max_msg_fds,
 * max_data_xfer_size, pgsizes) the peer's, or the most that this library keeps to. -ENOENT;
 * -ENOTCONN: nothing is agreed yet, or any more.
 */

/*
 * Twin socket. By one socket the commands of both sides cross: one that reads it must be ready for
 * either. A client that proposes a twin socket (VFU_OPT_TWIN_SOCKET), to a server that grants it,
 * gets the server's commands by a second one, which comes as a descriptor with VERSION:
 *
 *	client                  main                  server
 *	   requests  ---------------------------------->
 *	             <----------------------------------  their replies
 *	                        twin
 *	             <----------------------------------  DMA_READ, DMA_WRITE
 *	   replies   ---------------------------------->
 *
 * All else is as with one: every call that waits serves both, pollfds names both, timeout knows of
 * both, process handles both, the limits are those of the connection. The end of either ends it,
 * and the first reason is kept. A command that comes by the wrong socket is refused as one of the
 * wrong direction is (-ENOSYS, E24), a reply there is one to nothing. Where there is none, for the
 * server does not know it, has no descriptors left or was told not to (VFU_OPT_TWIN_SOCKET 0), one
 * socket serves as ever: vfu_client_agreed "twin_socket.supported" says. One that is granted and is
 * not there, is no connected stream socket or is one of the main one's two ends, ends the
 * connection: -EPROTO.
 *
 * Order is kept on each of them, not between them. What is promised all the same: a server answers
 * DMA_UNMAP, RESET and a reset by configuration space only when what it had sent before is
 * answered, or its time is up (VFU_OPT_TIMEOUT_MS of the server), so that no DMA is done in a
 * range, or after a reset, whose end the client has read. A client serves a range until it has read
 * the answer to its unmap, with any server, and what comes later is -EFAULT. It serves what lies in
 * the twin socket before what lies in the main one. But that an access was answered does not say
 * that DMA which the device started before has arrived: an interrupt that is raised when it is
 * answered does (vfu_irq_raise_after). A device that stops for another reason, say a feature that
 * is set, waits for its DMA itself.
 */

/*
 * Counters of one endpoint, over all its connections.
 *
 * drops: requests that failed and wanted no answer (No_reply; so of a server the posted writes that
 * failed, E27), requests refused for their header alone (no such command, the wrong direction, odd
 * flags), and replies to nothing. late_replies: replies to requests whose time was up. violations:
 * what ended a connection because it broke a rule, a VERSION that was refused among it. Any other
 * request that is answered with an error counts in none of them.
 */
struct vfu_stats {
	uint64_t requests_in, requests_out, replies_in, replies_out;
	uint64_t bytes_in, bytes_out, batches; /* batches: system calls that sent some */
	uint64_t drops, late_replies, violations;
};

/* Fixed indices, as in linux/vfio.h. */
enum {
	VFU_REGION_BAR0,
	VFU_REGION_BAR5 = 5,
	VFU_REGION_ROM,
	VFU_REGION_CONFIG,
	VFU_REGION_VGA,
	VFU_REGIONS,           /* PCI's; regions of the device's own come from here on */
	VFU_REGIONS_MAX = 100, /* and are below this: QEMU takes no device that has more */
};
enum { VFU_IRQ_INTX, VFU_IRQ_MSI, VFU_IRQ_MSIX, VFU_IRQ_ERR, VFU_IRQ_REQ, VFU_IRQS };

enum { VFU_REGION_READ = 1, VFU_REGION_WRITE = 2, VFU_REGION_MMAP = 4 };
/* Of a device's own region, and not for clients to know: see struct vfu_region. */
enum { VFU_REGION_UNCLEARED = 0x10000 };
enum { VFU_IRQ_EVENTFD = 1, VFU_IRQ_MASKABLE = 2, VFU_IRQ_AUTOMASKED = 4, VFU_IRQ_NORESIZE = 8 };
enum { VFU_DMA_READ = 1, VFU_DMA_WRITE = 2 }; /* what the device may do with a range */

/* A range inside a region or a file. */
struct vfu_area {
	uint64_t offset, size;
};
/* The file behind one. */
struct vfu_area_file {
	int fd;
	uint64_t offset; /* where the area starts in it, a multiple of the page size */
};

/*
 * ---- memory that can vanish
 *
 * Memory mapped from a file ends where the file does, and whoever has the file may cut it: a client
 * what it gave for DMA, a server what is behind a BAR, each the other's copy. A full filesystem
 * does the same to a file with holes. Whoever then touches the memory gets SIGBUS, and dies.
 *
 * With the guard on, an instruction that touches watched memory which is gone goes on with zeroed
 * memory in its place, all of the watched range is lost, and the library's call in which that
 * happened and all later ones on that range answer -EFAULT; the log says so once. The library
 * watches what it maps itself: DMA ranges (and so pins), regions with a file, and while it is
 * mapped for DMA with a descriptor the host memory of a client. What you map yourself you watch
 * yourself:
 *
 *	vfu_sigbus_guard();		// once, early in main()
 *	...
 *	addr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, info.fd, info.offset);
 *	watch = vfu_watch_new(addr, size);
 *	value = *(volatile uint32_t *)addr;
 *	if (vfu_watch_is_lost(watch))
 *		...			// value means nothing, nor does what is read from now on
 *	vfu_watch_free(watch);		// before the memory is unmapped
 *	munmap(addr, size);
 */

/*
 * Turns the guard on, for the process and for good; again: nothing. A SIGBUS that is not about
 * watched memory goes to the handler that was there before; one set later should pass on what it
 * does not know. Threads that block SIGBUS are not guarded. 0 or negative errno. Any thread.
 */
int vfu_sigbus_guard(void);

/* Memory that is watched, whole pages, whether the guard is on or not. Ranges may overlap. */
struct vfu_watch;
/* Watches len bytes from addr on. NULL: out of memory, or len is 0. Any thread. */
struct vfu_watch *vfu_watch_new(void *addr, size_t len);
/* Ends it: before the memory is unmapped, when nobody uses it any more. Any thread. */
void vfu_watch_free(struct vfu_watch *watch);
/* True: part of the range was gone when it was touched, and all of it was replaced. Any thread, and
 * async-signal-safe. */
bool vfu_watch_is_lost(const struct vfu_watch *watch);

/* ---- device: state that outlives connections */

struct vfu_device;
struct vfu_request; /* a request of the client that is not answered yet */

/* Device with no regions and no interrupts, PCI ids 0 and 256 bytes of configuration space. NULL:
 * out of memory. */
struct vfu_device *vfu_device_new(void);
/* Server first: freeing a device that a server still uses is -EBUSY and does nothing. Not in one of
 * its callbacks. */
int vfu_device_free(struct vfu_device *dev);
/* Why the last call on the device failed; code 0: none did. Owner. */
void vfu_device_err(struct vfu_device *dev, struct vfu_err *err);
/* Where the device's log, and its server's, goes; NULL: nowhere. Owner. */
void vfu_device_set_log(struct vfu_device *dev, vfu_log_fn *fn, void *user);

/* PCI identity. class_code is 24 bits: class, subclass, programming interface. Owner. */
int vfu_device_set_ids(struct vfu_device *dev, uint16_t vendor, uint16_t device, uint16_t subvendor,
		       uint16_t subdevice);
int vfu_device_set_class(struct vfu_device *dev, uint32_t class_code, uint8_t revision);
/* 256 or 4096 bytes. -EBUSY: the device has something in the upper part. Owner. */
int vfu_device_set_config_size(struct vfu_device *dev, size_t size);
/*
 * Appends a PCI capability (data: what follows id and next pointer) where there is room. Returns
 * its offset. The client can write what PCI says of power management, PCI Express and Advanced
 * Features; else nothing, unless the device has registers or a handler there
 * (vfu_device_add_register, vfu_device_set_handler with VFU_REGION_CONFIG). -ENOSPC, -EINVAL,
 * -EEXIST: the detail names field and rule. Owner.
 */
int vfu_device_add_capability(struct vfu_device *dev, uint8_t id, const void *data, size_t len);
/*
 * The same at an offset, a multiple of 4 from 0x40 on; 0: where there is room. -EEXIST: another one
 * is there. Owner.
 */
int vfu_device_add_capability_at(struct vfu_device *dev, uint8_t id, unsigned offset,
				 const void *data, size_t len);
/*
 * Appends an extended capability (data: what follows the 4 bytes of the header), at an offset from
 * 0x100 on or (0) where there is room. version: 0 to 15. Returns its offset. Configuration space
 * has 4096 bytes then. Guests of QEMU see it if the device also has a PCI Express capability.
 * Owner.
 */
int vfu_device_add_extended_capability(struct vfu_device *dev, uint16_t id, unsigned version,
				       unsigned offset, const void *data, size_t len);
/*
 * Offset of a capability by its id, the first or (after: an offset) the next one behind another;
 * -ENOENT. Owner.
 */
int vfu_device_find_capability(struct vfu_device *dev, unsigned id, unsigned after);
int vfu_device_find_extended_capability(struct vfu_device *dev, unsigned id, unsigned after);

enum { VFU_PM_D1 = 1, VFU_PM_D2 = 2, VFU_PM_NO_SOFT_RESET = 4 };
/*
 * Appends the capability of power management: states D0, D3hot and those of flags (a write of
 * another one does nothing). From D3hot to D0 the device is reset (VFU_GATE_FLR), unless it has
 * NO_SOFT_RESET. What the client does in D3hot the device serves as ever: VFU_CONFIG_POWER_STATE is
 * there for one that is to do less. Returns its offset; offset as above. Owner.
 */
int vfu_device_add_power_management(struct vfu_device *dev, unsigned flags, unsigned offset);

/* Endpoints: of PCI Express, with I/O BARs besides, inside the root complex (which has no link). */
enum { VFU_EXPRESS_ENDPOINT, VFU_EXPRESS_LEGACY, VFU_EXPRESS_INTEGRATED = 9 };
enum { VFU_EXPRESS_FLR = 1 }; /* the client may reset the function: VFU_GATE_FLR, hook reset */

/*
 * A PCI Express capability, version 2. Zeros: an endpoint with one lane of 2.5 GT/s, 128 bytes of
 * payload.
 */
struct vfu_express {
	size_t size;          /* sizeof(struct vfu_express): later versions append */
	uint32_t type, flags; /* VFU_EXPRESS_* */
	uint32_t speed;       /* of the link: 1: 2.5 GT/s, 2: 5, 3: 8, 4: 16, 5: 32, 6: 64 */
	uint32_t width;       /* lanes: 1, 2, 4, 8, 12, 16, 32 */
	uint32_t max_payload; /* bytes: a power of two, 128 to 4096 */
};
/*
 * Appends it. The link reads as running with all its lanes, fields of a slot as zeros, as an
 * endpoint has none. Returns its offset; offset as above. Owner.
 */
int vfu_device_add_express(struct vfu_device *dev, const struct vfu_express *express,
			   unsigned offset);

/* What the client has set up in configuration space: bits are 0 or 1. */
enum vfu_config_state {
	VFU_CONFIG_IO,
	VFU_CONFIG_MEMORY,
	VFU_CONFIG_BUS_MASTER,
	VFU_CONFIG_INTX_OFF,
	VFU_CONFIG_POWER_STATE, /* 0 to 3: D0 to D3hot; 0 without that capability */
	VFU_CONFIG_MSI,         /* enabled */
	VFU_CONFIG_MSI_VECTORS, /* how many of them the client uses */
	VFU_CONFIG_MSIX,
	VFU_CONFIG_MSIX_MASKED, /* all of them */
};
/*
 * The present value; the hook config_written tells when to look, and so does reset. -EINVAL: no
 * such state. Owner.
 */
int vfu_device_config_state(struct vfu_device *dev, enum vfu_config_state what);
/* Device's own view of configuration space: no side effects, read-only bits are written too.
 * -EINVAL: not all of it is inside. Owner. */
int vfu_device_config_read(struct vfu_device *dev, size_t offset, void *buf, size_t len);
int vfu_device_config_write(struct vfu_device *dev, size_t offset, const void *buf, size_t len);

/* ---- device, its regions: what the client reads and writes */

/* One access of the client. data: where to put what is read, or what was written; any alignment,
 * valid until the callback returns. */
struct vfu_access {
	uint64_t offset; /* from the start of the region */
	void *data;
	uint32_t count; /* bytes, never 0, always inside the region */
	uint32_t region;
	bool is_write;
};

/*
 * Callback results besides 0 (done) and negative errno. LATER: the answer comes later, through
 * vfu_request_done or _reply. PASS, of a vfu_command_fn of vfu_device_set_command that has neither
 * answered nor deferred: the library answers, as it does without one.
 */
enum { VFU_LATER = 1, VFU_PASS };

/*
 * Serves an access. To answer later take the request with vfu_request_defer and return VFU_LATER.
 * A failed posted write is logged and counted, never answered.
 */
typedef int vfu_access_fn(void *user, struct vfu_request *req, const struct vfu_access *access);

/* Bytes that an access may have: their sum, as 4 | 8. */
enum { VFU_WIDTH_1 = 1, VFU_WIDTH_2 = 2, VFU_WIDTH_4 = 4, VFU_WIDTH_8 = 8 };

/* BAR attributes of a region. */
enum { VFU_BAR_IO = 1, VFU_BAR_64 = 2, VFU_BAR_PREFETCH = 4 };

/*
 * A region. With access, all accesses go there. Without, it is plain memory: of the library, zeroed
 * (fd < 0), or the file's (fd >= 0, taken; offset fd_offset). The library's costs what is touched
 * of it, however large it is; where there are no addresses left for it the region has none, and
 * accesses that no handler serves fail with -ENOMEM. If it has a file and VFU_REGION_MMAP
 * the client may map it: all of it, or the nareas areas (at most 4,000), without the pages that the
 * table of MSI-X and its pending bits lie in. BAR sizes are powers of two, at least 16
 * (memory) or 4 (I/O), up to 2^63. Region 7 with access replaces our configuration space.
 *
 * Plain memory is sent and received in its place. A read shows what it holds at some time between
 * the start of the read and that of the next request: what waits for room in the socket is copied.
 * Of a large write all may be seen as it arrives, once what came before it has started; one whose
 * client dies in the middle has written its beginning.
 *
 * With files each area has a file of its own, in place of fd: the client maps it from there, and
 * the region's memory, if it is plain, is made of them, and of the library's between them. The
 * descriptors stay the caller's, and the library has copies; an area may have that of another. A
 * client maps them if both sides have said the capability sparse_mmap_fds, an extension of the
 * protocol that is a draft and off by default (vfu_server_set_capability); another one reaches all
 * by messages. One that takes fewer descriptors in a message than there are files
 * (VFU_OPT_MAX_MSG_FDS) is told of as many.
 *
 * With widths each access has one of these sizes and is aligned to it, as registers of hardware
 * want it: any other is -EINVAL to the client, and its callback and handlers are not called. What
 * the client maps is not checked.
 *
 * What a read puts nothing into is zeros: its buffer is cleared before the callback, which costs a
 * fifth of a large read. With VFU_REGION_UNCLEARED it is not, for reads by access and by functions
 * of vfu_device_set_handler: these say with vfu_request_set_filled how many bytes they have written
 * from the start on, and the library clears the rest, all of it if they say nothing.
 */
struct vfu_region {
	uint64_t size;
	uint32_t flags;     /* VFU_REGION_* */
	uint32_t bar_flags; /* VFU_BAR_* */
	vfu_access_fn *access;
	void *user;
	int fd;
	uint64_t fd_offset;
	const struct vfu_area *areas; /* page-aligned, ascending, copied */
	unsigned nareas;
	uint32_t widths; /* VFU_WIDTH_*; 0: any number of bytes, anywhere */
	const struct vfu_area_file
		*files; /* nareas, at most 64 different ones; NULL: all is in fd */
};

/* Sets or replaces region index, below VFU_REGIONS_MAX; size 0 removes it. Owner. */
int vfu_device_set_region(struct vfu_device *dev, unsigned index, const struct vfu_region *region);
/*
 * Adds a region of the device's own, one that PCI does not know, and returns its index: the first
 * from VFU_REGIONS on that is free. A driver finds it by type (0x80000000 | vendor id, or a kind of
 * VFIO's) and subtype, which the capability type of its GET_REGION_INFO tells. It is as others are
 * in all else. The client hears of a number of regions (GET_INFO) that ends with the last one there
 * is, so add what a driver is to find before it connects. -ENOSPC: a device has at most
 * VFU_REGIONS_MAX. Owner.
 */
int vfu_device_add_region(struct vfu_device *dev, uint32_t type, uint32_t subtype,
			  const struct vfu_region *region);
/*
 * Sets the expansion ROM, region 6, to a copy of len bytes, 1 to 16 MiB, and zeros up to its size,
 * a power of two from 2 KiB on. One that is a file, as long as its region, is set with
 * vfu_device_set_region: {.size, .flags = VFU_REGION_READ, .fd}. Owner.
 */
int vfu_device_set_rom(struct vfu_device *dev, const void *data, size_t len);
/*
 * A capability of a region: one of VFU_WIRE_REGION_CAP_* (vfu/wire.h), or one nobody here knows.
 * data: what follows id, version and next.
 */
struct vfu_region_capability {
	uint16_t id, version;
	const void *data;
	size_t len;
};
/*
 * Has the answer to GET_REGION_INFO tell it of a region that is set, behind those added before;
 * copied. They go when the region is set again. -EINVAL: the rules of the answer do not hold with
 * it (the detail names field and rule), or it is sparse_mmap or sparse_mmap_fds, which the region's
 * areas say. A client with which it was not agreed does not see it. Owner.
 */
int vfu_device_add_region_capability(struct vfu_device *dev, unsigned index,
				     const struct vfu_region_capability *cap);
/*
 * Routes accesses to [offset, offset + size) of a plain memory region to fn (NULL: back to memory).
 * Ranges must not overlap. An access that spans several ranges is split at their borders; the parts
 * start in ascending order, and each may be answered later. The client gets one answer when all are
 * done: the first failure, if any; no part starts after one that failed at once. Owner.
 *
 * What lies where the table of MSI-X is or its pending bits is -EINVAL: the library serves those.
 *
 * Also of configuration space, from 0x40 on but for MSI and MSI-X: so a capability can be a window
 * into something else. Machine monitors read the whole space at once, so reads must have no effects
 * that matter. The hook config_written hears nothing of such ranges, and the library looks at none
 * of what is written there.
 */
int vfu_device_set_handler(struct vfu_device *dev, unsigned index, uint64_t offset, uint64_t size,
			   vfu_access_fn *fn, void *user);

enum { VFU_REGISTER_VIEW = 1 };

/*
 * A register of a plain memory region, or of configuration space behind its header, whose bits are
 * not all for the client to write, or that a function is to know of. Numbers are little-endian, bit
 * 0 is the first byte's lowest. Without a function the library serves it alone.
 *
 *	client writes 0xffffffff to {.offset = 8, .width = 4, .write = 0xff00, .w1c = 0x7}:
 *	bits 8..15 are ones then, bits 0..2 zeros, the others are what they were
 *
 * An access to some of its bytes does to their bits what one to all of it does; one to more is
 * split. No other access is seen half done: it is one atomic operation on the memory (8 bytes where
 * a pointer has as many). What a client does to memory that it has mapped is not seen, and masks do
 * not hold there.
 *
 * A view (VFU_REGISTER_VIEW) has no memory of its own: it reads and writes the value at target, by
 * its own masks: {.target = 8, .w1s = ~0u} sets bits of the register at 8, {.target = 8, .w1c =
 * ~0u} clears them.
 */
struct vfu_register {
	size_t size;     /* sizeof(struct vfu_register) */
	uint64_t offset; /* in the region, a multiple of width */
	uint32_t width;  /* 1, 2, 4 or 8 bytes */
	uint32_t flags;  /* VFU_REGISTER_* */
	uint64_t target; /* of a view: offset of its value, a multiple of width */
	uint32_t count; /* an array of as many, 0: one; the values of a view have the same stride */
	uint64_t stride; /* bytes from one to the next, a multiple of width; 0: width */

	/* Bits; no bit may be in two of the first three. Those in none keep what they are. */
	uint64_t write;  /* take what the client writes */
	uint64_t w1c;    /* are cleared where it writes ones */
	uint64_t w1s;    /* are set where it writes ones */
	uint64_t hidden; /* it reads as zeros */
	uint64_t rc;     /* are cleared when it reads them */

	/*
	 * Functions, or NULL. An access that they see is inside one register of an array, number
	 * (access->offset - offset) / stride. on_read and on_write serve it instead of the above.
	 * on_written is called after a write has had its effect, with what the client wrote: the
	 * result is the write's, and it may be answered later.
	 */
	vfu_access_fn *on_read, *on_write, *on_written;
	void *user;
};

/*
 * Adds it, or all of an array; copied. vfu_device_set_handler with fn NULL takes it away again, so
 * does setting the region. -EEXIST: it overlaps a handler's range or another register that was
 * added. Owner.
 */
int vfu_device_add_register(struct vfu_device *dev, unsigned index, const struct vfu_register *reg);
/*
 * Gives the bits in mask of a little-endian number of 1, 2, 4 or 8 bytes in a plain region's memory
 * the value that they have in value, for the device: no masks and functions matter. Atomic, as the
 * client's accesses to registers are: of bits that it clears at the same time none comes back.
 * -EINVAL: no such place, or one of configuration space where no register may be. Any thread, while
 * the region is not replaced.
 */
int vfu_device_update_register(struct vfu_device *dev, unsigned index, uint64_t offset,
			       unsigned width, uint64_t mask, uint64_t value);
/*
 * Memory of a plain region, or (7) our configuration space, 4096 bytes; NULL if it has none or
 * there was none left. Valid until the region is replaced.
 */
void *vfu_device_region_memory(struct vfu_device *dev, unsigned index);

/* ---- requests answered later: any thread, exactly once */

/*
 * Takes the request out of the callback; it then outlives it and must be given to vfu_request_done.
 * Later requests go on meanwhile, also behind a posted write (E52); only what holds up all others
 * by its nature (RESET by a gate, DMA_UNMAP by a pin) and the other writes of a REGION_WRITE_MULTI
 * that wants an answer wait. NULL: out of memory. Owner, in the callback.
 */
struct vfu_request *vfu_request_defer(struct vfu_request *req);
/* The access to serve; its data stays valid until vfu_request_done. For a read the buffer starts
 * zeroed, but for VFU_REGION_UNCLEARED. NULL: it is a command. */
const struct vfu_access *vfu_request_access(struct vfu_request *req);
/*
 * Of a read of a region with VFU_REGION_UNCLEARED: the device has written the first len bytes of
 * the access's data, and the library clears the others; the last call counts. After
 * vfu_request_defer it is the request that was returned whose data it is about. In other regions it
 * changes nothing. -EINVAL: no read, or not so many bytes. In the callback, or who answers it.
 */
int vfu_request_set_filled(struct vfu_request *req, uint32_t len);
/*
 * Answers a read with access->count bytes of the device's own at data, in place of the access's
 * data: where the read is large (16 KiB, and no part of one that is split) they are sent from where
 * they are. The request is then ended as ever: by the callback's 0, or by vfu_request_done, also if
 * vfu_request_defer is called after this. The memory must stay, and what is in it should, until
 * release(user, data) is called, which happens once, whatever becomes of the request (NULL: the
 * memory stays as long as the device, and never changes): when the socket has the bytes, however
 * long a client does not read; when the connection ends; or sooner, where they were copied, also
 * before this returns. What waits counts for VFU_OPT_QUEUE_BYTES. Memory of a file that others can
 * cut should be watched (vfu_watch_new).
 *
 * With VFU_LEND_BRIEFLY what the socket does not take at once is copied, and release called before
 * the callback's request, or vfu_request_done, is over: for memory that a later request, or the
 * device, is going to change. Without it a change shows in the bytes that are not sent yet.
 *
 * release runs on the thread that has sent the last byte: the owner, in what processes or waits, or
 * whoever answers another request, or sends DMA; no lock is held. It may answer requests, but must
 * not wait, nor free anything of the library. It does not run in the child of a fork. -EINVAL: no
 * read, no such flag; -EALREADY: something was lent; nothing is released then. In the callback, or
 * who answers it.
 */
enum { VFU_LEND_BRIEFLY = 1 };
typedef void vfu_release_fn(void *user, const void *data);
int vfu_request_lend(struct vfu_request *req, const void *data, unsigned flags,
		     vfu_release_fn *release, void *user);
/* Answers (0 or negative errno) and frees it. -ENOTCONN: the client is gone; the request is freed
 * all the same. */
int vfu_request_done(struct vfu_request *req, int status);
/*
 * If it fails, whoever serves it has said why, in a way of its own: the library counts the failure
 * but logs no line about it. NULL: nothing. Owner, in the callback; else who answers it.
 */
void vfu_request_set_told(struct vfu_request *req);
/* True once the connection that sent it has ended; in the child of a fork, too. */
bool vfu_request_is_dead(struct vfu_request *req);

/*
 * ---- commands that the device serves itself
 *
 * Any message of the protocol's table that clients send and whose state is not the library's
 * (spec/, key "keeps"), and any number that the table lacks. The library reads it, holds it to the
 * rules of its kind, its order (fence, gate) among them, and to the generated check, and does the
 * same with the answer:
 *
 *	static int on_get_thing(void *user, struct vfu_request *req)
 *	{
 *		size_t len;
 *		const struct vfu_wire_get_thing_request *in = vfu_request_payload(req, &len);
 *		struct vfu_wire_get_thing_reply out = {.argsz = sizeof(out), .index = in->index};
 *
 *		return vfu_request_reply(req, &out, sizeof(out), NULL, 0, NULL);
 *	}
 *	...
 *	vfu_device_set_command(dev, VFU_WIRE_CMD_GET_THING, on_get_thing, NULL);
 */

/*
 * Serves a request: answers it with vfu_request_reply; or returns 0 for an answer without payload,
 * or a negative errno, or VFU_PASS; or takes it with vfu_request_defer and returns VFU_LATER.
 * Owner.
 */
typedef int vfu_command_fn(void *user, struct vfu_request *req);
/*
 * Has fn serve a command, in place of the library if that has an answer of its own; NULL: no more.
 * -EOPNOTSUPP: the library keeps what the message is about, or the client does not send it;
 * -EINVAL: no such number. Owner.
 */
int vfu_device_set_command(struct vfu_device *dev, unsigned command, vfu_command_fn *fn,
			   void *user);

/* A feature (DEVICE_FEATURE): what it lacks is NULL, and unsupported (E45). */
struct vfu_feature {
	size_t size; /* sizeof(struct vfu_feature): later versions append */
	/* Like a command's: the payload, and what is answered, is the data behind argsz and flags. A
	 * set that is answered without data is answered with that of the request. */
	vfu_command_fn *get, *set;
};
/*
 * Gives the device a feature, or takes it away (NULL). Clients ask for it with PROBE, and are
 * answered by what it has. Owner. A command handler for DEVICE_FEATURE takes the place of all
 * features.
 */
int vfu_device_set_feature(struct vfu_device *dev, unsigned feature,
			   const struct vfu_feature *functions, void *user);

/*
 * Tells in which state of migration the device is (VFU_WIRE_DEVICE_STATE_ of wire.h), once it has
 * got there: messages that are lawful in some states alone (MIG_DATA_READ and _WRITE,
 * GET_PRECOPY_INFO) are refused in others. At first, and after each reset, it is RUNNING (E39).
 * -EINVAL: no such state. Any thread.
 */
int vfu_device_set_state(struct vfu_device *dev, unsigned state);

/*
 * Number of a message by its name in the protocol's table, as "get_irq_info"; -ENOENT. Any thread.
 */
int vfu_command_number(const char *name);

/*
 * Of a request that a command's or feature's function was given; 0, NULL or -1 of others. The
 * payload is 8-byte aligned and, like descriptors that are not taken, there until the request is
 * answered. Who serves it: one thread at a time.
 */
unsigned vfu_request_command(struct vfu_request *req);
const void *vfu_request_payload(struct vfu_request *req, size_t *len);
/*
 * How many descriptors came along, and taking one, which is the caller's then (-1: none, or taken).
 */
unsigned vfu_request_fds(struct vfu_request *req);
int vfu_request_take_fd(struct vfu_request *req, unsigned i);
/*
 * Answers with a payload and descriptors, which stay the caller's: in the function, or later in
 * place of vfu_request_done. An access is not answered so: -EINVAL, and it is not freed. Any other
 * request is freed then, whatever is returned. 0: also if the client wanted no answer, or got
 * EINVAL because its argsz has no room for it. -EINVAL: the answer breaks a rule of its message, or
 * has more descriptors than the client takes; it was logged and the client got EIO. -ENOTCONN: the
 * client is gone. -EALREADY: it was answered. -ENOMEM: the client got EIO. -EOWNERDEAD: in the
 * child of a fork. err: detail where an answer was refused, or NULL. Owner, in the function; later
 * any thread, once.
 */
int vfu_request_reply(struct vfu_request *req, const void *data, size_t len, const int *fds,
		      unsigned nfds, struct vfu_err *err);

/* ---- interrupts */

/* INTx pin 1..4, 0 for none. Owner. */
int vfu_device_set_intx(struct vfu_device *dev, unsigned pin);
/* MSI with 1, 2, 4, 8, 16 or 32 vectors (0 removes), 64-bit addresses and no mask bits. Owner. */
int vfu_device_set_msi(struct vfu_device *dev, unsigned vectors);
enum { VFU_MSI_64 = 1, VFU_MSI_MASKABLE = 2 };
/*
 * The same with a capability as flags say: with 64-bit addresses or 32-bit ones; with a mask bit
 * and a pending bit for each vector. What is raised while the client has its bit set is pending,
 * and fires when it is cleared. Owner.
 */
int vfu_device_set_msi_layout(struct vfu_device *dev, unsigned vectors, unsigned flags);
/*
 * MSI-X with 1..2048 vectors (0 removes). Table (16 bytes a vector) and PBA must lie in BAR bar, of
 * memory, set before, 8-byte aligned, where no handler is. The library serves both: a client that
 * writes to an entry masks and unmasks its vector there, one that does not has all unmasked (E66).
 * A client that may map the BAR never maps the pages they lie in: give them pages of their own
 * there, or it is not mapped much. How many vectors can have an eventfd at once is bounded by what
 * vfu_server_new says. Owner.
 */
int vfu_device_set_msix(struct vfu_device *dev, unsigned vectors, unsigned bar,
			uint32_t table_offset, uint32_t pba_offset);
/*
 * Writes of the client that come as events: it asks for their eventfd (GET_REGION_IO_FDS), and
 * signals that, or has KVM do so for its guest, in place of a message. places: what it is written
 * to for that, n of them, 1 or more and 1,024 in a region; they share the eventfd. fn runs on the
 * owner, once for all signals since it last ran, which are not ordered with messages (E52), wait
 * while a gate is open and are gone after a reset. Writes by message go where they go without this:
 * give the places a handler too. Each client gets an eventfd of its own; the event goes with its
 * region. Owner.
 */
struct vfu_ioevent_place {
	uint64_t offset;    /* in the region */
	uint64_t datamatch; /* with VFU_IOEVENT_MATCH: only writes of this value of size bytes */
	uint32_t size;      /* of the writes: 1, 2, 4, 8; 0: any */
	uint32_t flags;     /* VFU_IOEVENT_*, KVM's numbers */
};
enum { VFU_IOEVENT_MATCH = 1, VFU_IOEVENT_PIO = 2 };
typedef void vfu_ioevent_fn(void *user);
int vfu_device_add_ioevent(struct vfu_device *dev, unsigned index,
			   const struct vfu_ioevent_place *places, unsigned n, vfu_ioevent_fn *fn,
			   void *user);
/*
 * The same of one place, where the value that is written (place->size is not 0) is stored in a file
 * first, a memfd say, at offset: the device maps that, and fn looks there. Of libvfio-user's
 * protocol alone (E4): clients are told of it by a server with the policy "io_fd_layout" "longer"
 * (profile "libvfio-user"); by others, and where no kernel or client stores, writes come by
 * message. fd stays the caller's. Owner.
 */
int vfu_device_add_shadow_ioevent(struct vfu_device *dev, unsigned index,
				  const struct vfu_ioevent_place *place, int fd, uint64_t offset,
				  vfu_ioevent_fn *fn, void *user);
enum { VFU_IOREGION_PIO = 1, VFU_IOREGION_POSTED_WRITES = 2 };
/*
 * Has clients told of an ioregionfd: accesses to [offset, offset + size) come as messages of the
 * kernel's on fd, which the device serves at its other end. The library lists it with its
 * descriptor (GET_REGION_IO_FDS), and no more: Linux has no such thing yet, so accesses go on
 * coming by message. flags: VFU_IOREGION_*. user_data: in the kernel's messages. fd stays the
 * caller's, and each client is given it. Owner.
 */
int vfu_device_add_ioregion(struct vfu_device *dev, unsigned index, uint64_t offset, uint64_t size,
			    uint32_t flags, uint64_t user_data, int fd);

/*
 * Raises an interrupt: signals the vector's eventfd, before it returns and without sleeping,
 * whatever the client does to that; INTx: asserts the line (Status bit 3, E64) until lowered. 0:
 * delivered, or pending while masked or bus mastering is off (E63, logged). -ENOENT: no eventfd is
 * set, or there is no client; only INTx waits for one, as its line stays up, while messages are
 * lost, and those that are pending when a client goes: VFIO turns them off when a device is closed
 * (E47). -EINVAL: no such vector. -EMFILE: pending, see below. Any thread.
 *
 * INTx fires once and is masked by that (E36), as a level is: while the line stays up it fires
 * again each time the client unmasks it, be it by an eventfd (DATA_EVENTFD with ACTION_UNMASK,
 * KVM's resampling). MSI and MSI-X fire once for all raises while they were masked. VFU_IRQ_ERR and
 * _REQ have a vector 0 each: an error that is not to be recovered from, and the wish to have the
 * device given back.
 *
 * The kernel's asynchronous requests (man io_submit) make that promise, on Linux 5.8 or newer.
 * Without them the signal is a write to a copy of the descriptor, with no lock held: it needs one
 * descriptor for a moment, and a hostile client can make the thread sleep that raises.
 */
int vfu_irq_raise(struct vfu_device *dev, unsigned index, unsigned vector);
/*
 * The same once all message DMA started before is answered. Until then, asking again with none
 * started between changes nothing. Any thread.
 */
int vfu_irq_raise_after(struct vfu_device *dev, unsigned index, unsigned vector);
/* Deasserts INTx. Any thread. */
int vfu_irq_lower(struct vfu_device *dev);

/*
 * ---- DMA
 *
 * Order: copies of a device take effect in the order in which they were started, reads and writes,
 * mapped ranges and others: an entry of a ring may be written, and its index behind it, without a
 * wait between. What needs no messages is copied by the call that starts it; but while copies by
 * message have not ended it waits for its turn as they do. Threads have such an order among their
 * copies if they make one.
 *
 * Within a copy there is none. But 2, 4 or 8 bytes at a multiple of their size are one access (8:
 * not on 32-bit machines) of mapped memory, and one message, which this library's client does as
 * one access.
 *
 * That relies on the client to do DMA requests of one socket one after the other, as QEMU and this
 * library do. Ends may come in another order, as replies may overtake. A copy that fails holds up
 * none behind it; one that ends with -ETIMEDOUT may take effect later. Pins have no order: their
 * memory is used directly.
 */

/*
 * status: 0, or negative errno (-ECANCELED: unmapped, reset or disconnected meanwhile; -ETIMEDOUT:
 * the client let VFU_OPT_TIMEOUT_MS pass, for this one or for those before it; -EFAULT, -EIO: see
 * below). Runs on the owner, or on a thread that starts a copy, also of its own, before that call
 * returns.
 */
typedef void vfu_dma_fn(void *user, int status);
/*
 * Starts a copy between client memory and buf, of any length, over mapped and message ranges alike.
 * buf stays the library's until fn runs. fn runs exactly once if 0 was returned. -EFAULT: part of
 * the range is not mapped, or its file was cut; -EACCES: not so; -EIO: bus mastering is off (E63);
 * -ENOTCONN: no client.
 * -ENOBUFS: nothing was started, as copies that have not ended, with what requests of the client
 * hold, fill VFU_OPT_QUEUE_BYTES: start it again when one of yours has ended. One is always let
 * through, of any length. Any thread.
 */
int vfu_dma_read_async(struct vfu_device *dev, uint64_t iova, void *buf, size_t len, vfu_dma_fn *fn,
		       void *user);
int vfu_dma_write_async(struct vfu_device *dev, uint64_t iova, const void *buf, size_t len,
			vfu_dma_fn *fn, void *user);
/*
 * The same, waiting. For message ranges: owner only (else -EPERM); other requests of the client
 * are served meanwhile, at most 8 deep (then -EDEADLK), so a callback must expect to be entered
 * again. A client that waits for this very callback's answer can not serve DMA (E60): prefer async.
 * Mapped ranges: any thread. The owner's copy waits behind messages that have not ended, so all of
 * this holds for it; another thread's, which can not wait, is done at once, before those.
 */
int vfu_dma_read(struct vfu_device *dev, uint64_t iova, void *buf, size_t len);
int vfu_dma_write(struct vfu_device *dev, uint64_t iova, const void *buf, size_t len);

/*
 * Copies of many pieces as one, started in the order of the list: the bytes of all lie in buf one
 * behind the other (a scatter list). All is as of vfu_dma_read_async and _write_async; nothing is
 * started if one piece can not be, and fn runs when the last has ended, with the first fault of
 * any. pieces is the caller's again when the call returns. Of one byte to a whole range: needs no
 * buffer of that size. Any thread.
 */
struct vfu_dma_piece {
	uint64_t iova;
	size_t len;
};
int vfu_dma_readv_async(struct vfu_device *dev, const struct vfu_dma_piece *pieces, size_t n,
			void *buf, vfu_dma_fn *fn, void *user);
int vfu_dma_writev_async(struct vfu_device *dev, const struct vfu_dma_piece *pieces, size_t n,
			 const void *buf, vfu_dma_fn *fn, void *user);
int vfu_dma_fill_async(struct vfu_device *dev, uint64_t iova, size_t len, uint8_t byte,
		       vfu_dma_fn *fn, void *user);

/*
 * A pinned piece of client memory: a pointer that needs no lock until it is unpinned. Where all of
 * it lies in one mapped range it is the memory itself, and an unmap waits for it. Else it is a
 * buffer: read in first, if it is pinned to be read, and written back when it is unpinned, if it is
 * pinned to be written: if both, the bytes that are not as they were read in, so that what the
 * device left alone stays the client's to change; if only that, all of it (zeros where nothing was
 * put). An unmap does not wait for a buffer, nor does a reset, and then it is written nowhere; the
 * memory itself stays pinned at a reset. The end of a connection waits for neither: both stay valid
 * until they are unpinned, and a buffer is written nowhere. Many may be live at once,
 * VFU_OPT_DMA_BOUNCE_BYTES all told. One that keeps an unmap waiting for a second is named in the
 * log.
 */
struct vfu_dma_pin {
	void *addr;
	size_t len;
	void *priv;
};
/* Of a pin: only the memory itself will do, else -EOPNOTSUPP. */
enum { VFU_DMA_PIN_DIRECT = 256 };
/*
 * Pins [iova, iova + len). flags: VFU_DMA_*. A buffer that has to be read in is read as
 * vfu_dma_read does, also as to threads. -ENOBUFS: no room for a buffer now; try another time, or
 * vfu_dma_pin_async. -E2BIG: there never is, it is larger than VFU_OPT_DMA_BOUNCE_BYTES.
 */
int vfu_dma_pin(struct vfu_device *dev, uint64_t iova, size_t len, unsigned flags,
		struct vfu_dma_pin *pin);
/*
 * The same, without waiting: *pin stays the library's until fn runs, with 0 if it is pinned. Where
 * there is no room it waits until there is, behind those that wait already. -ENOBUFS: so many wait
 * that they fill VFU_OPT_QUEUE_BYTES. Any thread.
 */
int vfu_dma_pin_async(struct vfu_device *dev, uint64_t iova, size_t len, unsigned flags,
		      struct vfu_dma_pin *pin, vfu_dma_fn *fn, void *user);
/*
 * Gives it back. A buffer's bytes are on their way when this returns, in the order of copies: an
 * interrupt raised with vfu_irq_raise_after comes behind them; a fault on that way is logged.
 * -EINVAL: not a live pin. -EFAULT: it is given back, but its file was cut (vfu_sigbus_guard);
 * -ECANCELED: but its memory was taken away, or the device was reset, and nothing was written from
 * a buffer. Any thread.
 */
int vfu_dma_unpin(struct vfu_device *dev, struct vfu_dma_pin *pin);
/* The same; if 0 is returned fn runs once, and tells what became of it. Any thread. */
int vfu_dma_unpin_async(struct vfu_device *dev, struct vfu_dma_pin *pin, vfu_dma_fn *fn,
			void *user);

/*
 * One DMA range. flags: VFU_DMA_*, and all other flags of DMA_MAP (spec/dma.lua) with which the
 * client announced it but those that say how to use its file; what they mean is the device's
 * business. mapped: the device reaches it directly, else by message.
 */
struct vfu_dma_range {
	uint64_t iova, size;
	uint32_t flags;
	bool mapped;
};
/* Copies up to n ranges in ascending order to out; returns how many there are. Any thread. */
size_t vfu_dma_ranges(struct vfu_device *dev, struct vfu_dma_range *out, size_t n);

/* ---- device hooks: all optional, all on the owner */

enum vfu_gate {
	VFU_GATE_DMA_MAP,
	VFU_GATE_DMA_UNMAP,
	VFU_GATE_RESET,
	VFU_GATE_FEATURE_SET,
	VFU_GATE_FLR,
	VFU_GATE_DISCONNECT,
	VFU_GATE_COMMAND /* any other message that the protocol says so of */
};

/*
 * Who a client is: as the kernel says (SO_PEERCRED) of who connected, or, of a socket pair, made
 * it. pid is 0 if this process cannot see that one (it is in another PID namespace), and may be
 * another's once it has ended.
 */
struct vfu_peer {
	int32_t pid;
	uint32_t uid, gid; /* UINT32_MAX: the kernel says nothing of this socket */
};

struct vfu_device_hooks {
	size_t size; /* sizeof(struct vfu_device_hooks): later versions append */
	/* Asked before anything that changes under the device's feet: 0 go, negative errno refuse,
	 * VFU_LATER and then vfu_device_gate_done. */
	int (*gate)(void *user, enum vfu_gate what);
	/* RESET, FLR, or the end of a connection if the disconnect policy says so (E47). Registers
	 * of plain memory regions are the device's to clear. Copies by message that have not ended end with
	 * -ECANCELED, before this if nothing of them is on its way, else once that is answered; no more of them
	 * is sent, and buffers that are pinned (vfu_dma_pin) are written nowhere. */
	int (*reset)(void *user);
	/* A range came or is about to go (unmap: before access ends). */
	void (*dma_mapped)(void *user, const struct vfu_dma_range *range);
	void (*dma_unmapping)(void *user, const struct vfu_dma_range *range);
	void (*connected)(void *user);
	void (*disconnected)(void *user);
	/* Configuration space was written by the client (after the write took effect). */
	void (*config_written)(void *user, size_t offset, size_t len);
	/* Asked about each client, before anything that it sent is read: 0 takes it; what is else refuses it, a
	 * negative errno, and the text put into reason, if any, is logged. It sees the end of the stream,
	 * before VERSION, and no error of the socket; the device sees no more of it. Who passes its socket to
	 * vfu_server_attach or vfu_server_listen_inherited has that errno as result. */
	int (*accept)(void *user, const struct vfu_peer *peer, char *reason, size_t size);
};
/* Sets all of them, copied; those that are NULL are not called. NULL: there are none. Owner. */
int vfu_device_set_hooks(struct vfu_device *dev, const struct vfu_device_hooks *hooks, void *user);
/* Who the present client is, in disconnected who it was. -ENOTCONN: there is none. Any thread. */
int vfu_device_peer(struct vfu_device *dev, struct vfu_peer *out);
/* Ends a gate that said VFU_LATER. Any thread. -EALREADY: none is open. */
int vfu_device_gate_done(struct vfu_device *dev, int status);
/* Callbacks of this device are never entered while one waits in vfu_dma_read or _write. Owner. */
int vfu_device_set_no_reentry(struct vfu_device *dev, bool on);

/* ---- server */

struct vfu_server;

/*
 * Serves dev, which must outlive it. One server per device. For a client it keeps at most 1,024
 * files and eventfds together, or half of RLIMIT_NOFILE if that is less, and refuses more with
 * -ENOSPC. A DMA range that is mapped keeps no file. NULL: out of memory,
 * or the device has a server (errno).
 */
struct vfu_server *vfu_server_new(struct vfu_device *dev);
/*
 * Ends the connection, removes the socket file it made, frees. Owner. Inside a callback all that is
 * done when the outermost call (process, run, attach, disconnect, vfu_dma_read or _write) ends,
 * which then is the last to be made on the server: run returns 0, process -ENOTCONN, attach and
 * waits for DMA fail.
 */
void vfu_server_free(struct vfu_server *srv);
/* Sets an option, before it listens. -EINVAL: out of range, and nothing changes. Owner. */
int vfu_server_set(struct vfu_server *srv, enum vfu_option option, uint64_t value);
/* Sets what it says of a capability: see "Capabilities", vfu_common(3). Owner. */
int vfu_server_set_capability(struct vfu_server *srv, const char *name, uint64_t value);
/*
 * Which behaviour where the protocol allows several: a field of the errata table and one of its
 * choices; or a profile: "default", "strict", "libvfio-user", or "one-at-a-time", whose choices are a client's
 * (vfu_client_set_profile). -ENOENT: there is none of that name;
 * -EINVAL: no such choice; nothing changes, and vfu_server_err says which profiles there are.
 * Owner.
 */
int vfu_server_set_policy(struct vfu_server *srv, const char *field, const char *choice);
int vfu_server_set_profile(struct vfu_server *srv, const char *profile);
/* Why the last call on the server failed; code 0: none did. Owner. */
void vfu_server_err(struct vfu_server *srv, struct vfu_err *err);
/* What was agreed with the present client: see "Capabilities", vfu_common(3). Any thread; no
 * vfu_server_err. */
int vfu_server_agreed(struct vfu_server *srv, const char *name, uint64_t *value);
/*
 * How the last connection ended: 0 if one of the sides closed it, or there has been none; else a
 * negative errno for what was wrong with it, and err (may be NULL) says more. Any thread.
 */
int vfu_server_ended(struct vfu_server *srv, struct vfu_err *err);
/* Copies the counters of all connections, the present one among them. Any thread. */
void vfu_server_stats(struct vfu_server *srv, struct vfu_stats *out);

/* Listens at "unix:PATH" or a path. A stale socket file is replaced, a live one is -EADDRINUSE.
 * -EISCONN: it listens already. Owner. */
int vfu_server_listen(struct vfu_server *srv, const char *address);
/* Listens on (or, if it is a connected socket, serves) an inherited descriptor; takes it. Owner. */
int vfu_server_listen_inherited(struct vfu_server *srv, int fd);
/*
 * Serves a connected socket; takes it. -EBUSY: there is a client. -ENOTSOCK, -EPROTOTYPE: no
 * stream. What the hook accept says. Owner.
 */
int vfu_server_attach(struct vfu_server *srv, int fd);
/* Ends the present connection, if any. Any thread; the device sees the end on the owner. */
void vfu_server_disconnect(struct vfu_server *srv);

/*
 * Event loop: watch what pollfds returns (at most 4; returns how many, or -EOWNERDEAD), for at most
 * timeout ms (-1: for ever), then process. The first stands for the wake-up and for all eventfds that the client
 * signals (E36). process handles at most max requests (0: a fair batch), never blocks,
 * and returns how many it handled, or -ENOTCONN when there is neither client nor listener left.
 * Pollfds may change after each process, and so may the timeout, which else changes with calls on
 * that server or its device alone: a loop over many servers asks those that it has processed.
 * Owner.
 */
int vfu_server_pollfds(struct vfu_server *srv, struct pollfd *pfds, unsigned n);
int vfu_server_timeout(struct vfu_server *srv);
int vfu_server_process(struct vfu_server *srv, unsigned max);
/* One descriptor that stands for all of pollfds, whatever they change to (epoll, level-triggered; 1.1
 * times the cost of watching the sockets). A loop asks vfu_server_timeout all the same. The library's,
 * as long as the server. */
int vfu_server_fd(struct vfu_server *srv);
int vfu_server_listen_fd(struct vfu_server *srv); /* -1: none; borrowed */
int vfu_server_conn_fd(struct vfu_server *srv);   /* -1: none; borrowed */
int vfu_server_twin_fd(struct vfu_server *srv);   /* the twin socket; -1: none; borrowed */
/* Serves until vfu_server_stop (0), or the only connection ended and nothing listens (0), or
 * -errno. -EINTR after a signal if interruptible. */
int vfu_server_run(struct vfu_server *srv);
/* Makes run return -EINTR when a signal interrupts it (for language bindings). */
void vfu_server_set_interruptible(struct vfu_server *srv, bool on);
/* check is asked by run and by what waits for DMA in a callback, when a signal interrupts it and a
 * few times a second: non-zero makes it return -EINTR. Set it before a client comes. Owner. */
void vfu_server_set_interrupt(struct vfu_server *srv, int (*check)(void *user), void *user);
/* Makes run return soon; what waits for DMA in a callback of it ends with -EINTR. Any thread, and
 * async-signal-safe. */
void vfu_server_stop(struct vfu_server *srv);

/* ---- client: any thread, unless said otherwise */

struct vfu_client;

/* One that is not connected. NULL: out of memory. */
struct vfu_client *vfu_client_new(void);
/* Disconnects and frees. Not in a callback, nor while another thread is in a call. */
void vfu_client_free(struct vfu_client *cl);
/* Sets an option, before it connects. -EINVAL: out of range, and nothing changes. */
int vfu_client_set(struct vfu_client *cl, enum vfu_option option, uint64_t value);
/* Sets what it says of a capability: see "Capabilities", vfu_common(3). */
int vfu_client_set_capability(struct vfu_client *cl, const char *name, uint64_t value);
/*
 * As a server's; for the next connection. Some choices are a client's alone, and the profiles that
 * have them:
 *	"libvfio-user"	  one message moves at most 128 KiB (E69)
 *	"one-at-a-time"	  a command is sent when all before it are answered (E70): it waits for that, posted writes
 *			  and vfu_client_dma_map_nowait wait for their answers, and what calls a function at its
 *			  end is -ENOBUFS while there is another; no command but those that every server
 *			  knows (E71): others are -ENOSYS
 */
int vfu_client_set_policy(struct vfu_client *cl, const char *field, const char *choice);
int vfu_client_set_profile(struct vfu_client *cl, const char *profile);
/* Where the client's log goes; NULL: nowhere. */
void vfu_client_set_log(struct vfu_client *cl, vfu_log_fn *fn, void *user);
/*
 * check is asked by everything that waits, when a signal interrupts it and a few times a second, on
 * the thread that waits: non-zero makes it return -EINTR. The call may be repeated only where it
 * says so (bindings resume waits themselves).
 */
void vfu_client_set_interrupt(struct vfu_client *cl, int (*check)(void *user), void *user);
/* Detail of the calling thread's last failed call on this client. */
void vfu_client_err(struct vfu_client *cl, struct vfu_err *err);
/* Copies the counters of all connections, the one that is being made or ended among them. */
void vfu_client_stats(struct vfu_client *cl, struct vfu_stats *out);

/*
 * Connects ("unix:PATH" or a path), agrees on a version and capabilities. -EISCONN: connected. Each
 * step waits as long as a request does (VFU_OPT_TIMEOUT_MS).
 *
 * While nobody is there (-ENOENT, -ECONNREFUSED), it has a client and hangs up (-ENOTCONN), or does
 * not answer (-ETIMEDOUT), it tries again after 1 ms, 2 ms, 4 ms... 250 ms, until
 * VFU_OPT_CONNECT_WAIT_MS have passed since the call; then it fails as the last attempt did. All
 * else ends it at once: a server that does not agree, a path without permission, the interrupt hook
 * (-EINTR), vfu_client_disconnect (-ENOTCONN).
 */
int vfu_client_connect(struct vfu_client *cl, const char *address);
/* The same over a connected socket; takes it. -ENOTSOCK, -EPROTOTYPE: no stream. */
int vfu_client_attach(struct vfu_client *cl, int fd);
/*
 * Ends the connection, or another thread's attempt to connect; what waits ends with -ENOTCONN. DMA
 * ranges are forgotten: their memory and what callbacks use may be freed once this returns 0 (in a
 * callback: once that has returned). It waits until all calls of other threads have returned;
 * -EINTR if the interrupt hook ends that wait: the connection then ends with the last of them.
 */
int vfu_client_disconnect(struct vfu_client *cl);
/*
 * 0 while usable; -ENOTCONN never connected or disconnected; else the error that ended the
 * connection; -EINPROGRESS: it is being connected again.
 *
 * What ends a connection first is its cause: -ENOTCONN, the peer closed it; -EPROTO, it broke a
 * rule, which field and text of the error name. The call that finds it, those that waited, and each
 * later one that needs the connection, posts too, return that code, and vfu_client_err says that
 * cause. So after an error a status other than 0 tells that the connection has ended with it. A
 * callback of a request that was on its way gets -ENOTCONN, whatever the cause. Once disconnected
 * calls are -ENOTCONN, and those that must wait for VFU_OPT_RECONNECT_MS as said there.
 */
int vfu_client_status(struct vfu_client *cl);

/* ---- client, connecting again */

/*
 * With VFU_OPT_RECONNECT_MS a client whose connection ends by itself (not by
 * vfu_client_disconnect) connects again to the address that vfu_client_connect was given, and tries
 * for that many milliseconds since the end was noticed (2^31-1: 24 days). An attached one has no
 * address, and does not.
 *
 * When: 1 ms after the end, then after pauses of 2 ms, 4 ms... 250 ms; the pauses go on growing
 * from where they were if a connection has lasted no longer than the last one, so that a server
 * which comes and goes is not asked all the time. All that is said on the new connection, until
 * RESTORED, has to be done by the end of the same time, or, if less of it is left, in the time of
 * one answer; and each answer in its own (VFU_OPT_TIMEOUT_MS; if that is 0, the same time). A
 * server that does not answer so fails the attempt, and if there is time left there is another.
 *
 * Who: there is no thread for it. Calls that wait do it, as long as they would wait for an answer,
 * and then are -ENOTCONN; so do vfu_client_serve and vfu_client_irq_wait, for their own time, and
 * an event loop, in which process never sleeps for it and vfu_client_timeout says when it is due.
 * While nobody calls nothing happens. Calls that do not wait (post, _async, _nowait) are -ENOTCONN
 * until it is connected, and so are all in callbacks of the connection that has ended.
 *
 * What is lost: requests that were on their way end with -ENOTCONN; whether the device has done
 * them nobody knows, and they are not repeated: the caller asks again, or not. A map among them is
 * not there, memory of an unmap is no longer used. Writes without an answer may be lost (posts),
 * interrupts that were raised in between are. The end is noticed when the connection is used:
 * unless a loop or a thread reads all the time the first call after it fails, even if the server
 * was gone long before; the next one waits for another connection.
 *
 * What is there again: DMA ranges, eventfds of interrupts and masks (of their files and eventfds
 * the client keeps copies, so the caller may close his), and bus mastering. What is written to
 * regions, and a device's own state, is for the caller to restore: state says what is known of
 * that. Region infos, their mappings and descriptors that the caller has are the last server's: he
 * asks for new ones.
 *
 * The device must be the same: as many regions, of the same sizes and flags, and interrupts; it
 * must take what is said again; and nothing agreed may be less. Else the attempts end with -ESTALE,
 * whose text says what differs.
 */
enum vfu_link_event {
	VFU_LINK_LOST,     /* the connection has ended: cause, posts */
	VFU_LINK_RESTORED, /* there is another one, that knows all again: attempts, state, restored */
	VFU_LINK_ENDED, /* there is none, and it is not tried any more: cause, attempts. From now on
			      vfu_client_status says the cause, and vfu_client_connect begins anew */
};
/*
 * Registers and the like, after RESTORED. Known only of a PCI device whose bus mastering the
 * library has turned on.
 */
enum vfu_device_state {
	VFU_DEVICE_STATE_UNKNOWN,
	VFU_DEVICE_STATE_KEPT, /* bus mastering is still on, which a reset or a new start turns off */
	VFU_DEVICE_STATE_LOST, /* it is off (and on again now) */
};
struct vfu_link { /* later versions append */
	enum vfu_link_event event;
	enum vfu_device_state state;
	unsigned attempts; /* since the connection has ended */
	uint64_t restored; /* how often there was another one */
	uint64_t
		posts; /* writes without an answer, since the last access that was waited for and answered:
			      the device may not have seen them */
	struct vfu_err cause;
};
/*
 * fn is told, on whichever thread notices it and with no lock held; one event at a time and in
 * their order. What happens while it runs is told by the same thread when it has returned; until
 * then nobody connects again. For RESTORED it may use the client like any caller, before all
 * others: it is the place to set the device up again, and to ask for region infos, whose
 * descriptors are others now. Calls of other threads wait until it returns, so it must not wait for
 * those. If that connection ends meanwhile, and for the other events, its calls are -ENOTCONN. It
 * may disconnect: then nothing more is told. NULL: nobody is told. Any thread.
 */
typedef void vfu_client_link_fn(void *user, const struct vfu_link *link);
void vfu_client_set_link(struct vfu_client *cl, vfu_client_link_fn *fn, void *user);
/*
 * The same as of now: the last event and what belongs to it. All zero: there was none. Any thread.
 */
void vfu_client_link(struct vfu_client *cl, struct vfu_link *out);

/* ---- client, event loop and threads */

/*
 * Event loop: watch what pollfds returns (at most 4; returns how many, or negative errno), for at
 * most timeout ms (-1: for ever), then process. process handles at most max messages (0: a fair
 * batch), runs the callbacks of what has ended or is late, serves the device's DMA, sends what
 * waits to be sent, never blocks, and returns how many it handled: 0 if there was nothing, or if
 * another thread reads just now; -ENOTCONN or what ended the connection when there is none any
 * more, but 0 of a client that connects again (VFU_OPT_RECONNECT_MS). Pollfds and timeout may change
 * after each process and each call on the client. Any thread.
 */
int vfu_client_pollfds(struct vfu_client *cl, struct pollfd *pfds, unsigned n);
int vfu_client_timeout(struct vfu_client *cl);
int vfu_client_process(struct vfu_client *cl, unsigned max);
/*
 * One descriptor for all that is to be polled, level-triggered: the library's, until
 * vfu_client_disconnect.
 */
int vfu_client_fd(struct vfu_client *cl);
/*
 * For who leaves an event loop, whether after pollfds or after process: waits until all that
 * callbacks and other threads have left to it is in the socket, unless a thread in vfu_client_serve
 * sees to that.
 */
int vfu_client_flush(struct vfu_client *cl);
/*
 * on: from here on only the calling thread reads what the device says, in vfu_client_process and in
 * its own calls that wait. Calls of other threads that wait sleep until it has, or their time is
 * up: so it has to call process whenever its loop says so, and callbacks (vfu_client_fn,
 * vfu_client_call_fn, those of DMA) run on no other thread, as a simulator or an event loop wants
 * it. Not on: whoever waits reads, as at the beginning. It holds for later connections, too. A call
 * of another thread that reads already does so to its end, and what ends a connection ends its
 * requests where it is called.
 */
int vfu_client_set_reader(struct vfu_client *cl, bool on);
/* Serves the device's DMA for timeout_ms (-1: until disconnected). Number of requests served, or
 * -errno. A device that does not read the answers is not served until it does. */
int vfu_client_serve(struct vfu_client *cl, int timeout_ms);

/* ---- client, regions */

/* What was agreed of one capability: see "Capabilities", vfu_common(3). */
int vfu_client_agreed(struct vfu_client *cl, const char *name, uint64_t *value);
/* Version and limits agreed. */
struct vfu_client_limits {
	uint16_t major, minor;
	uint32_t max_msg_fds, max_dma_maps;
	uint64_t max_data_xfer_size, pgsizes;
	bool write_multiple, twin_socket;
};
int vfu_client_limits(struct vfu_client *cl, struct vfu_client_limits *out);

/* What GET_INFO says. */
struct vfu_device_info {
	uint32_t num_regions, num_irqs;
	bool pci, reset;
};
/*
 * What the device says of itself, its regions and its interrupts is asked for once a connection,
 * and kept with the descriptors; later calls get copies. vfu_client_forget_info has all of it asked
 * for anew, for a device that changes; what was kept is freed when the connection ends.
 */
int vfu_client_device_info(struct vfu_client *cl, struct vfu_device_info *out);
void vfu_client_forget_info(struct vfu_client *cl);

/* What GET_REGION_INFO says of a region. */
struct vfu_region_info {
	uint64_t size, offset; /* offset: into fd */
	uint32_t flags;        /* VFU_REGION_* */
	int fd;                /* -1, or the caller's to close (vfu_region_info_fini) */
	unsigned nareas;       /* 0: all of it may be mapped, if VFU_REGION_MMAP */
	struct vfu_area *areas;
	uint32_t type, subtype; /* capability 2; 0: none */
	/* All the server has said, as vfu/wire.h lays it out and vfu/parts.h reads it. */
	const void *reply;
	size_t reply_len;
	/* The files of areas, if each has its own, in place of fd; NULL: all are in that. Closed by
	 * vfu_region_info_fini. Only with a server that was asked for it (sparse_mmap_fds). */
	struct vfu_area_file *files;
};
/* Fills out; on success call vfu_region_info_fini. */
int vfu_client_region_info(struct vfu_client *cl, unsigned index, struct vfu_region_info *out);
void vfu_region_info_fini(struct vfu_region_info *info);
/* Part of a region as memory. */
struct vfu_region_map {
	void *addr;
	size_t len;
	struct vfu_watch *watch; /* vfu_watch_is_lost, once the memory was touched */
	void *base;              /* the library's, down to the end */
	size_t base_len;
};
/*
 * Maps what the device says may be mapped: len bytes from offset on that lie in one area, 0: to its
 * end. It is the caller's, and outlives the connection. The device does not see accesses to it,
 * and writes are not posted any more (vfu_client_region_post). -EINVAL: not all of it may be mapped; an
 * error of mmap(2).
 */
int vfu_client_region_map(struct vfu_client *cl, unsigned index, uint64_t offset, uint64_t len,
			  struct vfu_region_map *out);
/* Unmaps it; again: nothing. */
void vfu_region_map_fini(struct vfu_region_map *map);
/*
 * Index of the device's own region that has this type and subtype, or -ENOENT. Asks about each from
 * VFU_REGIONS on, and of at most VFU_REGIONS_MAX.
 */
int vfu_client_find_region(struct vfu_client *cl, uint32_t type, uint32_t subtype);
/* The nth capability, whatever it is; it points into info. False: there are no more. */
bool vfu_region_info_capability(const struct vfu_region_info *info, unsigned n,
				struct vfu_region_capability *out);

/* What GET_IRQ_INFO says of an interrupt: what it can do, and how many vectors it has. */
struct vfu_irq_info {
	uint32_t flags, count; /* VFU_IRQ_EVENTFD... */
};
/* Asked for once a connection, as vfu_client_device_info says. */
int vfu_client_irq_info(struct vfu_client *cl, unsigned index, struct vfu_irq_info *out);

/*
 * Reads or writes len bytes, split at max_data_xfer_size, and waits for the answers. 0: all is
 * done; after an error some of the pieces may be. -EINVAL: the device refuses such an access, beyond
 * its region or not as that may be used; vfu_client_err tells which, if the region's info is known.
 *
 * With VFU_OPT_MAPPED, and vfu_sigbus_guard on, an access that lies inside of an area which the
 * device lets be mapped is made in that memory: one load or store where it is of 1, 2, 4 or 8
 * aligned bytes, a copy else. All other accesses are messages as ever, and so are those of
 * functions with a callback. The order of one thread's accesses is kept: each waits for its answer,
 * and posted writes wait, too. -EFAULT, from then on: the server has cut the file.
 *
 * With VFU_OPT_IOEVENTS a write, posted ones too, for which the device has given an eventfd
 * (offset, size and value are what it says, see vfu_client_io_fds) signals that, and is done. What
 * was posted before, in a batch too, is sent first, as far as the socket takes it; but the device
 * hears of a signal when it looks at it, maybe after messages that are sent later, and of two such
 * writes maybe once (E52): who has to know that it was seen reads something back until it is. An
 * eventfd with a shadow memory is left to messages.
 *
 * The first access of each region asks what there is to be used so, and memory is mapped when it is
 * used first; in a callback, where nobody can be asked, it goes by message until then.
 */
int vfu_client_region_read(struct vfu_client *cl, unsigned index, uint64_t offset, void *buf,
			   size_t len);
int vfu_client_region_write(struct vfu_client *cl, unsigned index, uint64_t offset, const void *buf,
			    size_t len);
/* Little-endian numbers, as PCI has them, on any host; each is one access. */
int vfu_client_region_read8(struct vfu_client *cl, unsigned index, uint64_t offset, uint8_t *value);
int vfu_client_region_read16(struct vfu_client *cl, unsigned index, uint64_t offset,
			     uint16_t *value);
int vfu_client_region_read32(struct vfu_client *cl, unsigned index, uint64_t offset,
			     uint32_t *value);
int vfu_client_region_read64(struct vfu_client *cl, unsigned index, uint64_t offset,
			     uint64_t *value);
int vfu_client_region_write8(struct vfu_client *cl, unsigned index, uint64_t offset, uint8_t value);
int vfu_client_region_write16(struct vfu_client *cl, unsigned index, uint64_t offset,
			      uint16_t value);
int vfu_client_region_write32(struct vfu_client *cl, unsigned index, uint64_t offset,
			      uint32_t value);
int vfu_client_region_write64(struct vfu_client *cl, unsigned index, uint64_t offset,
			      uint64_t value);
/*
 * Write without an answer (No_reply): ordered before later requests of this client; what the device
 * says is not reported. Returns when it is in the socket, or somebody is known to put it there:
 * another thread in vfu_client_serve, or an event loop (vfu_client_pollfds was called, and process
 * not since). Else it waits, serving the device's DMA meanwhile; also while the queue is full.
 * -ETIMEDOUT after VFU_OPT_TIMEOUT_MS, -EINTR: it is still sent when the socket takes it. In a DMA
 * callback it never waits: -ENOBUFS with a full queue. It waits for the answer after all with
 * VFU_OPT_POSTED 0, with the profile "one-at-a-time", and from when the program may have mapped a
 * region until the connection ends, as a posted write has no order with accesses to that memory:
 *	- vfu_client_region_info has told it of a region with VFU_REGION_MMAP, any region;
 *	- vfu_client_region_map has mapped one;
 *	- an access was made in memory (VFU_OPT_MAPPED).
 */
int vfu_client_region_post(struct vfu_client *cl, unsigned index, uint64_t offset, const void *buf,
			   size_t len);
/*
 * A batch of the calling thread: what it posts until the end waits to be sent together, small
 * writes (1 to 8 bytes) in messages of up to 200 (REGION_WRITE_MULTI) if the device agreed to
 * write_multiple. Each is done as if it had come alone, in the order of the calls. They are sent
 *	- with the end, which returns as vfu_client_region_post does: when they are in the socket, or somebody is known
 *	  to put them there, else -ETIMEDOUT, -EINTR (they are still sent when the socket takes them), -ENOTCONN (also
 *	  if the client has connected again since the first of them, which may be lost then);
 *	- before any other message of this client, of whatever thread: a read sees what was posted before it;
 *	- when 1,024 wait; with a full socket the post then waits until 128 are left;
 *	- when the connection is ended, as far as the socket takes them at once.
 * Batches can be begun in one another: the last end counts. Other threads post as ever, and may
 * have batches of their own. -EINVAL: the end of none. In a DMA callback nothing waits, as with
 * vfu_client_region_post. Without a batch small writes share messages, too, where more than 1,024
 * wait for somebody who is known to send them, until 128 do.
 */
int vfu_client_post_begin(struct vfu_client *cl);
int vfu_client_post_end(struct vfu_client *cl);
/*
 * The same without a wait, for who is in a hurry: what a full socket does not take goes with the
 * next call.
 */
int vfu_client_post_leave(struct vfu_client *cl);
/* The calling thread has begun a batch. */
bool vfu_client_is_posting(struct vfu_client *cl);
/* status: bytes moved or negative errno. Runs on the thread that reads, with no lock held. It may make
 * calls that wait: what else comes is handled meanwhile, so it may be entered again. */
typedef void vfu_client_fn(void *user, int status);
/* One message, at most max_data_xfer_size. buf stays the library's until fn runs (reads); writes
 * are copied. -ENOBUFS: queue full. */
int vfu_client_region_read_async(struct vfu_client *cl, unsigned index, uint64_t offset, void *buf,
				 size_t len, vfu_client_fn *fn, void *user);
int vfu_client_region_write_async(struct vfu_client *cl, unsigned index, uint64_t offset,
				  const void *buf, size_t len, vfu_client_fn *fn, void *user);

/* An access with all that can be said of it. All zero, but size, buf and len, will do. */
struct vfu_client_access {
	size_t size; /* sizeof(struct vfu_client_access): later versions append */
	bool is_write;
	unsigned index; /* the region */
	uint64_t offset;
	void *buf; /* what is read goes there; what is written comes from there, and stays as it is */
	size_t len;
	int timeout_ms;    /* for each message's answer; 0: VFU_OPT_TIMEOUT_MS; -1: none */
	vfu_client_fn *fn; /* NULL: the call waits */
	void *user;
	uint64_t
		id; /* set when the call returns 0 and there is a fn: for vfu_client_cancel, never 0 */
};
/* vfu_client_region_read or _write, or with a fn their _async. */
int vfu_client_region_access(struct vfu_client *cl, struct vfu_client_access *access);
/*
 * What vfu_client_err would say, had the call waited for an access whose fn was told this status: *err,
 * code 0 if that is no error. A refusal (-EINVAL) is explained by what the device has said of the region,
 * and nothing is asked for it. Any thread, in fn too.
 */
void vfu_client_explain(struct vfu_client *cl, const struct vfu_client_access *access, int status,
			struct vfu_err *err);
/*
 * Gives up an access that has a fn, or a call of vfu_client_call_async. 0: fn does not run, and buf
 * is the caller's again; the device may do it all the same, what it answers is dropped. -ENOENT: it
 * has ended, or is about to: fn has run, runs or will. Any thread, in callbacks too; elsewhere than
 * on the thread that reads it can take a quarter of a second while buf is being filled.
 */
int vfu_client_cancel(struct vfu_client *cl, uint64_t id);

/* ---- client, configuration space and BARs */

/*
 * What a PCI device has in its configuration space, as firmware and drivers find it. All of it is
 * asked for anew, in accesses that a CPU makes: 1, 2 or 4 aligned bytes, for servers need not know
 * others. -ENODEV: the device is not PCI. -EPROTO: what it says can not be; the detail tells. Any
 * thread; who sizes or places BARs should be the only one just then.
 */
int vfu_client_config_read(struct vfu_client *cl, unsigned offset, void *buf, size_t len);
int vfu_client_config_write(struct vfu_client *cl, unsigned offset, const void *buf, size_t len);

/* A capability in configuration space; version: of an extended one, which are from 0x100 on. */
struct vfu_client_capability {
	uint16_t id, offset;
	uint8_t version;
};
/*
 * The list of capabilities, or of the extended ones, in its order: fills at most room, and returns
 * how many there are; 0 is a good answer. -EPROTO: the list comes back to where it was, or leaves
 * the place of such capabilities.
 */
int vfu_client_capabilities(struct vfu_client *cl, bool extended,
			    struct vfu_client_capability *list, unsigned room);
/*
 * Offset of a capability by its id, the first or (after: an offset) the next one behind another in
 * the list; -ENOENT.
 */
int vfu_client_find_capability(struct vfu_client *cl, unsigned id, unsigned after);
int vfu_client_find_extended_capability(struct vfu_client *cl, unsigned id, unsigned after);

/* MSI-X: where its table and its pending bits are, and what Message Control says. */
struct vfu_client_msix {
	uint32_t count;  /* vectors */
	uint32_t offset; /* of the capability */
	uint32_t table_bar, table_offset, pending_bar, pending_offset;
	bool is_enabled, is_masked; /* masked: all of them */
};
/* -ENOENT: the device has none. */
int vfu_client_msix(struct vfu_client *cl, struct vfu_client_msix *out);
/* An entry of the table, as the device has it. */
struct vfu_client_msix_entry {
	uint64_t address;
	uint32_t data;
	bool is_masked, is_pending;
};
/*
 * Reads it from the BARs, which some devices want to be placed for that (vfu_client_assign_bars).
 * -EINVAL: no such vector.
 */
int vfu_client_msix_entry(struct vfu_client *cl, const struct vfu_client_msix *msix,
			  unsigned vector, struct vfu_client_msix_entry *out);

/* What has an address: the BARs, and the expansion ROM. Their indices are those of the regions. */
enum { VFU_BARS = 7 };
/* Of a ROM: it is decoded, as long as memory is. */
enum { VFU_BAR_ROM_ON = 8 };
/* A base address register. size 0: there is none, or it is the upper half of the one before. */
struct vfu_client_bar {
	uint64_t size, address;
	uint32_t flags; /* VFU_BAR_IO, _64, _PREFETCH; _ROM_ON */
};
/*
 * Finds the BARs by what their registers keep of ones that are written, as firmware does, not by
 * the sizes of regions, and so the ROM, if its region has a size. What they held is there again
 * afterwards; while it is not, decoding of I/O and memory is off in Command.
 */
int vfu_client_bars(struct vfu_client *cl, struct vfu_client_bar bars[VFU_BARS]);

/* Where BARs may be placed; a size of 0: nowhere. */
struct vfu_client_windows {
	size_t size;              /* sizeof(struct vfu_client_windows): later versions append */
	struct vfu_area io;       /* below 4 GiB */
	struct vfu_area memory;   /* below 4 GiB */
	struct vfu_area memory64; /* anywhere */
	bool is_rom_on; /* the ROM is decoded; else it has its place, and what enables it is off */
};
/*
 * Places the BARs as firmware does and then turns on decoding of I/O and memory, of what there is,
 * in Command: there are servers that refuse all accesses to BARs before. Each is aligned to its
 * size. BARs with 64 bits that are prefetchable go to memory64, the others and the ROM to memory;
 * of those that there is no room for, 64-bit ones go to the other window. windows: NULL for I/O
 * 0x1000 to 0xffff, memory 0xe0000000 to 0xfebfffff, memory64 from 2^39 to 2^47: keep DMA ranges
 * out of them, as devices may find their own BARs there. bars, if not NULL, is filled. -ENOSPC:
 * there is no room, and then, and after other errors if the device lets it, all is as it was. A
 * reset may take it all away.
 */
int vfu_client_assign_bars(struct vfu_client *cl, const struct vfu_client_windows *windows,
			   struct vfu_client_bar bars[VFU_BARS]);

/* ---- client, interrupts */

/*
 * Turns Command.BusMaster of a PCI device on, without which it may neither reach memory nor send
 * MSI and MSI-X (E63). Does nothing if it was called since connecting and the last reset, or with
 * VFU_OPT_BUS_MASTER 0, and then waits for nothing. vfu_client_dma_map and
 * vfu_client_irq_set_eventfds (MSI, MSI-X) call it; who goes on using after a reset what was there
 * before calls it again.
 */
int vfu_client_use_bus_master(struct vfu_client *cl);

/*
 * Gives vectors start..start+count-1 their eventfds (kept by the caller; -1: none). Split at the
 * peer's max_msg_fds; a message never mixes descriptors and none (E32). There are servers with one
 * table for all indices: with them disable one index before another is given eventfds.
 *
 * The device then has the same open files: it may take what they count, and clear O_NONBLOCK. So
 * wait with vfu_client_irq_wait, or poll(), and take the count with vfu_eventfd_take: read() can
 * sleep.
 */
int vfu_client_irq_set_eventfds(struct vfu_client *cl, unsigned index, unsigned start,
				unsigned count, const int *fds);
/*
 * The same with eventfds made where fds has -1; all are the caller's to close. After an error there
 * are none that were made.
 */
int vfu_client_irq_enable(struct vfu_client *cl, unsigned index, unsigned start, unsigned count,
			  int *fds);
/*
 * Waits until an eventfd of a vector is signalled, timeout_ms at most (-1: for ever), and serves
 * the device's DMA meanwhile, or leaves that to the thread that does. 1: it was, *count times since
 * that was last taken; 0: not in time. -EINTR: the interrupt hook said so; it may be called again.
 * -ENOTCONN and the like: the connection ends, and none will come; looked at with timeout_ms 0,
 * too. -EDEADLK: in a function that serves DMA. -EBADF: fd is not open. After any error *count is 0; it
 * must not be NULL. Of several threads that wait for one eventfd one takes the count, and the others
 * wait on. Any eventfd will do. Any thread.
 */
int vfu_client_irq_wait(struct vfu_client *cl, int fd, int timeout_ms, uint64_t *count);
/*
 * Takes what an eventfd counts, and never sleeps, whatever the other side does to it: 0; -EAGAIN:
 * nothing. Any thread.
 */
int vfu_eventfd_take(int fd, uint64_t *count);
/*
 * The other way round: the vectors of an interrupt that is VFU_IRQ_MASKABLE get eventfds (-1: none,
 * any more) that the caller signals to mask or unmask them, without a message; INTx is such a one,
 * and KVM's resampling signals the second. The device does it once for all signals since it last
 * looked, and those of before count. They are not ordered with messages (E52). Split as above;
 * vfu_client_irq_disable takes them away too.
 */
int vfu_client_irq_set_mask_eventfds(struct vfu_client *cl, unsigned index, unsigned start,
				     unsigned count, const int *fds);
int vfu_client_irq_set_unmask_eventfds(struct vfu_client *cl, unsigned index, unsigned start,
				       unsigned count, const int *fds);
/* Takes all eventfds of an interrupt away: nothing more is raised. */
int vfu_client_irq_disable(struct vfu_client *cl, unsigned index);
/* Masks and unmasks vectors start..start+count-1, by message. */
int vfu_client_irq_mask(struct vfu_client *cl, unsigned index, unsigned start, unsigned count);
int vfu_client_irq_unmask(struct vfu_client *cl, unsigned index, unsigned start, unsigned count);
/* Makes the device raise the vectors (loopback test). */
int vfu_client_irq_trigger(struct vfu_client *cl, unsigned index, unsigned start, unsigned count);
enum { VFU_IRQ_DO_MASK = 8, VFU_IRQ_DO_UNMASK = 16, VFU_IRQ_DO_TRIGGER = 32 };
/*
 * One of these to some of count vectors, in one message (DATA_BOOL, E34): those whose byte in which
 * is not 0.
 */
int vfu_client_irq_do(struct vfu_client *cl, unsigned index, unsigned what, unsigned start,
		      unsigned count, const uint8_t *which);

/* ---- client, DMA */

/*
 * Lets the device reach [iova, iova + size). flags: VFU_DMA_*, or any of DMA_MAP (vfu/wire.h) whose
 * rules hold; -EINVAL, which names field and rule, before anything is sent if not. host: the
 * memory, served by this client for DMA messages, or NULL (vfu_client_set_dma). fd: the file behind
 * it at fd_offset, which the device maps (it stays the caller's, who may close it when this has
 * returned), or -1: by message only, as with VFU_OPT_DMA_SHARE 0, when neither the file nor flags
 * of how it is used go to the device. The memory must stay until the unmap.
 *
 * What this library's server refuses: -EEXIST overlaps a range, -ENOSPC too many ranges or
 * files (E9), -EINVAL past the end of the file or no regular one (E67), -EACCES the file is not
 * open for what flags allow, -EPERM it is sealed against that, or what the device's hook gate
 * says. A map that fails is not there: the library does not touch host after
 * this returns. After -ETIMEDOUT and the like the server may have it all the same: unmap it before
 * you map there again.
 *
 * The device's requests by message are done whole or not at all (E2); where flags do not allow one
 * it gets EACCES, where nothing is mapped EFAULT.
 */
int vfu_client_dma_map(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
		       void *host, int fd, uint64_t fd_offset);
/*
 * New zeroed memory, mapped as by vfu_client_dma_map with the file behind it: *host, NULL after an
 * error. It is the library's, which frees it when the range has been taken back, by whichever of
 * the two below, and whatever they return but a server's refusal. Else it stays, also if the
 * connection ends, until the client is freed or connects anew. Any thread.
 */
int vfu_client_dma_alloc(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
			 void **host);
/*
 * Takes back whole ranges inside [iova, iova + size). They stay only if the server refuses, or
 * could not be asked (-EINVAL, -ENOMEM, -ENOBUFS...). Where nothing is mapped the server is asked
 * all the same; this library's says 0. After 0, and after -ETIMEDOUT, -EINTR, -EDEADLK,
 * -ENOTCONN or -EPROTO, when nobody knows what the server did, the library neither touches host nor
 * calls vfu_client_set_dma's function for them any more; a copy under way in another thread is
 * waited for. What the server mapped from the file it may reach for longer unless this is 0. Not in
 * that function: -EDEADLK, and nothing happened.
 */
int vfu_client_dma_unmap(struct vfu_client *cl, uint64_t iova, uint64_t size);
/*
 * The same for all ranges: in one message if the policy unmap_all is "flag" (E6) and the server
 * does not refuse it, else in one for each, which do not wait for one another. The first error; one
 * that the server has refused keeps no other from going.
 */
int vfu_client_dma_unmap_all(struct vfu_client *cl);
/*
 * Copies up to n ranges in ascending order to out; returns how many there are, those among them
 * whose map is not answered yet. mapped: the device has the file.
 */
size_t vfu_client_dma_ranges(struct vfu_client *cl, struct vfu_dma_range *out, size_t n);
/*
 * Queues a map without waiting; vfu_client_fence waits for all and returns the first error of a map
 * of this connection, or of those before it if the client has connected again, that no fence has
 * told yet.
 */
int vfu_client_dma_map_nowait(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
			      void *host, int fd, uint64_t fd_offset);
int vfu_client_fence(struct vfu_client *cl);
/*
 * Serves DMA of ranges that have no host memory, those of a simulator: 0 or a negative errno for
 * the device. A read fills data, all of it. A transfer that goes beyond a range is served in
 * pieces, of each range its own. Runs on whichever thread waits for the device, or processes; no
 * call that waits for the device inside: -EDEADLK.
 */
typedef int vfu_client_dma_fn(void *user, bool is_write, uint64_t iova, void *data, size_t len);
/* Has fn serve the ranges without host memory that have no function of their own; NULL: none does,
 * and they are -EFAULT. */
void vfu_client_set_dma(struct vfu_client *cl, vfu_client_dma_fn *fn, void *user);
/* As vfu_client_dma_map, of a range that fn serves, which the device has no file of. */
int vfu_client_dma_map_fn(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
			  vfu_client_dma_fn *fn, void *user);

/*
 * A simulator's memory may take its time. In such a function vfu_client_dma_later takes the piece
 * out, the function returns VFU_LATER, and vfu_client_dma_answer, on any thread, says 0 or a
 * negative errno; other transfers go on meanwhile. What it is about is then in vfu_client_dma_data,
 * no longer where the function found it: the bytes to write, or room for those that are read,
 * zeroed. The device has its answer when all pieces of a transfer have theirs, with the first error
 * if there is one. Unmapping does not wait for it: a device that has let go of a range does not
 * wait for data of it either.
 *
 * later: NULL if there are so many that they hold VFU_OPT_QUEUE_BYTES, or no memory: the function
 * can then return -ENOBUFS; also if it was called for this piece, or not in such a function. Each
 * must be answered, once, before vfu_client_free. answer frees it. -ENOTCONN: the connection that
 * it was of has ended; else 0.
 */
struct vfu_client_dma;
struct vfu_client_dma *vfu_client_dma_later(struct vfu_client *cl);
void *vfu_client_dma_data(struct vfu_client_dma *dma);
int vfu_client_dma_answer(struct vfu_client_dma *dma, int status);

/*
 * Which addresses are free: for who maps where there is room. It knows no client, but what it is
 * told, and may be for several that share addresses. From 0xfee00000 on 1 MiB is reserved from the
 * beginning: on x86 what a device writes there is an interrupt. All of these in O(log n) of what is
 * in use, alloc and the ranges below that are long enough but lie badly. Any thread.
 */
struct vfu_iova;
/*
 * Gives addresses first to last (UINT64_MAX: as far as there are any). NULL: last is lower, or out
 * of memory.
 */
struct vfu_iova *vfu_iova_new(uint64_t first, uint64_t last);
void vfu_iova_free(struct vfu_iova *space);
/*
 * Of these size addresses from iova on alloc gives none, also when they are given back that are in
 * use now. They may overlap. -EINVAL: none, or beyond 64 bits; -ENOMEM.
 */
int vfu_iova_reserve(struct vfu_iova *space, uint64_t iova, uint64_t size);
/*
 * The lowest free addresses that begin at a multiple of align (a power of two; at least 4096) and
 * end at last or below (UINT64_MAX: wherever; a device of 32 address bits: UINT32_MAX). They are in
 * use then. -ENOSPC: there are none; -EINVAL: size is 0, or align no power of two; -ENOMEM.
 */
int vfu_iova_alloc(struct vfu_iova *space, uint64_t size, uint64_t align, uint64_t last,
		   uint64_t *iova);
/*
 * Puts just these into use, which may be reserved, and lie anywhere. -EEXIST: some are in use;
 * -EINVAL: none, or beyond 64 bits; -ENOMEM.
 */
int vfu_iova_take(struct vfu_iova *space, uint64_t iova, uint64_t size);
/*
 * Those from iova on, which alloc gave or take put into use, are so no more. -ENOENT: none begin
 * there.
 */
int vfu_iova_give(struct vfu_iova *space, uint64_t iova);

/* ---- client, any message */

/* RESET; the device's error as its negative errno. Bus mastering counts as off then
 * (vfu_client_use_bus_master). */
int vfu_client_reset(struct vfu_client *cl);
/*
 * DEVICE_FEATURE: flags are VFIO's (bits 0-15 feature, 16 get, 17 set, 18 probe); data in and out,
 * *len its room and then its length. A set sends *len bytes, a get what the protocol has it ask
 * with (of the dirty log 24 bytes that say which part), else none. -ENOTTY: unsupported.
 */
int vfu_client_feature(struct vfu_client *cl, uint32_t flags, void *data, size_t *len);

/* A message to the device and its answer. All zero, but size and command, will do. */
struct vfu_call {
	size_t size;         /* sizeof(struct vfu_call): later versions append */
	unsigned command;    /* its number (vfu_command_number) */
	bool post;           /* wants no answer (No_reply), where its kind allows it */
	int timeout_ms;      /* 0: VFU_OPT_TIMEOUT_MS; -1: none */
	const void *request; /* payload, and descriptors; all stays the caller's */
	size_t request_len;
	const int *fds;
	unsigned nfds;
	/* The answer, after success: see vfu_call_fini. */
	const void *reply; /* 8-byte aligned; NULL: there is none */
	size_t reply_len;
	int *reply_fds; /* set those to -1 that you take */
	unsigned reply_nfds;
	void *reply_owner; /* the library's */
	uint64_t
		id; /* vfu_client_call_async sets it to what vfu_client_cancel takes, but of a post */
};
/*
 * Sends any message of the protocol's table that clients send and whose state is not the library's
 * (spec/, key "keeps"), or one that the table lacks, and waits for the answer as other calls do.
 * Both are held to the generated checks; of unknown ones nothing is known but that
 * max_data_xfer_size and max_msg_fds bound them. -EOPNOTSUPP: the message is left to the library.
 * -EINVAL, with field and rule in vfu_client_err: the request breaks a rule, and was not sent.
 * -EPROTO, likewise: the answer does, and the connection has ended. The device's error as its
 * negative errno. What vfu_client_region_info notes of a region (vfu_client_region_post) is not
 * noted here. Any thread.
 */
int vfu_client_call(struct vfu_client *cl, struct vfu_call *call);
/*
 * Frees the answer, and closes its descriptors but those that are -1. Not needed after a failure.
 */
void vfu_call_fini(struct vfu_call *call);
/*
 * The same without waiting. fn runs exactly once if 0 is returned, not inside of this call, on the
 * thread that reads and with no lock held; status: 0 or a negative errno, as vfu_client_call
 * returns it. answer has what struct vfu_call says of one, the payload at any alignment, and is the
 * library's: it lasts until fn returns, and so do its descriptors but those that are set to -1. Of
 * a call that wants no answer (post) fn does not run, and may be NULL. -ENOBUFS: the queue is full.
 * In callbacks, too.
 */
typedef void vfu_client_call_fn(void *user, int status, struct vfu_call *answer);
int vfu_client_call_async(struct vfu_client *cl, struct vfu_call *call, vfu_client_call_fn *fn,
			  void *user);

/*
 * Descriptors that take accesses to parts of a region in place of messages (GET_REGION_IO_FDS): a
 * client gives them to KVM for its guest, or signals the eventfds itself. What it does there is not
 * ordered with messages (E52).
 */
struct vfu_io_fd {
	uint32_t type;  /* VFU_IO_*; those that nobody here knows are left out (E4) */
	uint32_t flags; /* VFU_IOEVENT_*, or VFU_IOREGION_* */
	uint64_t offset,
		size; /* in the region, always inside of it; size 0: any access at offset */
	uint64_t
		datamatch; /* VFU_IOEVENT_MATCH: the value that signals; user data of an ioregionfd */
	int fd;
	int shadow_fd; /* VFU_IO_SHADOW: where the value is stored before the signal, else -1 ... */
	uint64_t shadow_offset; /* ... at this offset */
};
enum { VFU_IO_EVENTFD, VFU_IO_REGIONFD, VFU_IO_SHADOW };
struct vfu_io_fds {
	struct vfu_io_fd *list; /* several may have the same descriptor */
	unsigned n;
	struct vfu_call answer; /* the library's: all that the device has said */
};
/*
 * Fills *out; on success call vfu_io_fds_fini, which closes the descriptors: dup() those that are
 * to stay. No entries is a good answer (E5). -EPROTO: an entry breaks a rule, or is outside of the
 * region. The device tells of as many as VFU_OPT_MAX_MSG_FDS has room for.
 */
int vfu_client_io_fds(struct vfu_client *cl, unsigned index, struct vfu_io_fds *out);
void vfu_io_fds_fini(struct vfu_io_fds *fds);

#ifdef __cplusplus
}
#endif
#endif
