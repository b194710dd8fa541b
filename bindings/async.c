/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * async.c - a client's requests that nobody waits for: what an event loop starts and is told the end of.
 *
 *	client_read_async(..., done) --> request: keeps done, and memory of Python's in place
 *	                                     | sent
 *	vfu_client_process --> answer --> done(status, result), with the GIL; the memory is let go
 *
 * The library runs the end of each once, with the end of the connection at the latest, unless it is given up
 * (client_cancel). So memory that it may still write to lives, whatever has become of who asked.
 */
#include "callbacks.h"

#include <errno.h>
#include <poll.h>

/* Of the library while it is under way, and of the capsule that Python has. */
struct request {
	unsigned refs;
	uint64_t id; /* for vfu_client_cancel; 0: of a post */
	PyObject *done;
	PyObject *bytes; /* to be filled, or NULL: the buffer in view is, or nothing */
	Py_buffer view;
};

static const char request_name[] = "libvfu.request";

/* What it needed is let go, also while somebody still knows it. */
static void request_clear(struct request *r)
{
	if (r->view.obj)
		PyBuffer_Release(&r->view);
	Py_CLEAR(r->bytes);
	Py_CLEAR(r->done);
}

static void request_unref(struct request *r)
{
	if (--r->refs)
		return;
	request_clear(r);
	PyMem_Free(r);
}

static void drop_capsule(PyObject *capsule)
{
	request_unref(PyCapsule_GetPointer(capsule, request_name));
}

/* The capsule, of which *r is a part. */
static PyObject *request_new(PyObject *done, struct request **r)
{
	PyObject *capsule;

	*r = PyMem_Calloc(1, sizeof(**r));
	if (!*r)
		return PyErr_NoMemory();
	capsule = PyCapsule_New(*r, request_name, drop_capsule);
	if (!capsule) {
		PyMem_Free(*r);
		return NULL;
	}
	(*r)->refs = 1;
	(*r)->done = Py_NewRef(done);
	return capsule;
}

/* Tells the end; result is taken, NULL: an exception, which becomes a status. */
static void request_end(struct request *r, int status, PyObject *result)
{
	PyObject *said;

	if (!result) {
		PyErr_Clear();
		status = -ENOMEM;
		result = Py_NewRef(Py_None);
	}
	said = PyObject_CallFunction(r->done, "iN", status, result);
	if (!said)
		vfupy_lost(r->done);
	Py_XDECREF(said);
	request_clear(r);
	request_unref(r);
}

/* rc: of what should have started it. It may have ended by now if it has been started. */
static PyObject *started(struct vfu_client *cl, struct request *r, PyObject *capsule, int rc)
{
	if (rc == 0)
		return capsule;
	request_unref(r);
	Py_DECREF(capsule);
	vfupy_raise_client(cl, rc);
	return NULL;
}

/* ---- regions ---- */

static void on_access(void *user, int status)
{
	struct request *r = user;
	PyGILState_STATE gil = PyGILState_Ensure();
	PyObject *result = status >= 0 && r->bytes ? r->bytes : Py_None;

	request_end(r, status, Py_NewRef(result));
	PyGILState_Release(gil);
}

static PyObject *start_access(struct vfu_client *cl, struct vfu_client_access *a, struct request *r,
			      PyObject *capsule)
{
	int rc;

	a->size = sizeof(*a);
	a->fn = on_access;
	a->user = r;
	r->refs++;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_region_access(cl, a);
	Py_END_ALLOW_THREADS
	r->id = a->id;
	return started(cl, r, capsule, rc);
}

PyObject *client_read_async(struct vfu_client *cl, unsigned index, uint64_t offset, PyObject *into,
			    int timeout_ms, PyObject *done)
{
	struct vfu_client_access a = {.index = index, .offset = offset, .timeout_ms = timeout_ms};
	struct request *r;
	PyObject *capsule = request_new(done, &r);

	if (!capsule)
		return NULL;
	if (vfupy_make_room(into, &r->view, &r->bytes, &a)) {
		Py_DECREF(capsule);
		return NULL;
	}
	return start_access(cl, &a, r, capsule);
}

