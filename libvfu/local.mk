# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# Hand-written files, in the order of the layers: a file includes only what is above it.
libvfu_sources += \
	libvfu/base/os.h libvfu/base/os.c \
	libvfu/base/util.h \
	libvfu/base/shared.h \
	libvfu/base/list.h \
	libvfu/base/err.h libvfu/base/err.c \
	libvfu/base/clock.h libvfu/base/clock.c \
	libvfu/base/log.h libvfu/base/log.c \
	libvfu/version.c \
	libvfu/base/buf.h libvfu/base/buf.c \
	libvfu/base/fds.h libvfu/base/fds.c \
	libvfu/base/sigbus.h libvfu/base/sigbus.c \
	libvfu/base/account.h libvfu/base/account.c \
	libvfu/base/eventfd.h libvfu/base/eventfd.c \
	libvfu/transport/msg.h libvfu/transport/msg.c \
	libvfu/transport/trace.h libvfu/transport/trace.c \
	libvfu/transport/sock.h libvfu/transport/sock.c \
	libvfu/transport/pend.h libvfu/transport/pend.c \
	libvfu/transport/chan-in.h libvfu/transport/chan-in.c \
	libvfu/transport/chan-out.h libvfu/transport/chan-out.c \
	libvfu/transport/caps-agree.h libvfu/transport/caps-agree.c \
	libvfu/transport/conn-state.h libvfu/transport/conn-inside.h libvfu/transport/conn-state.c \
	libvfu/transport/conn-out.h libvfu/transport/conn-out.c \
	libvfu/transport/conn-send.h libvfu/transport/conn-send.c \
	libvfu/transport/conn-read.h libvfu/transport/conn-read.c \
	libvfu/transport/conn-wait.h libvfu/transport/conn-wait.c \
	libvfu/transport/conn-call.h libvfu/transport/conn-call.c \
	libvfu/transport/conn-gather.h libvfu/transport/conn-gather.c \
	libvfu/transport/conn-loop.h libvfu/transport/conn-loop.c \
	libvfu/transport/conn.h libvfu/transport/conn.c \
	libvfu/transport/json.h libvfu/transport/json.c \
	libvfu/transport/json-text.h libvfu/transport/json-text.c \
	libvfu/transport/negotiate.h libvfu/transport/negotiate.c \
	libvfu/device/answer.h libvfu/device/answer.c \
	libvfu/device/request.h libvfu/device/request.c \
	libvfu/device/command.h libvfu/device/command.c \
	libvfu/device/ranges.h libvfu/device/ranges.c \
	libvfu/device/peer-file.h libvfu/device/peer-file.c \
	libvfu/device/dma-state.h \
	libvfu/device/dma-file.h libvfu/device/dma-file.c \
	libvfu/device/dma-memory.h libvfu/device/dma-memory.c \
	libvfu/device/dma-table.h libvfu/device/dma-table.c \
	libvfu/device/dma-op.h libvfu/device/dma-op.c \
	libvfu/device/dma-message.h libvfu/device/dma-message.c \
	libvfu/device/dma-copy.h libvfu/device/dma-copy.c \
	libvfu/device/dma-list.h libvfu/device/dma-list.c \
	libvfu/device/dma-bounce.h libvfu/device/dma-bounce.c \
	libvfu/device/dma-pin.h libvfu/device/dma-pin.c \
	libvfu/device/dma.h libvfu/device/dma.c \
	libvfu/device/events.h libvfu/device/events.c libvfu/device/irq.h libvfu/device/irq.c \
	libvfu/device/ioevents.h libvfu/device/ioevents.c \
	libvfu/device/region-info.h libvfu/device/region-info.c libvfu/device/region.h libvfu/device/region.c \
	libvfu/device/region-map.h libvfu/device/region-map.c \
	libvfu/device/masks.h libvfu/device/register.h libvfu/device/register.c \
	libvfu/device/msix.h libvfu/device/msix.c \
	libvfu/device/pci-state.h libvfu/device/pci-masks.h libvfu/device/pci-masks.c \
	libvfu/device/pci-caps.h libvfu/device/pci-caps.c libvfu/device/pci-access.h libvfu/device/pci-access.c \
	libvfu/device/pci-kinds.h libvfu/device/pci-kinds.c libvfu/device/pci-irq.h libvfu/device/pci-irq.c libvfu/device/pci-bars.h libvfu/device/pci-bars.c \
	libvfu/device/pci.h libvfu/device/pci.c \
	libvfu/device/handle.h libvfu/device/gate.c libvfu/device/reset.c libvfu/device/parts.c \
	libvfu/device/peer.c libvfu/device/state.c libvfu/device/handle.c \
	libvfu/device/pci-calls.c libvfu/device/region-calls.c libvfu/device/irq-calls.c libvfu/device/dma-calls.c \
	libvfu/client/kept.h libvfu/client/kept.c libvfu/client/state.h libvfu/client/backoff.h \
	libvfu/client/recall.h libvfu/client/recall.c \
	libvfu/client/link.h libvfu/client/link.c \
	libvfu/client/dma-table.h libvfu/client/dma-table.c \
	libvfu/client/iova.c \
	libvfu/client/dma-later.h libvfu/client/dma-later.c \
	libvfu/client/dma-serve.h libvfu/client/dma-serve.c \
	libvfu/client/watch.h libvfu/client/watch.c \
	libvfu/client/users.h libvfu/client/users.c \
	libvfu/client/replay.h libvfu/client/replay.c \
	libvfu/client/reconnect.h libvfu/client/reconnect.c \
	libvfu/client/call.h libvfu/client/call.c \
	libvfu/client/refusal.h libvfu/client/refusal.c \
	libvfu/client/master.h libvfu/client/master.c \
	libvfu/client/info.h libvfu/client/info.c libvfu/client/command.c libvfu/client/io-fds.c \
	libvfu/client/io-fds.h libvfu/client/direct.h libvfu/client/direct.c libvfu/client/numbers.c \
	libvfu/client/async.h libvfu/client/region.h libvfu/client/region.c libvfu/client/async.c libvfu/client/posts.h libvfu/client/posts.c \
	libvfu/client/irq.c libvfu/client/irq-wait.c libvfu/client/dma.c libvfu/client/dma-alloc.c libvfu/client/loop.c \
	libvfu/client/pci.h libvfu/client/pci.c libvfu/client/pci-bars.c \
	libvfu/client/connect.h libvfu/client/connect.c \
	libvfu/client/handle.c \
	libvfu/server/state.h \
	libvfu/server/handlers.h libvfu/server/handlers.c \
	libvfu/server/greet.h libvfu/server/greet.c \
	libvfu/server/held.h libvfu/server/held.c \
	libvfu/server/order.h libvfu/server/order.c \
	libvfu/server/watch.h libvfu/server/watch.c \
	libvfu/server/connection.h libvfu/server/connection.c \
	libvfu/server/listener.h libvfu/server/listener.c \
	libvfu/server/handle.h libvfu/server/handle.c libvfu/server/run.c

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
	-Wl,-z,relro -Wl,-z,nodelete $(DEFS_LDFLAGS) -Wl,--version-script=libvfu/libvfu.map
