# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# The raw Python module: libvfu.py and vfu_wrap.c by SWIG, _libvfu.so of it and the hand-written files.

bindings_gen = bindings/gen/vfu_wrap.c bindings/gen/libvfu.py
bindings_inputs = bindings/vfu.i bindings/callbacks.h libvfu/vfu.h

# SWIG writes both files at once; the second rule is for the case that only one is left.
bindings/gen/vfu_wrap.c: $(bindings_inputs)
	$(AM_V_GEN)$(MKDIR_P) bindings/gen/tmp && \
	$(SWIG) -python -Wall -Werror -I$(srcdir)/libvfu -I$(srcdir)/bindings -outdir bindings/gen/tmp \
	  -o bindings/gen/tmp/vfu_wrap.c $(srcdir)/bindings/vfu.i && \
	mv bindings/gen/tmp/libvfu.py bindings/gen/tmp/vfu_wrap.c bindings/gen/ && \
	rmdir bindings/gen/tmp || { rm -rf bindings/gen/tmp; \
	  echo "$@ is older than one of: $(bindings_inputs)" >&2; \
	  echo "To make it anew install SWIG 4 (package swig) and run configure again." >&2; \
	  exit 1; }
bindings/gen/libvfu.py: bindings/gen/vfu_wrap.c
	@test -f $@ || { rm -f bindings/gen/vfu_wrap.c && \
	  $(MAKE) $(AM_MAKEFLAGS) bindings/gen/vfu_wrap.c; }

EXTRA_DIST += bindings/vfu.i bindings/libvfu.pyi $(bindings_gen)
MAINTAINERCLEANFILES += $(bindings_gen)

bindings_sources = bindings/callbacks.h bindings/access.c bindings/device.c bindings/errors.c \
	bindings/async.c bindings/buffers.c bindings/commands.c bindings/client-dma.c bindings/drive.c bindings/link.c bindings/pci.c bindings/port.c bindings/relay.c

if HAVE_PYTHON
# What SWIG wrote is compiled without our warnings: nobody can mend it.
noinst_LTLIBRARIES += bindings/libwrap.la
bindings_libwrap_la_SOURCES =
nodist_bindings_libwrap_la_SOURCES = bindings/gen/vfu_wrap.c
bindings_libwrap_la_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CPPFLAGS) -I$(srcdir)/bindings
bindings_libwrap_la_CFLAGS = $(SANITIZE_CFLAGS) -w
# Libtool: shared objects only, also for a library that is not installed.
bindings_libwrap_la_LDFLAGS = $(AM_LDFLAGS)

pyexec_LTLIBRARIES = bindings/_libvfu.la
bindings__libvfu_la_SOURCES = $(bindings_sources)
bindings__libvfu_la_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CPPFLAGS)
bindings__libvfu_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-export-symbols-regex "^PyInit_"
bindings__libvfu_la_LIBADD = bindings/libwrap.la libvfu/libvfu.la

EXTRA_bindings__libvfu_la_DEPENDENCIES = $(installed_places)

# The module for a wheel, linked anew: it looks for its libraries, and for theirs, in a directory beside it.
python/packaging/_libvfu.so: bindings/_libvfu.la
	$(AM_V_CCLD)$(MKDIR_P) python/packaging && \
	$(CC) $(CFLAGS) $(AM_LDFLAGS) $(LDFLAGS) -shared -o $@ $(wheel_objects) -Llibvfu/.libs -lvfu \
	  -Wl,--disable-new-dtags -Wl,-rpath,'$$ORIGIN/libvfu.libs'
wheel_objects = $(bindings__libvfu_la_OBJECTS:bindings/%.lo=bindings/.libs/%.o) \
	bindings/gen/.libs/libwrap_la-vfu_wrap.o
CLEANFILES += python/packaging/_libvfu.so

python_PYTHON = bindings/gen/libvfu.py

# The module is linked anew when it is installed, against the installed library. In a variable
# because automake would take a plain name for a replacement of its own rule.
install_module = install-pyexecLTLIBRARIES
$(install_module): install-libLTLIBRARIES
else
EXTRA_DIST += $(bindings_sources)
endif
