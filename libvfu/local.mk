# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# Hand-written files, in the order of the layers: a file includes only what is above it.
libvfu_sources += \
	libvfu/os.h libvfu/os.c \
	libvfu/base.h \
	libvfu/list.h \
	libvfu/err.h libvfu/err.c \
	libvfu/log.h libvfu/log.c \
	libvfu/clock.h libvfu/clock.c \
	libvfu/version.c \
	libvfu/buf.h libvfu/buf.c \
	libvfu/fds.h libvfu/fds.c \
	libvfu/msg.h libvfu/msg.c \
	libvfu/trace.h libvfu/trace.c \
	libvfu/sock.h libvfu/sock.c \
	libvfu/pend.h libvfu/pend.c \
	libvfu/chan.h libvfu/chan-in.c libvfu/chan-out.c \
	libvfu/conn.h libvfu/conn-private.h libvfu/conn.c libvfu/conn-send.c libvfu/conn-read.c libvfu/conn-wait.c \
	libvfu/json.h libvfu/json.c \
	libvfu/negotiate.h libvfu/negotiate.c \
	libvfu/request.h libvfu/request.c \
	libvfu/ranges.h libvfu/ranges.c \
	libvfu/dma.h libvfu/dma.c libvfu/dma-copy.c libvfu/dma-table.h \
	libvfu/irq.h libvfu/irq.c \
	libvfu/region.h libvfu/region.c \
	libvfu/pci.h libvfu/pci.c \
	libvfu/device.h libvfu/device.c \
	libvfu/client.h libvfu/client.c libvfu/client-call.c libvfu/client-info.c \
	libvfu/client-region.c libvfu/client-irq.c libvfu/client-dma.c libvfu/client-loop.c \
	libvfu/server.h libvfu/server.c \
	libvfu/order.c \
	libvfu/handlers.c \
	libvfu/run.c

include_HEADERS = libvfu/vfu.h

# All symbols, for the unit tests; the library proper shows only those of the public header.
noinst_LTLIBRARIES += libvfu/libvfu-internal.la
libvfu_libvfu_internal_la_SOURCES = $(libvfu_sources) $(libvfu_gen_sources)
libvfu_libvfu_internal_la_LIBADD = $(JSON_C_LIBS)

# So that any one target can be made first in a new build directory.
$(libvfu_libvfu_internal_la_OBJECTS): | $(codegen_headers)

lib_LTLIBRARIES += libvfu/libvfu.la
libvfu_libvfu_la_SOURCES =
libvfu_libvfu_la_LIBADD = libvfu/libvfu-internal.la
libvfu_libvfu_la_LDFLAGS = $(AM_LDFLAGS) -version-info $(LIBVFU_VERSION_INFO) \
	-Wl,-z,relro $(DEFS_LDFLAGS) -Wl,--version-script=libvfu/libvfu.map
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
