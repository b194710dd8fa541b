# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

EXTRA_DIST += \
	tests/qemu/check-qemu \
	tests/qemu/command.py \
	tests/qemu/disk.py \
	tests/qemu/guest-checks.c \
	tests/qemu/guest-script \
	tests/qemu/replug.py

clean_local += tests/qemu/log

# Not part of "check", for it downloads a kernel and QEMU. A skip, 77, is no failure of make, as it is
# none in "check".
check-qemu: all tests/bench/device$(EXEEXT)
	@test '$(PYTHON)' != : || { echo 'check-qemu: SKIPPED, no Python to serve devices with'; exit 0; }; \
		s=0; srcdir='$(abs_srcdir)' VFU_BENCH='$(abs_builddir)/tests/bench/device' CC='$(CC)' \
		./run python3 $(srcdir)/tests/qemu/check-qemu || s=$$?; \
		test $$s -eq 77 || exit $$s
