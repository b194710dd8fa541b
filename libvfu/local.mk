# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# Hand-written files, in the order of the layers: a file includes only what is above it.
libvfu_sources += \
	libvfu/request.c libvfu/request.h \
	libvfu/device.c libvfu/device.h \
	libvfu/server.c libvfu/server.h libvfu/order.c libvfu/handlers.c libvfu/run.c \
	libvfu/version.c

include_HEADERS = libvfu/vfu.h

# All symbols, for the unit tests; the library proper shows only those of the public header.
noinst_LTLIBRARIES += libvfu/libvfu-internal.la
libvfu_libvfu_internal_la_SOURCES = $(libvfu_sources) $(libvfu_gen_sources)
libvfu_libvfu_internal_la_LIBADD = $(JSON_C_LIBS)

lib_LTLIBRARIES += libvfu/libvfu.la
libvfu_libvfu_la_SOURCES =
libvfu_libvfu_la_LIBADD = libvfu/libvfu-internal.la
libvfu_libvfu_la_LDFLAGS = $(AM_LDFLAGS) -version-info $(LIBVFU_VERSION_INFO) \
	-Wl,-z,relro -Wl,--version-script=libvfu/libvfu.map
EXTRA_libvfu_libvfu_la_DEPENDENCIES = libvfu/libvfu.map

# Needs nothing but awk, so it is made anew everywhere and not distributed.
libvfu/libvfu.map: libvfu/vfu.h libvfu/exports.awk
	$(AM_V_GEN)$(MKDIR_P) libvfu && \
	$(AWK) -f $(srcdir)/libvfu/exports.awk $(srcdir)/libvfu/vfu.h > $@.tmp && \
	mv $@.tmp $@ || { rm -f $@.tmp; exit 1; }

CLEANFILES += libvfu/libvfu.map
EXTRA_DIST += libvfu/exports.awk

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = libvfu/libvfu.pc
