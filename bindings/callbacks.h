/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * callbacks.h - the hand-written half of the raw Python module: everything in which C calls Python.
 * SWIG wraps the functions of the second part (see vfu.i); all of them are called with the GIL and
 * return NULL or -1 with a Python exception set. The package python/vfu is their only user.
 */
#ifndef VFU_BINDINGS_CALLBACKS_H
#define VFU_BINDINGS_CALLBACKS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "vfu.h"

#ifndef SWIG
/*
 * Python object that owns a struct vfu_device and what its callbacks need. The device's Python
 * object owns it, the other way it only borrows: no cycle. Callbacks run only while a server serves
 * the device, and the server's Python object keeps the device's alive.
 */
struct vfupy_device {
	PyObject_HEAD struct vfu_device *dev;
	PyObject *self;                  /* borrowed: the vfu.Device whose methods are called */
	struct handler *handlers;        /* all that were ever registered, newest first */
	struct served *served;           /* commands and features, newest first */
	uint64_t sizes[VFU_REGIONS_MAX]; /* of the regions */
	unsigned views;                  /* objects of Python that refer to memory of regions */
	struct vfu_server *serving;      /* what server_serve has under way */
	PyObject *
		raised; /* KeyboardInterrupt and the like, caught in a callback, to be raised later */
};

/* Adds the types to the module: all of them, those of each file. */
int vfupy_init(PyObject *module);
int vfupy_init_device(PyObject *module);
int vfupy_init_access(void);
int vfupy_init_buffers(PyObject *module);
int vfupy_init_commands(PyObject *module);
int vfupy_init_port(void);
/* The numbers in a list, to be freed with PyMem_Free; NULL with an exception. */
int *vfupy_parse_fds(PyObject *fds, unsigned *n);
/* (payload, descriptors) of an answer; the descriptors move to the list. */
PyObject *vfupy_answer_of(struct vfu_call *call);
/* Registers that were half written are not any more. */
void vfupy_forget_halves(struct vfupy_device *d);
/* Closes a coroutine that there is no place for, and raises why. -1. */
int vfupy_no_coroutine(PyObject *coroutine, const char *why);
/* Calls a method of the device with arguments built by format (Py_BuildValue, a tuple). A failure is logged and its errno returned. GIL held. */
int vfupy_call_method(struct vfupy_device *d, const char *name, const char *format, ...);
/* What the device's regions and commands are served by, before it goes. */
void vfupy_handlers_free(struct vfupy_device *d);
void vfupy_served_free(struct vfupy_device *d);

/*
 * Data of a request as a buffer that may outlive it: a copy of from, read-only, or NULL: zeroes to be
 * filled, for vfupy_data_get.
 */
PyObject *vfupy_data_new(const void *from, size_t len);
void vfupy_data_get(PyObject *data, void *to);

/*
 * Room for what an access reads: bytes of their own if into is a length, else into's memory, in view. -1 with an exception.
 */
int vfupy_make_room(PyObject *into, Py_buffer *view, PyObject **bytes, struct vfu_client_access *a);

/* A list for Python; frees ranges. What a capsule of hold_buffer() keeps; NULL with an exception. */
PyObject *vfupy_range_list(struct vfu_dma_range *ranges, size_t n);
Py_buffer *vfupy_held(PyObject *hold);

/* From Python object to C; NULL with a TypeError set if it is none. */
struct vfupy_device *vfupy_device_of(PyObject *object);

/* The exception for a negative errno, with the detail if that is of it. */
PyObject *vfupy_error_of(int code, const struct vfu_err *err);
/* Raises the Python exception for a negative errno, with the detail of the handle. */
void vfupy_raise(int code, const struct vfu_err *err);
void vfupy_raise_device(struct vfu_device *dev, int code);
void vfupy_raise_server(struct vfu_server *srv, int code);
void vfupy_raise_client(struct vfu_client *cl, int code);
void vfupy_raise_client_err(struct vfu_client *cl, int code, const struct vfu_err *err);
void vfupy_raise_plain(const void *handle, int code);
/*
 * Ends a callback that has an exception: it is logged, and the negative errno for the client returned.
 * What is no Exception (KeyboardInterrupt, SystemExit) is kept for device_reraise, which whoever drives
 * the server calls.
 */
