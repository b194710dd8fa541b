/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * device.c - a device as Python declares it: its regions, its hooks, and the object that owns it. Who accesses
 * its regions comes to access.c.
 */
#include "callbacks.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static PyTypeObject *device_type;

/* ---- regions ---- */

/* The list of a sequence of (offset, size), to be freed with PyMem_Free; NULL with an exception. */
static struct vfu_area *parse_areas(PyObject *areas)
{
	Py_ssize_t n = PyList_Check(areas) ? PyList_GET_SIZE(areas) : -1;
	struct vfu_area *out = n < 0 ? NULL : PyMem_Calloc((size_t)n + 1, sizeof(*out));

	if (n < 0)
		PyErr_SetString(PyExc_TypeError, "areas must be a list");
	else if (!out)
		PyErr_NoMemory();
	for (Py_ssize_t i = 0; out && i < n; i++) {
		PyObject *offset, *size;

		if (PyArg_ParseTuple(PyList_GET_ITEM(areas, i), "O!O!;an area is (offset, size)",
				     &PyLong_Type, &offset, &PyLong_Type, &size))
			out[i] = (struct vfu_area){.offset = PyLong_AsUnsignedLongLong(offset),
						   .size = PyLong_AsUnsignedLongLong(size)};
		if (PyErr_Occurred()) {
			PyMem_Free(out);
			return NULL;
		}
	}
	return out;
}

/* Those of the areas, [(descriptor, offset)]; NULL: there are none, or an exception is set. */
static struct vfu_area_file *parse_files(PyObject *files, Py_ssize_t nareas)
{
	Py_ssize_t n = PyList_Check(files) ? PyList_GET_SIZE(files) : 0;
	struct vfu_area_file *out = n ? PyMem_Calloc((size_t)n, sizeof(*out)) : NULL;

	if (n && n != nareas)
		PyErr_SetString(PyExc_ValueError, "each area has a file, or none has");
	else if (n && !out)
		PyErr_NoMemory();
	for (Py_ssize_t i = 0; !PyErr_Occurred() && i < n; i++) {
		unsigned long long offset;

		if (PyArg_ParseTuple(PyList_GET_ITEM(files, i), "iK;a file is (fd, offset)",
				     &out[i].fd, &offset))
			out[i].offset = offset;
	}
	if (!PyErr_Occurred())
		return out;
	PyMem_Free(out);
	return NULL;
}

PyObject *device_set_region(struct vfupy_device *d, unsigned index, uint64_t size, unsigned flags,
			    unsigned bar_flags, int fd, PyObject *areas, unsigned widths,
			    PyObject *files)
{
	struct vfu_region region = {
		.size = size, .flags = flags, .bar_flags = bar_flags, .fd = fd, .widths = widths};
	struct vfu_area *list = parse_areas(areas);
	struct vfu_area_file *behind = list ? parse_files(files, PyList_GET_SIZE(areas)) : NULL;
	int rc;

	if (!PyErr_Occurred() && d->views)
		PyErr_SetString(PyExc_BufferError, "memory of the device's regions is in use");
	if (PyErr_Occurred()) {
		PyMem_Free(list);
		PyMem_Free(behind);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	region.nareas = (unsigned)PyList_GET_SIZE(areas);
	region.areas = region.nareas ? list : NULL;
	region.files = behind;
	region.flags |= VFU_REGION_UNCLEARED; /* access.c says what it fills */
	rc = vfu_device_set_region(d->dev, index, &region);
	PyMem_Free(list);
	PyMem_Free(behind);
	if (rc) {
		vfupy_raise_device(d->dev, rc);
		return NULL;
	}
	d->sizes[index] = size;
	Py_RETURN_NONE;
}

PyObject *device_add_region_capability(struct vfupy_device *d, unsigned index, uint16_t id,
				       uint16_t version, PyObject *data)
{
	struct vfu_region_capability cap = {.id = id, .version = version};
	Py_buffer view;
	int rc;

	if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE))
		return NULL;
	cap.data = view.buf;
	cap.len = (size_t)view.len;
	rc = vfu_device_add_region_capability(d->dev, index, &cap);
	PyBuffer_Release(&view);
	if (rc) {
		vfupy_raise_device(d->dev, rc);
		return NULL;
	}
	Py_RETURN_NONE;
}

/* ---- hooks ---- */

int vfupy_call_method(struct vfupy_device *d, const char *name, const char *format, ...)
{
	PyObject *method, *args = NULL, *result = NULL;
	va_list ap;
	int rc = 0;

	method = PyObject_GetAttrString(d->self, name);
	va_start(ap, format);
	args = Py_VaBuildValue(format, ap);
	va_end(ap);
	if (method && args)
		result = PyObject_CallObject(method, args);
	if (result && PyCoro_CheckExact(result)) {
		vfupy_no_coroutine(result,
				   "of a device's methods only on_connect() and on_gate() may be "
				   "coroutines; a reset waits in on_gate()");
		Py_CLEAR(result);
	}
	if (!result)
		rc = vfupy_failed(d, method);
	else if (Py_IsTrue(result))
		rc = VFU_LATER;
	Py_XDECREF(result);
	Py_XDECREF(args);
	Py_XDECREF(method);
	return rc;
}

static int on_gate(void *user, enum vfu_gate what)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	int rc = vfupy_call_method(user, "_gate", "(i)", (int)what);

	PyGILState_Release(gil);
	return rc;
}

static int on_reset(void *user)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	int rc;

	vfupy_forget_halves(user);
	rc = vfupy_call_method(user, "_reset", "()");

	PyGILState_Release(gil);
	return rc;
}

