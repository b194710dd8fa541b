/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * vfu.i - the raw Python module "libvfu": vfu.h as it is, with three changes. Negative results are
 * exceptions, (buffer, length) pairs are Python buffers, and what takes C callbacks comes from
 * callbacks.h. People use the package "vfu" (python/vfu), which is built on this.
 *
 * Every call of the library releases the GIL: it may wait, take a lock, or call back.
 */
%module(threads="1") libvfu
%nothreadblock;

%{
#include "callbacks.h"

/* The detail of an error is with the handle the call was about. */
#define RAISE(handle, code)                                                                        \
	_Generic((handle), struct vfu_device *: vfupy_raise_device,                                \
		 struct vfu_server *: vfupy_raise_server, struct vfu_client *: vfupy_raise_client, \
		 default: vfupy_raise_plain)(handle, code)
%}

%init %{
	if (vfupy_init(m) < 0)
		return NULL;
%}

%include <stdint.i>

/* ---- results ---- */

/* A signal handler may have raised while the call waited. */
%exception {
	$action
	if (PyErr_Occurred())
		SWIG_fail;
}

%typemap(out) int {
	if ($1 < 0) {
		RAISE(arg1, $1);
		SWIG_fail;
	}
	$result = PyLong_FromLong($1);
}

/* What any thread may call leaves no detail with the device. */
%typemap(out) int vfu_sigbus_guard, int vfu_irq_raise, int vfu_irq_raise_after, int vfu_irq_lower, int vfu_dma_read, int vfu_dma_write,
	int vfu_device_gate_done, int vfu_device_update_register, int vfu_server_agreed {
	if ($1 < 0) {
		vfupy_raise($1, NULL);
		SWIG_fail;
	}
	$result = PyLong_FromLong($1);
}

/* Absence is no failure here. */
%typemap(out) int vfu_server_timeout, int vfu_client_timeout, int vfu_server_listen_fd, int vfu_server_conn_fd,
	int vfu_server_twin_fd
	"$result = PyLong_FromLong($1);"

%typemap(out) struct vfu_server *vfu_server_new, struct vfu_client *vfu_client_new, struct vfu_iova *vfu_iova_new {
	if (!$1) {
		vfupy_raise(errno ? -errno : -ENOMEM, NULL);
		SWIG_fail;
	}
	$result = SWIG_NewPointerObj($1, $1_descriptor, SWIG_POINTER_OWN);
}

/* Python owns them. A call under way in another thread holds a reference: free waits for it. */
%nodefaultctor;
struct vfu_server {};
struct vfu_client {};
struct vfu_iova {};
%clearnodefaultctor;
%extend vfu_server {
	~vfu_server()
	{
		vfu_server_free($self);
	}
}
%extend vfu_client {
	~vfu_client()
	{
		vfu_client_free($self);
	}
}

%extend vfu_iova {
	~vfu_iova()
	{
		vfu_iova_free($self);
	}
}

%typemap(out) PyObject * "$result = $1;"

/* ---- arguments ---- */

%typemap(in) struct vfupy_device * {
	$1 = vfupy_device_of($input);
	if (!$1)
		SWIG_fail;
}
%typemap(in) struct vfu_device * {
	struct vfupy_device *handle = vfupy_device_of($input);

	if (!handle)
		SWIG_fail;
	$1 = handle->dev;
}
/* A handle that was closed is None. */
%typemap(check) struct vfu_server *, struct vfu_client * {
	if (!$1) {
		PyErr_SetString(PyExc_ValueError, "closed");
		SWIG_fail;
	}
}

/* A client, and the Python object that keeps it. */
%typemap(in) (struct vfu_client *cl, PyObject *owner) {
	int is_client = SWIG_ConvertPtr($input, (void **)&$1, $1_descriptor, 0);

	if (!SWIG_IsOK(is_client) || !$1) {
		PyErr_SetString(PyExc_TypeError, "a vfu_client is wanted");
		SWIG_fail;
	}
	$2 = $input;
}

/* The name of a socket is one of a file: str as os.fsdecode gives it, bytes, or a path. */
%typemap(in) const char *address (PyObject *name = NULL) {
	if (!PyUnicode_FSConverter($input, &name))
		SWIG_fail;
	$1 = PyBytes_AS_STRING(name);
}
%typemap(freearg) const char *address {
	Py_XDECREF(name$argnum);
}

