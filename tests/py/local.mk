# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# Each pytest file is one test of make check.
py_tests = \
	tests/py/test_accept.py \
	tests/py/test_access.py \
	tests/py/test_reconnect.py \
	tests/py/test_region_capabilities.py \
	tests/py/test_registers.py \
	tests/py/test_register_kinds.py \
	tests/py/test_async.py \
	tests/py/test_aio.py \
	tests/py/test_loops.py \
	tests/py/test_tasks.py \
	tests/py/test_bounds.py \
	tests/py/test_arguments.py \
	tests/py/test_buffers.py \
	tests/py/test_dma.py \
	tests/py/test_twin.py \
	tests/py/test_client_dma.py \
	tests/py/test_vanish.py \
	tests/py/test_irqs.py \
	tests/py/test_large.py \
	tests/py/test_endings.py \
	tests/py/test_errors.py \
	tests/py/test_exit_status.py \
	tests/py/test_header.py \
	tests/py/test_site_links.py \
	tests/py/test_help.py \
	tests/py/test_hostile.py \
	tests/py/test_guest.py \
	tests/py/test_limits.py \
	tests/py/test_manual.py \
	tests/py/test_many.py \
	tests/py/test_odd_servers.py \
	tests/py/test_leaks.py \
	tests/py/test_lifetime.py \
	tests/py/test_names.py \
	tests/py/test_nvme.py \
	tests/py/test_cli.py \
	tests/py/test_pip.py \
	tests/py/test_pictures.py \
	tests/py/test_posting.py \
	tests/py/test_explain.py \
	tests/py/test_examples.py \
	tests/py/test_trace.py \
	tests/py/test_dissector.py \
	tests/py/test_blocks.py \
	tests/py/test_serve.py \
	tests/py/test_shell.py \
	tests/py/test_properties.py \
	tests/py/test_storm.py \
	tests/py/test_testing.py \
	tests/py/test_thermometer.py \
	tests/py/test_waits.py \
	tests/py/test_captures.py \
	tests/py/test_commands.py tests/py/test_config_space.py tests/py/test_pci_view.py tests/py/test_parity.py tests/py/test_direct.py \
	tests/py/test_protocol.py \
	tests/py/test_protocol_parts.py \
	tests/py/test_model.py \
	tests/py/test_types.py \
	tests/py/test_version.py \
	tests/py/test_course.py

if HAVE_PYTEST
TESTS += $(py_tests)
else
TESTS += tests/py/no-python.sh
endif

# The generated cases.
tests/py/test_protocol.log tests/py/test_model.log tests/py/test_version.log tests/py/test_explain.log tests/py/test_dissector.log: tests/gen/vectors.py

tests/py/test_pictures.log: $(doc_pictures) $(doc_plots) doc/gen/vfio-user.json

# The explorer in a browser, which not everybody has: all generated cases, or one of each kind by
# make check TESTS=tests/py/test_explorer.py.
.PHONY: check-browser
check-browser:
	FULL=1 $(MAKE) $(AM_MAKEFLAGS) check TESTS='tests/py/test_browser.py tests/py/test_explorer.py tests/py/test_site.py'
	@grep -h '^SKIPPED \[' tests/py/test_browser.log tests/py/test_explorer.log tests/py/test_site.log || :
tests/py/test_explorer.log: tests/gen/vectors.py doc/gen/explorer.html
EXTRA_DIST += tests/py/browser.py tests/py/test_browser.py tests/py/test_explorer.py tests/py/test_site.py

# What a request leaves behind shows when there are many.
.PHONY: check-leak
check-leak:
	VFU_LEAK_REQUESTS=1000000 $(MAKE) $(AM_MAKEFLAGS) check TESTS=tests/py/test_leaks.py

# What a wheel holds.
if HAVE_PYTEST
tests/py/test_pip.log: python/packaging/_libvfu.so
endif

# The device of test_captures.py.
if HAVE_PYTEST
EXTRA_PROGRAMS += tests/py/replay-server
tests/py/test_captures.log: tests/py/replay-server$(EXEEXT)
tests_py_replay_server_LDADD = libvfu/libvfu-internal.la
endif
EXTRA_DIST += tests/py/no-python.sh tests/py/conftest.py tests/py/blocks.py tests/py/places.py tests/py/rules.py tests/py/version_texts.py tests/py/wire_cases.py tests/py/installed.py $(py_tests)
clean_local += tests/py/mypy-cache
