# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# Each is a NAME.patch, a NAME.c and a NAME.py; see README.md.
drills = agreed command feature flag region-capability version-key
EXTRA_DIST += tests/drill/check-drill tests/drill/drill.h tests/drill/README.md \
	$(drills:%=tests/drill/%.patch) $(drills:%=tests/drill/%.c) $(drills:%=tests/drill/%.py)

# Not part of "check": the library is built once for each drill.
if HAVE_LUA
check-drill:
	@$(AM_TESTS_ENVIRONMENT) bash $(srcdir)/tests/drill/check-drill $(drills)
else
check-drill:
	@echo "SKIPPED: check-drill needs Lua"
endif
clean_local += drill
.PHONY: check-drill