/* Data to the library: anything that has a buffer. */
%typemap(in) (const void *buf, size_t len) (Py_buffer view = {0}) {
	if (PyObject_GetBuffer($input, &view, PyBUF_SIMPLE))
		SWIG_fail;
	$1 = view.buf;
	$2 = (size_t)view.len;
}
%typemap(freearg) (const void *buf, size_t len) {
	if (view$argnum.obj)
		PyBuffer_Release(&view$argnum);
}
%apply (const void *buf, size_t len) { (const void *data, size_t len) };

/* Data from the library: pass a length to get bytes, or a buffer to fill, which returns its length. */
%typemap(in) (void *buf, size_t len) (Py_buffer view = {0}, PyObject *bytes = NULL) {
	if (PyIndex_Check($input)) {
		Py_ssize_t len = PyNumber_AsSsize_t($input, PyExc_OverflowError);

		bytes = len >= 0 ? PyBytes_FromStringAndSize(NULL, len) : NULL;
		if (!bytes) {
			if (!PyErr_Occurred())
				PyErr_SetString(PyExc_ValueError, "negative length");
			SWIG_fail;
		}
		$1 = PyBytes_AS_STRING(bytes);
		$2 = (size_t)len;
	} else {
		if (PyObject_GetBuffer($input, &view, PyBUF_WRITABLE))
			SWIG_fail;
		$1 = view.buf;
		$2 = (size_t)view.len;
	}
}
%typemap(argout) (void *buf, size_t len) {
	Py_SETREF($result, bytes$argnum ? Py_NewRef(bytes$argnum) : PyLong_FromSize_t($2));
}
%typemap(freearg) (void *buf, size_t len) {
	if (view$argnum.obj)
		PyBuffer_Release(&view$argnum);
	Py_XDECREF(bytes$argnum);
}

/* DEVICE_FEATURE: bytes in, bytes out; the reply may be larger than the request. */
%typemap(in) (void *data, size_t *len) (Py_buffer view = {0}, size_t used, char *room = NULL) {
	enum { ROOM = 65536 };

	if (PyObject_GetBuffer($input, &view, PyBUF_SIMPLE))
		SWIG_fail;
	room = PyMem_Calloc(1, view.len > ROOM ? (size_t)view.len : ROOM);
	if (!room) {
		PyErr_NoMemory();
		SWIG_fail;
	}
	memcpy(room, view.buf, (size_t)view.len);
	used = (size_t)view.len;
	$1 = room;
	$2 = &used;
}
%typemap(argout) (void *data, size_t *len) {
	Py_SETREF($result, PyBytes_FromStringAndSize(room$argnum, (Py_ssize_t)used$argnum));
}
%typemap(freearg) (void *data, size_t *len) {
	if (view$argnum.obj)
		PyBuffer_Release(&view$argnum);
	PyMem_Free(room$argnum);
}

/* What was agreed, or found, is the result. */
%typemap(in, numinputs=0) uint64_t *value (uint64_t agreed = 0) "$1 = &agreed;"
%typemap(in, numinputs=0) uint64_t *iova (uint64_t found = 0) "$1 = &found;"
%typemap(argout) uint64_t *value, uint64_t *iova {
	Py_SETREF($result, PyLong_FromUnsignedLongLong(*$1));
}

/* ---- what Python does not call as it is: see callbacks.h ---- */

