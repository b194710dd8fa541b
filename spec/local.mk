# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# Every generated file depends on these.
spec_files = \
	spec/protocol.lua \
	spec/errata.lua \
	spec/types.lua \
	spec/caps.lua \
	spec/session.lua \
	spec/dma.lua \
	spec/device.lua \
	spec/region.lua \
	spec/irq.lua \
	spec/feature.lua \
	spec/migration.lua

EXTRA_DIST += $(spec_files) spec/README.md spec/wire.lock

# wire.lock is committed, so that a change of the wire shows in review.  A test compares it.
.PHONY: update-lock
update-lock:
	$(LUA) $(srcdir)/codegen/main.lua lock $(srcdir)/spec > $(srcdir)/spec/wire.lock.tmp && \
	mv -f $(srcdir)/spec/wire.lock.tmp $(srcdir)/spec/wire.lock || \
	{ rm -f $(srcdir)/spec/wire.lock.tmp; exit 1; }
