# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# What every test program is linked with unless it says otherwise; its source is NAME.c.
LDADD = $(test_libs) libvfu/libvfu-internal.la $(CHECK_LIBS)
test_libs = tests/lib/libtest.la
EXTRA_LTLIBRARIES += tests/lib/libtest.la
tests_lib_libtest_la_SOURCES = tests/lib/lacks.c tests/lib/lacks.h tests/lib/threads.c

# Test programs are built for the log that wants them: `make check TESTS=x` builds x alone.
CLEANFILES += $(EXTRA_PROGRAMS) $(EXTRA_LTLIBRARIES)

# A test is a program, a pytest file, a Lua script or a shell script, told apart by its suffix.
TEST_EXTENSIONS = .py .lua .sh
PY_LOG_COMPILER = $(SHELL) $(srcdir)/tests/lib/run-pytest
LUA_LOG_COMPILER = $(SHELL) $(srcdir)/tests/lib/run-lua
SH_LOG_COMPILER = $(SHELL)
LOG_COMPILER = $(EMULATOR)
EXTRA_DIST += tests/lib/run-pytest tests/lib/run-lua tests/lib/closing-lines

AM_TESTS_ENVIRONMENT = \
	abs_srcdir='$(abs_srcdir)'; abs_builddir='$(abs_builddir)'; \
	LUA='$(LUA)'; SWIG='$(SWIG)'; PYTHON='$(PYTHON)'; CC='$(CC)'; EMULATOR='$(EMULATOR)'; \
	CK_DEFAULT_TIMEOUT=60; PYTHONDONTWRITEBYTECODE=1; \
	HYPOTHESIS_STORAGE_DIRECTORY='$(abs_builddir)/.hypothesis'; \
	export abs_srcdir abs_builddir LUA SWIG PYTHON CC EMULATOR CK_DEFAULT_TIMEOUT; \
	export PYTHONDONTWRITEBYTECODE HYPOTHESIS_STORAGE_DIRECTORY;
clean_local += .hypothesis

# Recorded traffic, which tests replay, and a recorded bench; pictures show both.
EXTRA_DIST += tests/data/captures tests/data/sequences tests/data/bench
