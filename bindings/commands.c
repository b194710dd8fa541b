/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * commands.c - messages as bytes and descriptors: those that a device's Python methods serve, and those that a
 * client sends. What the bytes mean is known in python/vfu/commands.py.
 */
#include "callbacks.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

/* What a device serves: a command, or a feature. */
struct served {
	struct served *next;
	struct vfupy_device *device;
	unsigned number;
};

/* A request that a method serves: for as long as it runs, or until it is answered. */
struct request {
	PyObject_HEAD struct vfu_request *req; /* NULL once it is over */
	bool is_deferred;
};

static PyTypeObject *request_type;

/* ---- descriptors ---- */

static int parse_fd(PyObject *number)
{
	long fd = number ? PyLong_AsLong(number) : -1;

	if (!PyErr_Occurred() && (fd < INT_MIN || fd > INT_MAX))
		PyErr_Format(PyExc_OverflowError, "%ld is no file descriptor", fd);
	return (int)fd;
}

int *vfupy_parse_fds(PyObject *fds, unsigned *n)
{
	Py_ssize_t count = PyList_Check(fds) ? PyList_GET_SIZE(fds) : -1;
	int *list = count < 0 ? NULL : PyMem_Calloc((size_t)count + 1, sizeof(*list));

	if (count < 0)
		PyErr_SetString(PyExc_TypeError, "a list of file descriptors is wanted");
	else if (!list)
		PyErr_NoMemory();
	/* An __index__ may shorten the list. */
	for (Py_ssize_t i = 0; i < count && !PyErr_Occurred(); i++)
		list[i] = parse_fd(PyList_GetItem(fds, i));
	if (PyErr_Occurred()) {
		PyMem_Free(list);
		return NULL;
	}
	*n = (unsigned)count;
	return list;
}

static void close_all(PyObject *list)
{
	for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
		close((int)PyLong_AsLong(PyList_GET_ITEM(list, i)));
}

/* Appends a descriptor, which is the list's then; it is closed if that fails. */
static int append_fd(PyObject *list, int fd)
{
	PyObject *number = PyLong_FromLong(fd);
	int rc = number ? PyList_Append(list, number) : -1;

	if (rc)
		close(fd);
	Py_XDECREF(number);
	return rc;
}

/* ---- a request ---- */

static struct vfu_request *live(PyObject *self)
{
	struct vfu_request *req = ((struct request *)self)->req;

	if (!req)
		PyErr_SetString(PyExc_RuntimeError, "answered already");
	return req;
}

static PyObject *request_payload(PyObject *self, PyObject *unused)
{
	struct vfu_request *req = live(self);
	const void *data;
	size_t len;

	(void)unused;
	if (!req)
		return NULL;
	data = vfu_request_payload(req, &len);
	return PyBytes_FromStringAndSize(data, (Py_ssize_t)len);
}

static PyObject *request_take_fds(PyObject *self, PyObject *unused)
{
	struct vfu_request *req = live(self);
	PyObject *list = req ? PyList_New(0) : NULL;
	unsigned n = list ? vfu_request_fds(req) : 0;

	(void)unused;
	for (unsigned i = 0; i < n; i++) {
		int fd = vfu_request_take_fd(req, i);

		if (fd >= 0 && append_fd(list, fd)) {
			close_all(list);
			Py_CLEAR(list);
			break;
		}
	}
	return list;
}

static PyObject *request_defer(PyObject *object, PyObject *unused)
{
	struct request *self = (struct request *)object;
	struct vfu_request *later = live(object) ? vfu_request_defer(self->req) : NULL;

	(void)unused;
	if (!later)
		return PyErr_Occurred() ? NULL : PyErr_NoMemory();
	self->req = later;
	self->is_deferred = true;
	Py_RETURN_NONE;
}

