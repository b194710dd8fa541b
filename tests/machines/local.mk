# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

EXTRA_DIST += tests/machines/check tests/machines/setup tests/lib/packages.bash

# What is worth running on another machine; the rest is the same on all.
machine_tests = $(unit_tests) $(gen_tests) doc/examples/run-examples.sh

# Not part of "check", for they download compilers. A skip, 77, is no failure of make, as it is none
# in "check".
check-s390x check-m32:
	@s=0; abs_srcdir='$(abs_srcdir)' LUA='$(LUA)' \
	  $(SHELL) $(srcdir)/tests/machines/check $(@:check-%=%) || s=$$?; \
	test $$s -eq 77 || exit $$s
clean_local += s390x m32
.PHONY: check-s390x check-m32
