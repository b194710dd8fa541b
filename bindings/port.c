/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * port.c - accesses to a client's region: what drivers do most, and so by the shortest way from Python to
 * the socket. What SWIG makes of vfu_client_region_read takes apart five arguments and the handle's
 * proxy, makes bytes of the number, and has Python make a number of those again. A Port knows the
 * client and the region, and is called without a tuple of arguments:
 *
 *	port.get(offset, width, timeout) -> int         port.put(offset, width, value, post, timeout)
 *	port.read(offset, length, timeout) -> bytes     port.write(offset, buffer, post, timeout)
 *	port.read(offset, buffer, timeout) -> length
 *
 * post is None: in a batch of the thread (vfu_client_post_begin). timeout is that of struct vfu_client_access.
 */
#include "callbacks.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

struct port {
	PyObject_HEAD struct vfu_client *cl;
	PyObject *owner; /* of cl */
	unsigned index;
	char name[24];
};

static PyTypeObject *port_type;

/* ---- arguments ---- */

/* Of anything that is a whole number. 1: one that does not fit; -1: with an exception, as it is none. */
static int as_u64(const char *name, PyObject *object, uint64_t *value)
{
	PyObject *number = PyIndex_Check(object) ? PyNumber_Index(object) : NULL;

	if (!number && !PyErr_Occurred())
		PyErr_Format(PyExc_TypeError, "%s is a number, not %R", name, object);
	if (!number)
		return -1;
	*value = PyLong_AsUnsignedLongLong(number);
	Py_DECREF(number);
	if (!PyErr_Occurred())
		return 0;
	PyErr_Clear();
	return 1;
}

static int as_offset(PyObject *object, uint64_t *offset)
{
	int rc = as_u64("offset", object, offset);

	if (rc > 0)
		PyErr_Format(PyExc_ValueError,
			     "offset is a number from 0 to 0xffffffffffffffff, not %R", object);
	return rc ? -1 : 0;
}

static int as_width(PyObject *object, unsigned *width)
{
	unsigned long n = PyLong_AsUnsignedLong(object);

	if (!PyErr_Occurred() && (n < 1 || n > 8))
		PyErr_Format(PyExc_ValueError, "a number of %lu bytes", n);
	*width = (unsigned)n;
	return PyErr_Occurred() ? -1 : 0;
}

static int as_number(PyObject *object, unsigned width, uint64_t *value)
{
	int rc = as_u64("value", object, value);

	if (rc > 0 || (!rc && width < 8 && *value >> 8 * width))
		PyErr_Format(PyExc_OverflowError, "value has %u bits, %R does not fit", 8 * width,
			     object);
	return PyErr_Occurred() ? -1 : 0;
}

static int check_count(Py_ssize_t nargs, Py_ssize_t wanted)
{
	if (nargs == wanted)
		return 0;
	PyErr_Format(PyExc_TypeError, "%zd arguments are wanted, not %zd", wanted, nargs);
	return -1;
}

/* ---- accesses ---- */

/* The exception says where. */
static void raise_at(const struct port *p, uint64_t offset, int code)
{
	struct vfu_err said, err = {.code = code};

	Py_BEGIN_ALLOW_THREADS
	vfu_client_err(p->cl, &said);
	Py_END_ALLOW_THREADS
	if (said.code == code)
		err = said;
	snprintf(err.text, sizeof(err.text), "%s at 0x%llx: %.140s", p->name,
		 (unsigned long long)offset, said.code == code ? said.text : strerror(-code));
	vfupy_raise_client_err(p->cl, code, &err);
}

/* true: with an exception. A signal handler may have raised although the access was done. */
static bool has_failed(const struct port *p, struct vfu_client_access *a, PyObject *timeout,
		       int post)
{
	int rc;

	a->size = sizeof(*a);
	a->index = p->index;
	a->timeout_ms = (int)PyLong_AsLong(timeout);
	if (PyErr_Occurred())
		return true;
	Py_BEGIN_ALLOW_THREADS
	rc = post ? vfu_client_region_post(p->cl, p->index, a->offset, a->buf, a->len)
		  : vfu_client_region_access(p->cl, a);
	Py_END_ALLOW_THREADS
	if (rc < 0)
		raise_at(p, a->offset, rc);
	return PyErr_Occurred() != NULL;
}

/* 1, 0, or -1: an exception. */
static int is_post(const struct port *p, PyObject *post)
{
	return Py_IsNone(post) ? vfu_client_is_posting(p->cl) : PyObject_IsTrue(post);
}

static PyObject *port_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
	struct vfu_client_access a = {0};
	uint64_t number = 0;
	unsigned width;

	if (check_count(nargs, 3) || as_offset(args[0], &a.offset) || as_width(args[1], &width))
		return NULL;
	a.buf = &number;
	a.len = width;
	if (has_failed((struct port *)self, &a, args[2], false))
		return NULL;
	return PyLong_FromUnsignedLongLong(le64toh(number));
}

