/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * errors.c - from errno to exception and back, and the log.
 */
#include "callbacks.h"

#include <errno.h>
#include <stdatomic.h>

static PyObject *make_error, *report_error, *log_line;
static atomic_int log_limit = VFU_LOG_WARN;

PyObject *set_globals(PyObject *error, PyObject *report, PyObject *log)
{
	Py_XSETREF(make_error, Py_NewRef(error));
	Py_XSETREF(report_error, Py_NewRef(report));
	Py_XSETREF(log_line, Py_NewRef(log));
	Py_RETURN_NONE;
}

/* Text of the library, in which names of files may be that are no UTF-8, and may be cut. */
static PyObject *to_text(const char *text)
{
	return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "backslashreplace");
}

static PyObject *error_of(int code, const struct vfu_err *err, bool has_ended)
{
	bool detail = err && err->code == code;

	return PyObject_CallFunction(make_error, "isINO", -code, detail ? err->field : "",
				     (unsigned)(detail ? err->offset : 0),
				     to_text(detail ? err->text : ""),
				     has_ended ? Py_True : Py_False);
}

PyObject *vfupy_error_of(int code, const struct vfu_err *err)
{
	return error_of(code, err, false);
}

static void raise_error(int code, const struct vfu_err *err, bool has_ended)
{
	PyObject *exc;

	/* A signal handler raised while the call waited: that is the exception. */
	if (PyErr_Occurred())
		return;
	if (!make_error) {
		errno = -code;
		PyErr_SetFromErrno(PyExc_OSError);
		return;
	}
	exc = error_of(code, err, has_ended);
	if (!exc)
		return;
	PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
	Py_DECREF(exc);
}

void vfupy_raise(int code, const struct vfu_err *err)
{
	raise_error(code, err, false);
}

void vfupy_raise_device(struct vfu_device *dev, int code)
{
	struct vfu_err err = {0};

	Py_BEGIN_ALLOW_THREADS
	vfu_device_err(dev, &err);
	Py_END_ALLOW_THREADS
	vfupy_raise(code, &err);
}

void vfupy_raise_server(struct vfu_server *srv, int code)
{
	struct vfu_err err = {0};

	Py_BEGIN_ALLOW_THREADS
	vfu_server_err(srv, &err);
	Py_END_ALLOW_THREADS
	vfupy_raise(code, &err);
}

/* Whether the connection has ended with that error, as it does when a rule is broken. Sets another error of the client. */
static bool has_ended(struct vfu_client *cl, int code)
{
	int status = vfu_client_status(cl);

	return status == code || (status == -EINPROGRESS && code == -EPROTO);
}

void vfupy_raise_client_err(struct vfu_client *cl, int code, const struct vfu_err *err)
{
	bool ended;

	Py_BEGIN_ALLOW_THREADS
	ended = has_ended(cl, code);
	Py_END_ALLOW_THREADS
	raise_error(code, err, ended);
}

void vfupy_raise_client(struct vfu_client *cl, int code)
{
	struct vfu_err err = {0};

	Py_BEGIN_ALLOW_THREADS
	vfu_client_err(cl, &err);
	Py_END_ALLOW_THREADS
	vfupy_raise_client_err(cl, code, &err);
}

void vfupy_raise_plain(const void *handle, int code)
{
	(void)handle;
	vfupy_raise(code, NULL);
}

void vfupy_lost(PyObject *where)
{
	if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
		PyErr_Clear();
		PyErr_SetInterrupt();
	} else {
		PyErr_WriteUnraisable(where);
	}
}

int vfupy_failed(struct vfupy_device *d, PyObject *where)
{
	PyObject *type, *exc, *trace, *code;
	int rc = EIO;

	PyErr_Fetch(&type, &exc, &trace);
	PyErr_NormalizeException(&type, &exc, &trace);
	if (trace)
		PyException_SetTraceback(exc, trace);
	Py_XDECREF(type);
	Py_XDECREF(trace);
	if (!PyErr_GivenExceptionMatches(exc, PyExc_Exception)) {
		Py_XSETREF(d->raised, exc);
		if (d->serving)
			vfu_server_stop(d->serving);
		return PyErr_GivenExceptionMatches(exc, PyExc_SystemExit) ? -EIO : -ECANCELED;
	}
	code = report_error ? PyObject_CallFunctionObjArgs(report_error, where, exc, NULL) : NULL;
	if (code)
		rc = (int)PyLong_AsLong(code);
	if (PyErr_Occurred())
		vfupy_lost(where);
	Py_XDECREF(code);
	Py_DECREF(exc);
	return rc > 0 ? -rc : -EIO;
}

PyObject *device_reraise(struct vfupy_device *d)
{
	PyObject *exc = d->raised;

	if (!exc)
		Py_RETURN_NONE;
	d->raised = NULL;
	PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
	Py_DECREF(exc);
	return NULL;
}

/* ---- log ---- */

static void on_log(void *user, enum vfu_log_level level, const char *text)
{
	PyObject *type, *exc, *trace, *result;
	PyGILState_STATE gil;

	(void)user;
	if ((int)level > atomic_load(&log_limit))
		return;
	gil = PyGILState_Ensure();
	/* A line may be logged while an exception is on its way. */
	PyErr_Fetch(&type, &exc, &trace);
	result = log_line ? PyObject_CallFunction(log_line, "iN", (int)level, to_text(text)) : NULL;
	if (PyErr_Occurred())
		vfupy_lost(log_line);
	Py_XDECREF(result);
	PyErr_Restore(type, exc, trace);
	PyGILState_Release(gil);
}

PyObject *device_set_log_level(struct vfupy_device *d, int level)
{
	atomic_store(&log_limit, level);
	vfu_device_set_log(d->dev, on_log, NULL);
	Py_RETURN_NONE;
}

/* ---- what ends waits ---- */

static int check_signals(void *user)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	int rc = PyErr_CheckSignals();

	(void)user;
	PyGILState_Release(gil);
	return rc;
}

PyObject *client_set_hooks(struct vfu_client *cl, int level)
{
	atomic_store(&log_limit, level);
	vfu_client_set_log(cl, on_log, NULL);
	vfu_client_set_interrupt(cl, check_signals, NULL);
	Py_RETURN_NONE;
}

/* A wait inside of this one may have kept what is to end all of them. */
static int check_wait(void *user)
{
	struct vfupy_device *d = user;
	PyGILState_STATE gil = PyGILState_Ensure();
	PyObject *result = NULL;
	int rc;

	if (d->raised)
		result = device_reraise(d);
	else if (!PyErr_CheckSignals())
		result = PyObject_CallMethod(d->self, "_check_wait", NULL);
	rc = result ? 0 : -1;
	Py_XDECREF(result);
	PyGILState_Release(gil);
	return rc;
}

PyObject *server_set_hooks(struct vfu_server *srv, struct vfupy_device *d)
{
	vfu_server_set_interrupt(srv, check_wait, d);
	Py_RETURN_NONE;
}
