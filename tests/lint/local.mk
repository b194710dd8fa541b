# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# The checks that take their time or need tools of their own; see HACKING.md. A missing tool is a
# skip and says so.
lints = rules format headers installed symbols tarball shell
EXTRA_DIST += tests/lint/check-lint tests/lint/valgrind tests/lint/valgrind.supp tests/lint/without-python \
	tests/lint/rules tests/lint/format tests/lint/headers tests/lint/installed tests/lint/symbols \
	tests/lint/tarball tests/lint/shell tests/lint/links

# Where the mirror fails.
TESTS += tests/lint/quickstart.sh
EXTRA_DIST += tests/lint/quickstart.sh

check-lint: all
	@$(AM_TESTS_ENVIRONMENT) CLANG_FORMAT='$(CLANG_FORMAT)' \
	  $(SHELL) $(srcdir)/tests/lint/check-lint $(lints)

if HAVE_CHECK
# The programs after the library: beside "all", which is a make of its own, both would build it.
check-valgrind: all
	+@$(MAKE) $(AM_MAKEFLAGS) $(unit_tests) $(gen_tests)
	@command -v '$(VALGRIND)' >/dev/null && test '$(VALGRIND)' != : || { \
	  echo "SKIPPED: check-valgrind needs valgrind"; exit 0; }; \
	$(AM_TESTS_ENVIRONMENT) LIBTOOL='$(SHELL) $(abs_builddir)/libtool' VALGRIND='$(VALGRIND)'; \
	export LIBTOOL VALGRIND; rm -rf tests/valgrind; \
	printf './%s\n' $(unit_tests) $(gen_tests) | \
	  xargs -n 1 -P "$$(nproc)" $(SHELL) $(srcdir)/tests/lint/valgrind
else
check-valgrind:
	@echo "SKIPPED: check-valgrind needs Check (Debian: check)"
endif
clean_local += tests/valgrind

# Builds of their own inside this one. What this build generated is made again there.
check-asan check-tsan:
	@$(MKDIR_P) $(@:check-%=%)
	cd $(@:check-%=%) && { test -f Makefile || $(abs_srcdir)/configure -q --enable-$(@:check-%=%) \
	  CC='$(CC)' LUA='$(LUA)' SWIG='$(SWIG)' $(sanitize_configure_flags); }
	+cd $(@:check-%=%) && $(MAKE) $(AM_MAKEFLAGS) check VERBOSE=1
clean_local += asan tsan
.PHONY: check-tsan