int vfupy_failed(struct vfupy_device *d, PyObject *where);
/* Ends a call that cannot fail although it has: an exception is shown, Ctrl-C happens again a little later. */
void vfupy_lost(PyObject *where);
#endif

/* make_error(code, field, offset, text, has_ended) -> exception; report(where, exception) -> errno; log(level, text) */
PyObject *set_globals(PyObject *make_error, PyObject *report, PyObject *log);

/*
 * Regions: areas is a list of (offset, size); fd is taken. files: of the areas, (descriptor, offset), the caller's; empty: none.
 * BufferError while memory of regions is in use.
 */
PyObject *device_set_region(struct vfupy_device *d, unsigned index, uint64_t size, unsigned flags,
			    unsigned bar_flags, int fd, PyObject *areas, unsigned widths,
			    PyObject *files);
/* data: what follows id, version and next. */
PyObject *device_add_region_capability(struct vfupy_device *d, unsigned index, uint16_t id,
				       uint16_t version, PyObject *data);
/*
 * A register, or all of an array. read(device) -> int and write(device, value), or None: what reg says. Those of an
 * array (indexed) get the index before the value. how: REGISTER_* below.
 */
PyObject *device_add_register(struct vfupy_device *d, unsigned region, struct vfu_register *reg,
			      unsigned how, PyObject *read, PyObject *write);
enum {
	REGISTER_INDEXED = 1,
	REGISTER_KEEPS =
		2, /* write is called when the masks have had their effect, with what is held then */
	REGISTER_WHOLE =
		4, /* write is called once all bytes were written, in any number of accesses */
};
/*
 * read(device, offset, size) returns bytes or an int, write(device, offset, bytes); None: the memory behind it. raw: the
 * last argument is a memoryview, to be filled or of what was written.
 */
PyObject *device_add_range(struct vfupy_device *d, unsigned region, uint64_t offset, uint64_t size,
			   bool raw, PyObject *read, PyObject *write);
/*
 * places: a list of (offset, size, flags, datamatch); function(self) is called when the client signals. fd, the caller's: the
 * file in which a shadow ioeventfd of one place stores the value, at offset; -1: it is none.
 */
PyObject *device_add_ioevent(struct vfupy_device *d, unsigned region, PyObject *places,
			     PyObject *function, int fd, uint64_t offset);
/* Little-endian value in region memory; IndexError outside of it. */
PyObject *device_load(struct vfupy_device *d, unsigned region, uint64_t offset, unsigned width);
PyObject *device_store(struct vfupy_device *d, unsigned region, uint64_t offset, unsigned width,
		       PyObject *value);
/* Region memory as a buffer. */
PyObject *device_memory(struct vfupy_device *d, unsigned region);
/* Which hooks the device wants: one bit for each, in the order of struct vfu_device_hooks. */
PyObject *device_set_hooks(struct vfupy_device *d, unsigned which);
/* (pid, uid, gid) of the client. */
PyObject *device_peer(struct vfupy_device *d);
/*
 * Have the device's _command(number, request), _get_feature and _set_feature serve it. methods: 1 get, 2 set. Its
 * request is answered in the call or, after defer(), later.
 */
PyObject *device_set_command(struct vfupy_device *d, unsigned number);
PyObject *device_set_feature(struct vfupy_device *d, unsigned number, unsigned methods);
/* Raises what a callback left behind (KeyboardInterrupt, SystemExit) outside of the two below. */
PyObject *device_reraise(struct vfupy_device *d);
PyObject *device_set_log_level(struct vfupy_device *d, int level);

/*
 * Start a copy. They return what was read (or True) if it is done already, else None, and then call
 * done(status, what was read). into: a number of bytes, or a buffer to fill.
 */
