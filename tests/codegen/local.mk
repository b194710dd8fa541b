# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# Of the code generator itself: every fault it can report, its outputs for two small specs, that they
# are programs, the same each time, and that one word in the spec reaches all of them.
codegen_tests = \
	tests/codegen/corpus.lua \
	tests/codegen/dissector.lua \
	tests/codegen/faults.lua \
	tests/codegen/golden.lua \
	tests/codegen/make-output.sh \
	tests/codegen/one-word.lua \
	tests/codegen/outputs.lua \
	tests/codegen/programs.lua

TESTS += $(codegen_tests)
EXTRA_DIST += $(codegen_tests) tests/codegen/lib.lua tests/codegen/wireshark.lua tests/codegen/bad tests/codegen/ok

# After a change of the grammar: the tables of spec/README.md.
.PHONY: update-keys
update-keys:
	abs_srcdir='$(abs_srcdir)' LUA='$(LUA)' $(LUA) $(srcdir)/tests/codegen/outputs.lua update

# After a change of a generator that is meant; look at the difference before it is committed.
.PHONY: update-golden
update-golden:
	abs_srcdir='$(abs_srcdir)' LUA='$(LUA)' $(LUA) $(srcdir)/tests/codegen/golden.lua update