%ignore vfu_watch_new;
%ignore vfu_watch_free;
%ignore vfu_watch_is_lost;
%ignore vfu_device_new;
%ignore vfu_device_free;
%ignore vfu_device_set_log;
%ignore vfu_device_set_region;
%ignore vfu_device_add_region_capability;
%ignore vfu_region_capability;
%ignore vfu_region_info_capability;
%ignore vfu_device_set_handler;
%ignore vfu_device_add_ioevent;
%ignore vfu_ioevent_place;
%ignore vfu_device_region_memory;
%ignore vfu_device_add_register;
%ignore vfu_express::size;
%ignore vfu_register::size;
%ignore vfu_register::on_read;
%ignore vfu_register::on_write;
%ignore vfu_register::on_written;
%ignore vfu_register::user;
%ignore vfu_device_set_hooks;
%ignore vfu_request_defer;
%ignore vfu_request_access;
%ignore vfu_request_done;
%ignore vfu_request_is_dead;
%ignore vfu_request_command;
%ignore vfu_request_payload;
%ignore vfu_request_fds;
%ignore vfu_request_take_fd;
%ignore vfu_request_reply;
%ignore vfu_device_set_command;
%ignore vfu_device_set_feature;
%ignore vfu_client_call;
%ignore vfu_client_call_async;
%ignore vfu_call_fini;
%ignore vfu_call;
%ignore vfu_feature;
%ignore vfu_dma_read_async;
%ignore vfu_dma_write_async;
%ignore vfu_dma_pin;
%ignore vfu_dma_unpin;
%ignore vfu_dma_piece;
%ignore vfu_dma_readv_async;
%ignore vfu_dma_writev_async;
%ignore vfu_dma_fill_async;
%ignore vfu_dma_pin_async;
%ignore vfu_dma_unpin_async;
%ignore vfu_dma_ranges;
%ignore vfu_server_free;
%ignore vfu_server_ended;
%ignore vfu_server_pollfds;
%ignore vfu_server_run;
%ignore vfu_server_set_interruptible;
%ignore vfu_server_set_interrupt;
%ignore vfu_client_free;
%ignore vfu_client_pollfds;
%ignore vfu_client_set_log;
%ignore vfu_client_set_interrupt;
%ignore vfu_client_region_info;
%ignore vfu_region_info_fini;
%ignore vfu_client_io_fds;
%ignore vfu_io_fds_fini;
%ignore vfu_io_fds;
%ignore vfu_io_fd;
%ignore vfu_client_irq_do;
%ignore vfu_client_irq_enable;
%ignore vfu_client_irq_wait;
%ignore vfu_eventfd_take;
%ignore vfu_device_add_shadow_ioevent;
%ignore vfu_client_irq_set_eventfds;
%ignore vfu_client_irq_set_mask_eventfds;
%ignore vfu_client_irq_set_unmask_eventfds;
%ignore vfu_client_region_access;
%ignore vfu_client_access;
%ignore vfu_region_map;
%ignore vfu_client_region_map;
%ignore vfu_region_map_fini;
%ignore vfu_client_region_read8;
%ignore vfu_client_region_read16;
%ignore vfu_client_region_read32;
%ignore vfu_client_region_read64;
%ignore vfu_client_region_write8;
%ignore vfu_client_region_write16;
%ignore vfu_client_region_write32;
%ignore vfu_client_region_write64;
%ignore vfu_client_config_read;
%ignore vfu_client_config_write;
%ignore vfu_client_capability;
%ignore vfu_client_capabilities;
%ignore vfu_client_bar;
%ignore vfu_client_bars;
%ignore vfu_client_set_link;
%ignore vfu_client_link;
%ignore vfu_link;
%ignore vfu_client_windows;
%ignore vfu_client_assign_bars;
%ignore vfu_client_region_read_async;
%ignore vfu_client_region_write_async;
%ignore vfu_client_dma_map;
%ignore vfu_client_dma_alloc;
%ignore vfu_client_dma_map_nowait;
%ignore vfu_client_set_dma;
%ignore vfu_client_dma_ranges;
%ignore vfu_iova_free;
%ignore vfu_client_dma_map_fn;
%ignore vfu_client_dma;
%ignore vfu_client_dma_later;
%ignore vfu_client_dma_data;
%ignore vfu_client_dma_answer;
%ignore vfu_access;
%ignore vfu_region;
%ignore vfu_region_info;
%ignore vfu_area;
%ignore vfu_area_file;
%ignore vfu_device_hooks;
%ignore vfu_peer;
%ignore vfu_device_peer;
%ignore vfu_dma_pin;

%extend vfu_express {
	vfu_express()
	{
		struct vfu_express *express = calloc(1, sizeof(*express));

		if (express)
			express->size = sizeof(*express);
		return express;
	}
	~vfu_express()
	{
		free($self);
	}
}

/* C has separate names for structs, Python does not. */
%rename(vfu_limits, %$isclass) vfu_client_limits;
%rename(vfu_msix, %$isclass) vfu_client_msix;
%rename(vfu_msix_entry, %$isclass) vfu_client_msix_entry;

%include "vfu.h"

/* These know about the GIL themselves. */
%nothreadallow;
%exception;
%include "callbacks.h"

%pythoncode %{
DeviceHandle = _libvfu.DeviceHandle
Memory = _libvfu.Memory
%}