static void on_mapping(struct vfupy_device *d, const char *name, const struct vfu_dma_range *range)
{
	PyGILState_STATE gil = PyGILState_Ensure();

	vfupy_call_method(d, name, "(KKIi)", (unsigned long long)range->iova,
			  (unsigned long long)range->size, (unsigned)range->flags,
			  (int)range->mapped);
	PyGILState_Release(gil);
}

static void on_mapped(void *user, const struct vfu_dma_range *range)
{
	on_mapping(user, "_dma_mapped", range);
}

static void on_unmapping(void *user, const struct vfu_dma_range *range)
{
	on_mapping(user, "_dma_unmapping", range);
}

static void on_connected(void *user)
{
	PyGILState_STATE gil = PyGILState_Ensure();

	vfupy_call_method(user, "_connected", "()");
	PyGILState_Release(gil);
}

static void on_disconnected(void *user)
{
	PyGILState_STATE gil = PyGILState_Ensure();

	vfupy_forget_halves(user);
	vfupy_call_method(user, "_disconnected", "()");
	PyGILState_Release(gil);
}

static void on_config(void *user, size_t offset, size_t len)
{
	PyGILState_STATE gil = PyGILState_Ensure();

	vfupy_call_method(user, "_config_written", "(nn)", (Py_ssize_t)offset, (Py_ssize_t)len);
	PyGILState_Release(gil);
}

/* The text of why not, "": why not take it. What fails, or says anything else, refuses too. */
static int refusal(PyObject *result, char *reason, size_t size)
{
	const char *text = NULL;

	if (result && PyCoro_CheckExact(result))
		vfupy_no_coroutine(result, "on_accept() can not be a coroutine: the client waits");
	else if (result)
		text = PyUnicode_AsUTF8(result);
	if (!text)
		return -1;
	snprintf(reason, size, "%s", text);
	return text[0] ? -EACCES : 0;
}

static int on_accept(void *user, const struct vfu_peer *peer, char *reason, size_t size)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	struct vfupy_device *d = user;
	PyObject *method = PyObject_GetAttrString(d->self, "_accept");
	PyObject *result = method ? PyObject_CallFunction(method, "iII", (int)peer->pid,
							  (unsigned)peer->uid, (unsigned)peer->gid)
				  : NULL;
	int rc = refusal(result, reason, size);

	if (PyErr_Occurred())
		rc = vfupy_failed(d, method);
	Py_XDECREF(result);
	Py_XDECREF(method);
	PyGILState_Release(gil);
	return rc;
}

PyObject *device_peer(struct vfupy_device *d)
{
	struct vfu_peer peer;
	int rc = vfu_device_peer(d->dev, &peer);

	if (rc) {
		vfupy_raise(rc, NULL);
		return NULL;
	}
	return Py_BuildValue("(iII)", (int)peer.pid, (unsigned)peer.uid, (unsigned)peer.gid);
}

PyObject *device_set_hooks(struct vfupy_device *d, unsigned which)
{
	struct vfu_device_hooks hooks = {
		.size = sizeof(hooks),
		.gate = which & 1 ? on_gate : NULL,
		.reset = which & 2 ? on_reset : NULL,
		.dma_mapped = which & 4 ? on_mapped : NULL,
		.dma_unmapping = which & 8 ? on_unmapping : NULL,
		.connected = which & 16 ? on_connected : NULL,
		.disconnected = which & 32 ? on_disconnected : NULL,
		.config_written = which & 64 ? on_config : NULL,
		.accept = which & 128 ? on_accept : NULL,
	};
	int rc = vfu_device_set_hooks(d->dev, &hooks, d);

	if (rc) {
		vfupy_raise_device(d->dev, rc);
		return NULL;
	}
	Py_RETURN_NONE;
}

/* ---- the type ---- */

static PyObject *device_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	struct vfupy_device *d;
	PyObject *self;

	(void)kwargs;
	if (!PyArg_ParseTuple(args, "O", &self))
		return NULL;
	d = (struct vfupy_device *)type->tp_alloc(type, 0);
	if (!d)
		return NULL;
	d->self = self;
	d->dev = vfu_device_new();
	d->sizes[VFU_REGION_CONFIG] = 4096; /* its memory, whatever the client sees of it */
	if (!d->dev) {
		Py_DECREF(d);
		return PyErr_NoMemory();
	}
	return (PyObject *)d;
}

/* The server, if any, is gone: its Python object holds a reference to this one. */
static void device_dealloc(PyObject *object)
{
	struct vfupy_device *d = (struct vfupy_device *)object;
	PyTypeObject *type = Py_TYPE(object);

	if (d->dev) {
		Py_BEGIN_ALLOW_THREADS
		vfu_device_free(d->dev);
		Py_END_ALLOW_THREADS
	}
	vfupy_handlers_free(d);
	vfupy_served_free(d);
	Py_XDECREF(d->raised);
	type->tp_free(object);
	Py_DECREF(type);
}

struct vfupy_device *vfupy_device_of(PyObject *object)
{
	if (Py_TYPE(object) == device_type)
		return (struct vfupy_device *)object;
	PyErr_Format(PyExc_TypeError, "a DeviceHandle is wanted, not %s", Py_TYPE(object)->tp_name);
	return NULL;
}

static PyType_Spec device_spec = {
	.name = "libvfu.DeviceHandle",
	.basicsize = sizeof(struct vfupy_device),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots =
		(PyType_Slot[]){
			{Py_tp_doc,
			 (void *)"DeviceHandle(device): owns a struct vfu_device whose callbacks go to device."},
			{Py_tp_new, device_new},
			{Py_tp_dealloc, device_dealloc},
			{0, NULL},
		},
};

int vfupy_init_device(PyObject *module)
{
	device_type = (PyTypeObject *)PyType_FromSpec(&device_spec);
	return device_type ? PyModule_AddType(module, device_type) : -1;
}