EXTRA_libvfu_libvfu_la_DEPENDENCIES = libvfu/libvfu.map $(installed_places)

# Needs nothing but awk, so it is made anew everywhere and not distributed.
libvfu/libvfu.map: libvfu/vfu.h libvfu/exports.awk
	$(AM_V_GEN)$(MKDIR_P) libvfu && \
	$(AWK) -f $(srcdir)/libvfu/exports.awk $(srcdir)/libvfu/vfu.h > $@.tmp && \
	mv $@.tmp $@ || { rm -f $@.tmp; exit 1; }

CLEANFILES += libvfu/libvfu.map
EXTRA_DIST += libvfu/exports.awk libvfu/base/README.md libvfu/transport/README.md \
	libvfu/device/README.md libvfu/client/README.md libvfu/server/README.md

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = libvfu/libvfu.pc

libvfu/libvfu.pc: libvfu/libvfu.pc.in $(installed_places)
	$(AM_V_GEN)$(MKDIR_P) libvfu && \
	$(SED) -e 's|[@]prefix@|$(prefix)|' -e 's|[@]exec_prefix@|$(exec_prefix)|' \
		-e 's|[@]libdir@|$(libdir)|' -e 's|[@]includedir@|$(includedir)|' \
		-e 's|[@]PACKAGE_VERSION@|$(PACKAGE_VERSION)|' -e 's|[@]JSON_C_LIBS@|$(JSON_C_LIBS)|' \
		$(srcdir)/libvfu/libvfu.pc.in > $@.tmp && \
	mv $@.tmp $@ || { rm -f $@.tmp; exit 1; }
CLEANFILES += libvfu/libvfu.pc
EXTRA_DIST += libvfu/libvfu.pc.in