/* What is written is copied or sent before this returns. */
PyObject *client_write_async(struct vfu_client *cl, unsigned index, uint64_t offset, PyObject *data,
			     int timeout_ms, PyObject *done)
{
	struct vfu_client_access a = {
		.is_write = true, .index = index, .offset = offset, .timeout_ms = timeout_ms};
	struct request *r;
	PyObject *capsule = request_new(done, &r);

	if (!capsule)
		return NULL;
	if (PyObject_GetBuffer(data, &r->view, PyBUF_SIMPLE)) {
		Py_DECREF(capsule);
		return NULL;
	}
	a.buf = r->view.buf;
	a.len = (size_t)r->view.len;
	return start_access(cl, &a, r, capsule);
}

PyObject *client_explain(struct vfu_client *cl, unsigned index, uint64_t offset, size_t size,
			 bool is_write, int code)
{
	const struct vfu_client_access a = {.size = sizeof(a),
					    .is_write = is_write,
					    .index = index,
					    .offset = offset,
					    .len = size};
	struct vfu_err err;

	Py_BEGIN_ALLOW_THREADS
	vfu_client_explain(cl, &a, -code, &err);
	Py_END_ALLOW_THREADS
	return Py_BuildValue("(ssI)", err.text, err.field, (unsigned)err.offset);
}

PyObject *client_cancel(struct vfu_client *cl, PyObject *capsule)
{
	struct request *r = PyCapsule_GetPointer(capsule, request_name);
	int rc;

	if (!r)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = r->id ? vfu_client_cancel(cl, r->id) : -ENOENT;
	Py_END_ALLOW_THREADS
	if (rc == 0) {
		request_clear(r);
		request_unref(r);
	}
	return PyBool_FromLong(rc == 0);
}

/* ---- any message ---- */

static void on_answer(void *user, int status, struct vfu_call *answer)
{
	PyGILState_STATE gil = PyGILState_Ensure();

	request_end(user, status, status ? Py_NewRef(Py_None) : vfupy_answer_of(answer));
	PyGILState_Release(gil);
}

PyObject *client_call_async(struct vfu_client *cl, unsigned command, PyObject *payload,
			    PyObject *fds, int timeout_ms, bool post, PyObject *done)
{
	struct vfu_call call = {
		.size = sizeof(call), .command = command, .post = post, .timeout_ms = timeout_ms};
	struct request *r;
	PyObject *capsule = request_new(done, &r);
	int *list = NULL, rc;

	if (capsule && !PyObject_GetBuffer(payload, &r->view, PyBUF_SIMPLE))
		list = vfupy_parse_fds(fds, &call.nfds);
	if (!list) {
		Py_XDECREF(capsule);
		return NULL;
	}
	call.request = r->view.buf;
	call.request_len = (size_t)r->view.len;
	call.fds = list;
	r->refs++;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_call_async(cl, &call, on_answer, r);
	Py_END_ALLOW_THREADS
	PyMem_Free(list);
	r->id = call.id;
	/* Nobody tells the end of what wants no answer. */
	if (post && rc == 0)
		request_end(r, 0, Py_NewRef(Py_None));
	return started(cl, r, capsule, rc);
}

/* ---- what a loop asks ---- */

PyObject *client_is_sending(struct vfu_client *cl)
{
	struct pollfd pfds[8];
	bool is = false;
	int n;

	Py_BEGIN_ALLOW_THREADS
	n = vfu_client_pollfds(cl, pfds, 8);
	Py_END_ALLOW_THREADS
	for (int i = 0; i < n && i < 8; i++)
		is = is || pfds[i].events & POLLOUT;
	return PyBool_FromLong(is);
}
