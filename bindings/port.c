/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * port.c - numbers in a client's region: what drivers do most, and so by the shortest way from Python to
 * the socket. What SWIG makes of vfu_client_region_read takes apart five arguments and the handle's
 * proxy, makes bytes of the number, and has Python make a number of those again. A Port knows the
 * client and the region, and is called without a tuple of arguments:
 *
 *	port.get(offset, width) -> int        port.put(offset, width, value, post)
 *
 * post is None: in a batch of the thread (vfu_client_post_begin).
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

static int as_offset(PyObject *object, uint64_t *offset)
{
	*offset = PyLong_AsUnsignedLongLong(object);
	return PyErr_Occurred() ? -1 : 0;
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
	*value = PyLong_AsUnsignedLongLong(object);
	if (!PyErr_Occurred() && width < 8 && *value >> 8 * width)
		PyErr_Format(PyExc_OverflowError, "%R does not fit %u bits", object, 8 * width);
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
	vfupy_raise(code, &err);
}

/* A signal handler may have raised although the access was done. */
static bool has_failed(const struct port *p, uint64_t offset, int code)
{
	if (code < 0)
		raise_at(p, offset, code);
	return PyErr_Occurred() != NULL;
}

static PyObject *port_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
	struct port *p = (struct port *)self;
	uint64_t offset, number = 0;
	unsigned width;
	int rc;

	if (check_count(nargs, 2) || as_offset(args[0], &offset) || as_width(args[1], &width))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_region_read(p->cl, p->index, offset, &number, width);
	Py_END_ALLOW_THREADS
	return has_failed(p, offset, rc) ? NULL : PyLong_FromUnsignedLongLong(le64toh(number));
}

static PyObject *port_put(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
	struct port *p = (struct port *)self;
	uint64_t offset, number;
	unsigned width;
	int post = 0, rc;

	if (check_count(nargs, 4) || as_offset(args[0], &offset) || as_width(args[1], &width) ||
	    as_number(args[2], width, &number))
		return NULL;
	if (Py_IsNone(args[3]))
		post = vfu_client_is_posting(p->cl);
	else
		post = PyObject_IsTrue(args[3]);
	if (post < 0)
		return NULL;
	number = htole64(number);
	Py_BEGIN_ALLOW_THREADS
	rc = post ? vfu_client_region_post(p->cl, p->index, offset, &number, width)
		  : vfu_client_region_write(p->cl, p->index, offset, &number, width);
	Py_END_ALLOW_THREADS
	return has_failed(p, offset, rc) ? NULL : Py_NewRef(Py_None);
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
	{"get", (PyCFunction)(void (*)(void))port_get, METH_FASTCALL, "get(offset, width) -> int"},
	{"put", (PyCFunction)(void (*)(void))port_put, METH_FASTCALL,
	 "put(offset, width, value, post)"},
	{NULL, NULL, 0, NULL},
};

static PyType_Spec port_spec = {
	.name = "libvfu.Port",
	.basicsize = sizeof(struct port),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots =
		(PyType_Slot[]){
			{Py_tp_doc, (void *)"Little-endian numbers in a region of a client."},
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