static PyObject *port_put(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
	struct port *p = (struct port *)self;
	struct vfu_client_access a = {.is_write = true};
	uint64_t number;
	unsigned width;
	int post;

	if (check_count(nargs, 5) || as_offset(args[0], &a.offset) || as_width(args[1], &width) ||
	    as_number(args[2], width, &number))
		return NULL;
	post = is_post(p, args[3]);
	number = htole64(number);
	a.buf = &number;
	a.len = width;
	return post < 0 || has_failed(p, &a, args[4], post) ? NULL : Py_NewRef(Py_None);
}

int vfupy_make_room(PyObject *into, Py_buffer *view, PyObject **bytes, struct vfu_client_access *a)
{
	Py_ssize_t len;

	if (!PyIndex_Check(into)) {
		if (PyObject_GetBuffer(into, view, PyBUF_WRITABLE))
			return -1;
		a->buf = view->buf;
		a->len = (size_t)view->len;
		return 0;
	}
	len = PyNumber_AsSsize_t(into, PyExc_OverflowError);
	if (len < 0 && !PyErr_Occurred())
		PyErr_SetString(PyExc_ValueError, "negative length");
	*bytes = PyErr_Occurred() ? NULL : PyBytes_FromStringAndSize(NULL, len);
	if (!*bytes && PyErr_ExceptionMatches(PyExc_MemoryError))
		PyErr_Format(PyExc_MemoryError, "no memory for %zd bytes", len);
	if (!*bytes)
		return -1;
	a->buf = PyBytes_AS_STRING(*bytes);
	a->len = (size_t)len;
	return 0;
}

static PyObject *port_read(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
	struct vfu_client_access a = {0};
	PyObject *bytes = NULL;
	Py_buffer view = {0};
	bool failed;

	if (check_count(nargs, 3) || as_offset(args[0], &a.offset) ||
	    vfupy_make_room(args[1], &view, &bytes, &a))
		return NULL;
	failed = has_failed((struct port *)self, &a, args[2], false);
	if (view.obj)
		PyBuffer_Release(&view);
	if (!failed)
		return bytes ? bytes : PyLong_FromSize_t(a.len);
	Py_XDECREF(bytes);
	return NULL;
}

static PyObject *port_write(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
	struct port *p = (struct port *)self;
	struct vfu_client_access a = {.is_write = true};
	Py_buffer view;
	bool failed;
	int post;

	if (check_count(nargs, 4) || as_offset(args[0], &a.offset))
		return NULL;
	post = is_post(p, args[2]);
	if (post < 0 || PyObject_GetBuffer(args[1], &view, PyBUF_SIMPLE))
		return NULL;
	a.buf = view.buf;
	a.len = (size_t)view.len;
	failed = has_failed(p, &a, args[3], post);
	PyBuffer_Release(&view);
	return failed ? NULL : Py_NewRef(Py_None);
}

/* ---- the type ---- */

PyObject *client_port(struct vfu_client *cl, PyObject *owner, unsigned index, const char *name)
{
	struct port *p = PyObject_New(struct port, port_type);

	if (!p)
		return NULL;
	p->cl = cl;
	p->owner = Py_NewRef(owner);
	p->index = index;
	snprintf(p->name, sizeof(p->name), "%s", name);
	return (PyObject *)p;
}

static void port_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	Py_DECREF(((struct port *)self)->owner);
	PyObject_Free(self);
	Py_DECREF(type);
}

static PyMethodDef port_methods[] = {
	{"get", (PyCFunction)(void (*)(void))port_get, METH_FASTCALL,
	 "get(offset, width, timeout) -> int"},
	{"put", (PyCFunction)(void (*)(void))port_put, METH_FASTCALL,
	 "put(offset, width, value, post, timeout)"},
	{"read", (PyCFunction)(void (*)(void))port_read, METH_FASTCALL,
	 "read(offset, length or buffer, timeout) -> bytes or length"},
	{"write", (PyCFunction)(void (*)(void))port_write, METH_FASTCALL,
	 "write(offset, data, post, timeout)"},
	{NULL, NULL, 0, NULL},
};

static PyType_Spec port_spec = {
	.name = "libvfu.Port",
	.basicsize = sizeof(struct port),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots =
		(PyType_Slot[]){
			{Py_tp_doc, (void *)"Accesses to a region of a client."},
			{Py_tp_methods, port_methods},
			{Py_tp_dealloc, port_dealloc},
			{0, NULL},
		},
};

int vfupy_init_port(void)
{
	port_type = (PyTypeObject *)PyType_FromSpec(&port_spec);
	return port_type ? 0 : -1;
}
