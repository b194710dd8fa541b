# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# The reference of the protocol is made from the spec.
EXTRA_DIST += doc/gen/protocol.rst
MAINTAINERCLEANFILES += doc/gen/protocol.rst
vfudocdir = $(docdir)
vfudoc_DATA = doc/gen/protocol.rst

doc/gen/protocol.rst: codegen/gen/protocol_rst.lua $(codegen_inputs)
	$(AM_V_GEN)output=protocol_rst; $(codegen_run)

# The examples in C: built against libvfu.la as a user would, and run against each other.
doc_examples = doc/examples/device doc/examples/client
check_PROGRAMS += $(doc_examples)
doc_examples_device_LDADD = libvfu/libvfu.la
doc_examples_client_LDADD = libvfu/libvfu.la
TESTS += doc/examples/run-examples.sh
EXTRA_DIST += doc/examples/run-examples.sh
