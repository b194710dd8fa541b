# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# The files with structures, flags or enumerations: each becomes a header of its own.
spec_wire = protocol session dma device region irq feature migration
# Every generated file depends on these.
spec_files = $(spec_wire:%=spec/%.lua) spec/errata.lua spec/caps.lua

EXTRA_DIST += $(spec_files) spec/README.md spec/wire.lock

# The fast answer after a change here: no C, and of Python only what is generated.
.PHONY: check-spec
check-spec: python/gen/vfu_protocol.py tests/gen/vectors.py
	$(LUA) $(srcdir)/codegen/main.lua check $(srcdir)/spec
	$(LUA) $(srcdir)/codegen/main.lua lock $(srcdir)/spec | diff -u $(srcdir)/spec/wire.lock - || \
	  { echo 'spec/wire.lock is not current: make update-lock, and commit it'; exit 1; }
	@if test '$(PYTHON)' != : && $(PYTHON) -c 'import pytest' 2>/dev/null; then \
	  $(AM_TESTS_ENVIRONMENT) ./run $(PYTHON) -m pytest -q -p no:cacheprovider --noconftest \
	    $(srcdir)/tests/py/test_protocol.py; \
	else echo 'SKIPPED: the cases in Python need pytest'; fi

# wire.lock is committed, so that a change of the wire shows in review.  A test compares it.
.PHONY: update-lock
update-lock:
	$(LUA) $(srcdir)/codegen/main.lua lock $(srcdir)/spec > $(srcdir)/spec/wire.lock.tmp && \
	mv -f $(srcdir)/spec/wire.lock.tmp $(srcdir)/spec/wire.lock || \
	{ rm -f $(srcdir)/spec/wire.lock.tmp; exit 1; }