PyObject *dma_read(struct vfupy_device *d, uint64_t iova, PyObject *into, PyObject *done);
PyObject *dma_write(struct vfupy_device *d, uint64_t iova, PyObject *data, PyObject *done);
/* Pinned client memory as a buffer. */
PyObject *dma_pin(struct vfupy_device *d, uint64_t iova, size_t len, unsigned flags);
/* Many pieces, (iova, size) of each, as one; and one byte to a whole range. */
PyObject *dma_readv(struct vfupy_device *d, PyObject *pieces, PyObject *done);
PyObject *dma_writev(struct vfupy_device *d, PyObject *pieces, PyObject *data, PyObject *done);
PyObject *dma_fill(struct vfupy_device *d, uint64_t iova, size_t len, unsigned byte,
		   PyObject *done);
/* Pins, also what needs a buffer: the memory, or None: done(status, memory) will say. */
PyObject *dma_pin_async(struct vfupy_device *d, uint64_t iova, size_t len, unsigned flags,
			PyObject *done);
/* Gives it back: True: written, or None: done(status, ...) will say. */
PyObject *dma_unpin(PyObject *memory, PyObject *done);
/* List of (iova, size, flags, mapped). */
PyObject *dma_ranges(struct vfupy_device *d);

/*
 * One round for an event loop. The timeout until the next in ms (-1: none), None: nothing left to serve.
 * Raises what a callback left behind (KeyboardInterrupt, SystemExit).
 */
PyObject *server_step(struct vfu_server *srv, struct vfupy_device *d);
/*
 * Serves in C until vfu_server_stop (True), nothing is left to serve (False), or a signal handler or a
 * callback has raised what is no Exception.
 */
PyObject *server_serve(struct vfu_server *srv, struct vfupy_device *d);
/* Raises what was wrong with the connection that ended last, if something was. */
PyObject *server_check_ended(struct vfu_server *srv);

/* Makes waits of the device's callbacks run Python's signal handlers, and ask the device's _check_wait(). */
PyObject *server_set_hooks(struct vfu_server *srv, struct vfupy_device *d);

/* Makes waits of the client run Python's signal handlers, and logging. */
PyObject *client_set_hooks(struct vfu_client *cl, int level);
/*
 * (event, state, attempts, restored, posts, exception or None), and told(that) whenever it changes, on whichever thread notices;
 * told must live as long as the client.
 */
PyObject *client_link(struct vfu_client *cl);
PyObject *client_set_link(struct vfu_client *cl, PyObject *told);
/* (size, offset, flags, fd, [(offset, size)...], type, subtype, reply, [(fd, offset) of areas...]); descriptors are the caller's. */
PyObject *client_region_info(struct vfu_client *cl, unsigned index);
/* ([(type, flags, offset, size, datamatch, fd, shadow fd, shadow offset)...], [fd...]); those in the second are the caller's. */
PyObject *client_io_fds(struct vfu_client *cl, unsigned index);
/* [(size, address, flags)...] of the BARs and the ROM, as they are found, and where they are placed. */
PyObject *client_bars(struct vfu_client *cl);
PyObject *client_assign_bars(struct vfu_client *cl, bool rom, uint64_t io, uint64_t io_size,
			     uint64_t memory, uint64_t memory_size, uint64_t memory64,
			     uint64_t memory64_size);
/* Accesses to a region, with errors that begin with name. owner: of cl, which lives as long. */
PyObject *client_port(struct vfu_client *cl, PyObject *owner, unsigned index, const char *name);
/* Sends a message: (payload, descriptors) of its answer, which are the caller's; None if it is posted. */
PyObject *client_call(struct vfu_client *cl, unsigned command, PyObject *payload, PyObject *fds,
		      int timeout_ms, bool post);
/*
 * Without waiting: done(status, result) is called once if they return; result of a read: bytes, or None if into is a
 * buffer, of a call: as of client_call. They return what client_cancel takes.
 */
PyObject *client_read_async(struct vfu_client *cl, unsigned index, uint64_t offset, PyObject *into,
			    int timeout_ms, PyObject *done);
PyObject *client_write_async(struct vfu_client *cl, unsigned index, uint64_t offset, PyObject *data,
			     int timeout_ms, PyObject *done);