static PyObject *request_reply(PyObject *object, PyObject *args)
{
	struct request *self = (struct request *)object;
	struct vfu_request *req = self->req;
	PyObject *fds;
	Py_buffer data;
	struct vfu_err err;
	unsigned n;
	int *list, rc;

	if (!live(object) || !PyArg_ParseTuple(args, "y*O", &data, &fds))
		return NULL;
	list = vfupy_parse_fds(fds, &n);
	if (!list) {
		PyBuffer_Release(&data);
		return NULL;
	}
	self->req = NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_request_reply(req, data.buf, (size_t)data.len, list, n, &err);
	Py_END_ALLOW_THREADS
	PyBuffer_Release(&data);
	PyMem_Free(list);
	if (rc < 0 && rc != -ENOTCONN) {
		vfupy_raise(rc, &err);
		return NULL;
	}
	return PyBool_FromLong(rc == 0);
}

/* Of a deferred request alone: ends it with a negative errno. */
static PyObject *end(struct request *self, int status)
{
	struct vfu_request *req = self->req;
	int rc;

	self->req = NULL;
	vfu_request_set_told(req);
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_request_done(req, status);
	Py_END_ALLOW_THREADS
	return PyBool_FromLong(rc == 0);
}

static PyObject *request_fail(PyObject *object, PyObject *value)
{
	struct request *self = (struct request *)object;
	long code = PyLong_AsLong(value);

	if (PyErr_Occurred() || !live(object))
		return NULL;
	if (!self->is_deferred)
		return PyErr_Format(PyExc_RuntimeError, "raise an exception instead");
	return end(self, code > 0 && code < 4096 ? -(int)code : -EIO);
}

/* A request that nobody answered gets an error. */
static void request_dealloc(PyObject *object)
{
	struct request *self = (struct request *)object;
	PyTypeObject *type = Py_TYPE(object);

	if (self->req && self->is_deferred)
		Py_XDECREF(end(self, -EIO));
	PyObject_Free(object);
	Py_DECREF(type);
}

/* ---- serving ---- */

/*
 * Calls device.NAME(number, request), and says what the library is to make of that: it returns None, or the
 * errno of a failure that was logged, or NotImplemented to have the library answer.
 */
static int call(struct served *served, struct vfu_request *req, const char *name)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	struct request *r = PyObject_New(struct request, request_type);
	PyObject *result = NULL;
	int rc = 0;

	if (r) {
		r->req = req;
		r->is_deferred = false;
		result = PyObject_CallMethod(served->device->self, name, "IO", served->number, r);
	}
	if (result == Py_NotImplemented)
		rc = VFU_PASS;
	else if (result && !Py_IsNone(result))
		rc = -(int)PyLong_AsLong(result);
	if (PyErr_Occurred())
		rc = vfupy_failed(served->device, served->device->self);
	if (rc < 0 && r && r->req == req)
		vfu_request_set_told(req);
	if (r && r->is_deferred)
		rc = VFU_LATER;
	else if (r)
		r->req = NULL; /* whoever keeps it is late */
	Py_XDECREF(result);
	Py_XDECREF(r);
	PyGILState_Release(gil);
	return rc;
}

static int on_command(void *user, struct vfu_request *req)
{
	return call(user, req, "_command");
}

static int on_get(void *user, struct vfu_request *req)
{
	return call(user, req, "_get_feature");
}

static int on_set(void *user, struct vfu_request *req)
{
	return call(user, req, "_set_feature");
}

static PyObject *add(struct vfupy_device *d, unsigned number,
		     int (*set)(struct vfu_device *dev, unsigned number, void *user,
				unsigned which),
		     unsigned which)
{
	struct served *served = PyMem_Malloc(sizeof(*served));
	int rc;

	if (!served)
		return PyErr_NoMemory();
	*served = (struct served){.device = d, .number = number};
	rc = set(d->dev, number, served, which);
	if (rc) {
		PyMem_Free(served);
		vfupy_raise_device(d->dev, rc);
		return NULL;
	}
	served->next = d->served;
	d->served = served;
	Py_RETURN_NONE;
}

static int set_command(struct vfu_device *dev, unsigned number, void *user, unsigned which)
{
	(void)which;
	return vfu_device_set_command(dev, number, on_command, user);
}

