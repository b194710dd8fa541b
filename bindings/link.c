/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * link.c - a client's connection that ends and comes again, told to Python.
 */
#include "callbacks.h"

static PyObject *as_tuple(const struct vfu_link *link)
{
	PyObject *cause = link->cause.code ? vfupy_error_of(link->cause.code, &link->cause)
					   : Py_NewRef(Py_None);

	return cause ? Py_BuildValue("iiIKKN", (int)link->event, (int)link->state, link->attempts,
				     (unsigned long long)link->restored,
				     (unsigned long long)link->posts, cause)
		     : NULL;
}

PyObject *client_link(struct vfu_client *cl)
{
	struct vfu_link link;

	Py_BEGIN_ALLOW_THREADS
	vfu_client_link(cl, &link);
	Py_END_ALLOW_THREADS
	return as_tuple(&link);
}

/* On any thread. An exception may be on its way in this one. */
static void on_link(void *told, const struct vfu_link *link)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	PyObject *type, *exc, *trace, *what, *result = NULL;

	PyErr_Fetch(&type, &exc, &trace);
	what = as_tuple(link);
	if (what)
		result = PyObject_CallFunctionObjArgs(told, what, NULL);
	if (PyErr_Occurred())
		vfupy_lost(told);
	Py_XDECREF(what);
	Py_XDECREF(result);
	PyErr_Restore(type, exc, trace);
	PyGILState_Release(gil);
}

PyObject *client_set_link(struct vfu_client *cl, PyObject *told)
{
	vfu_client_set_link(cl, on_link, told);
	Py_RETURN_NONE;
}