PyObject *client_call_async(struct vfu_client *cl, unsigned command, PyObject *payload,
			    PyObject *fds, int timeout_ms, bool post, PyObject *done);
/* (text, field, offset): why one was told that errno, as vfu_client_explain says. */
PyObject *client_explain(struct vfu_client *cl, unsigned index, uint64_t offset, size_t size,
			 bool is_write, int code);
/* Gives one up. True: done is not called, and a buffer is free again; False: it has ended. */
PyObject *client_cancel(struct vfu_client *cl, PyObject *capsule);
/* Whether bytes wait for room in the socket: what is posted then might have to wait. */
PyObject *client_is_sending(struct vfu_client *cl);
/* What an eventfd counts, 0 if that is nothing: never sleeps. */
PyObject *eventfd_take(int fd);
/* Waits for an eventfd and serves DMA meanwhile. Its count, 0: timeout. */
PyObject *client_wait_eventfd(struct vfu_client *cl, int fd, int timeout_ms);
/* One action to the vectors whose byte is not 0. */
PyObject *client_irq_do(struct vfu_client *cl, unsigned index, unsigned what, unsigned start,
			PyObject *which);
PyObject *client_set_eventfds(struct vfu_client *cl, unsigned index, unsigned start, PyObject *fds);
PyObject *client_set_mask_eventfds(struct vfu_client *cl, unsigned index, unsigned start,
				   PyObject *fds);
PyObject *client_set_unmask_eventfds(struct vfu_client *cl, unsigned index, unsigned start,
				     PyObject *fds);
/*
 * hold: of hold_buffer(), must be kept until the range is unmapped. What is mapped is noted: maps[iova] = entry. queued: its
 * answer is left to vfu_client_fence.
 */
PyObject *client_map_buffer(struct vfu_client *cl, uint64_t iova, unsigned flags, PyObject *hold,
			    int fd, uint64_t fd_offset, bool queued, PyObject *maps,
			    PyObject *entry);
/*
 * The same with a function in place of memory, which must be kept as long: serve(is_write, iova, bytes, or how many) on the thread that
 * reads. It returns what was read, or 0, a negative errno, or VFU_LATER.
 */
PyObject *client_map_function(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
			      PyObject *serve, PyObject *maps, PyObject *entry);
/* In serve, which then returns VFU_LATER: what client_dma_answer ends; if that is never called, its end does, with ECANCELED. */
PyObject *client_dma_later(struct vfu_client *cl, PyObject *owner, size_t len);
/* With what was read (of a write b""), or a negative errno. False: nobody wants it any more. */
PyObject *client_dma_answer(PyObject *later, PyObject *data, int status);

/* As dma_ranges, of the client's own table. */
PyObject *client_dma_ranges(struct vfu_client *cl);

/* Keeps the memory of an object that has a buffer in place for as long as the result lives. */
PyObject *hold_buffer(PyObject *object);
/* Watches the memory of an object that has a buffer, until the result goes: before the memory does. */
PyObject *watch_buffer(PyObject *object);
/* Part of it was gone when it was touched (vfu_watch_is_lost). */
PyObject *watch_is_lost(PyObject *watch);
PyObject *eventfd_new(void);

/*
 * A relay. Notes hold blocks of pcapng, of each message no more than the first snaplen bytes, until they are
 * taken: (bytes, how many notes were lost so far, because more than `most` bytes waited).
 */
PyObject *relay_notes(size_t snaplen, size_t most);
PyObject *relay_take(PyObject *notes);
/* That a socket was opened (kind 1) or closed (2). */
PyObject *relay_note(PyObject *notes, unsigned kind, unsigned sender, bool twin,
		     unsigned connection);
/*
 * Moves and notes messages until the end: True if it was source that ended, False: nobody takes more. look,
 * if it is not None, is called with each message that has descriptors, look(bytes, [descriptor]), and returns
 * those that go on. OSError if the source fails, or if there are more descriptors than this process may have.
 */
PyObject *relay_pump(int source, int target, PyObject *notes, unsigned sender, bool twin,
		     unsigned connection, PyObject *look);

#endif