static int set_feature(struct vfu_device *dev, unsigned number, void *user, unsigned which)
{
	struct vfu_feature feature = {.size = sizeof(feature),
				      .get = which & 1 ? on_get : NULL,
				      .set = which & 2 ? on_set : NULL};

	return vfu_device_set_feature(dev, number, &feature, user);
}

PyObject *device_set_command(struct vfupy_device *d, unsigned number)
{
	return add(d, number, set_command, 0);
}

PyObject *device_set_feature(struct vfupy_device *d, unsigned number, unsigned methods)
{
	return add(d, number, set_feature, methods);
}

void vfupy_served_free(struct vfupy_device *d)
{
	while (d->served) {
		struct served *served = d->served;

		d->served = served->next;
		PyMem_Free(served);
	}
}

/* ---- sending ---- */

/* (payload, descriptors) of an answer; the descriptors move to the list. */
PyObject *vfupy_answer_of(struct vfu_call *call)
{
	PyObject *list = PyList_New(0);
	PyObject *payload = PyBytes_FromStringAndSize(call->reply, (Py_ssize_t)call->reply_len);
	bool is_whole = list && payload;

	for (unsigned i = 0; is_whole && i < call->reply_nfds; i++) {
		is_whole = append_fd(list, call->reply_fds[i]) == 0;
		call->reply_fds[i] = -1;
	}
	if (list && !is_whole)
		close_all(list);
	if (is_whole)
		return Py_BuildValue("(NN)", payload, list);
	Py_XDECREF(payload);
	Py_XDECREF(list);
	return NULL;
}

PyObject *client_call(struct vfu_client *cl, unsigned command, PyObject *payload, PyObject *fds,
		      int timeout_ms, bool post)
{
	struct vfu_call call = {
		.size = sizeof(call), .command = command, .post = post, .timeout_ms = timeout_ms};
	PyObject *result;
	Py_buffer data;
	int *list, rc;

	if (PyObject_GetBuffer(payload, &data, PyBUF_SIMPLE))
		return NULL;
	list = vfupy_parse_fds(fds, &call.nfds);
	if (!list) {
		PyBuffer_Release(&data);
		return NULL;
	}
	call.request = data.buf;
	call.request_len = (size_t)data.len;
	call.fds = list;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_call(cl, &call);
	Py_END_ALLOW_THREADS
	PyBuffer_Release(&data);
	PyMem_Free(list);
	if (rc < 0) {
		vfupy_raise_client(cl, rc);
		return NULL;
	}
	/* A signal handler may have raised although it was done. */
	result = PyErr_Occurred() ? NULL : post ? Py_NewRef(Py_None) : vfupy_answer_of(&call);
	vfu_call_fini(&call);
	return result;
}

/* ---- types ---- */

static PyMethodDef request_methods[] = {
	{"payload", request_payload, METH_NOARGS, "A copy of its bytes."},
	{"take_fds", request_take_fds, METH_NOARGS,
	 "The descriptors that came along and were not taken, as a list: they are the caller's."},
	{"defer", request_defer, METH_NOARGS, "Has it outlive the call: it is answered later."},
	{"reply", request_reply, METH_VARARGS,
	 "Answers with bytes and a list of descriptors. True unless the client is gone."},
	{"fail", request_fail, METH_O, "Answers with an errno, later."},
	{NULL, NULL, 0, NULL},
};

static PyType_Spec request_spec = {
	.name = "libvfu.Request",
	.basicsize = sizeof(struct request),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots =
		(PyType_Slot[]){
			{Py_tp_doc, (void *)"A command of the client that the device serves."},
			{Py_tp_methods, request_methods},
			{Py_tp_dealloc, request_dealloc},
			{0, NULL},
		},
};

int vfupy_init_commands(PyObject *module)
{
	(void)module;
	request_type = (PyTypeObject *)PyType_FromSpec(&request_spec);
	return request_type ? 0 : -1;
}
