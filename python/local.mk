# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# The package vfu, pure Python, and the command vfu.

vfu_package = \
	python/vfu/__init__.py \
	python/vfu/__main__.py \
	python/vfu/capabilities.py \
	python/vfu/capability_fields.py \
	python/vfu/commands.py \
	python/vfu/declared.py \
	python/vfu/device.py \
	python/vfu/dma.py \
	python/vfu/arguments.py \
	python/vfu/errors.py \
	python/vfu/fixed.py \
	python/vfu/irqs.py \
	python/vfu/memory.py \
	python/vfu/pci.py \
	python/vfu/protocol.py \
	python/vfu/py.typed \
	python/vfu/pytest_plugin.py \
	python/vfu/regions.py \
	python/vfu/registers.py \
	python/vfu/server.py \
	python/vfu/shown.py \
	python/vfu/testing.py
vfu_client = \
	python/vfu/client/__init__.py \
	python/vfu/client/dma.py \
	python/vfu/client/irqs.py \
	python/vfu/client/link.py \
	python/vfu/client/posts.py \
	python/vfu/client/regions.py \
	python/vfu/client/requests.py \
	python/vfu/client/times.py
vfu_aio = \
	python/vfu/aio/__init__.py \
	python/vfu/aio/dma.py \
	python/vfu/aio/irqs.py \
	python/vfu/aio/loop.py \
	python/vfu/aio/regions.py
vfu_cli = \
	python/vfu/cli/__init__.py \
	python/vfu/cli/access.py \
	python/vfu/cli/activation.py \
	python/vfu/cli/background.py \
	python/vfu/cli/connection.py \
	python/vfu/cli/deadline.py \
	python/vfu/cli/dump.py \
	python/vfu/cli/error.py \
	python/vfu/cli/explain.py \
	python/vfu/cli/guest.py \
	python/vfu/cli/in_guest.py \
	python/vfu/cli/info.py \
	python/vfu/cli/log.py \
	python/vfu/cli/manual.py \
	python/vfu/cli/names.py \
	python/vfu/cli/parts.py \
	python/vfu/cli/progress.py \
	python/vfu/cli/serve.py \
	python/vfu/cli/shell.py \
	python/vfu/cli/status.py \
	python/vfu/cli/settings.py \
	python/vfu/cli/style.py \
	python/vfu/cli/trace.py \
	python/vfu/cli/wait.py \
	python/vfu/cli/workbench.py
vfu_decode = \
	python/vfu/decode/__init__.py \
	python/vfu/decode/decoder.py \
	python/vfu/decode/describe.py \
	python/vfu/decode/english.py \
	python/vfu/decode/expressions.py \
	python/vfu/decode/hexdump.py \
	python/vfu/decode/items.py \
	python/vfu/decode/layout.py \
	python/vfu/decode/limits.py \
	python/vfu/decode/model.py \
	python/vfu/decode/text.py
vfu_guest = \
	python/vfu/guest/__init__.py \
	python/vfu/guest/boot.py \
	python/vfu/guest/cache.py \
	python/vfu/guest/errors.py \
	python/vfu/guest/init \
	python/vfu/guest/initramfs.py \
	python/vfu/guest/kernel.py \
	python/vfu/guest/machine.py \
	python/vfu/guest/modules.py \
	python/vfu/guest/packages.py \
	python/vfu/guest/programs.py \
	python/vfu/guest/servers.py \
	python/vfu/guest/task.py
# Of the guest, not of this machine.
vfu_guest_bin = \
	python/vfu/guest/bin/bind-driver \
	python/vfu/guest/bin/load-driver \
	python/vfu/guest/bin/mount-modules
vfu_trace = \
	python/vfu/trace/__init__.py \
	python/vfu/trace/filters.py \
	python/vfu/trace/pcapng.py \
	python/vfu/trace/recorder.py \
	python/vfu/trace/relay.py \
	python/vfu/trace/twin.py
vfu_examples = \
	python/examples/async_client.py \
	python/examples/batch.py \
	python/examples/choices.py \
	python/examples/counter.py \
	python/examples/demo.py \
	python/examples/drivers/edu.py \
	python/examples/drivers/nvme.py \
	python/examples/edu.py \
	python/examples/firmware.py \
	python/examples/gpio.py \
	python/examples/gpioget.py \
	python/examples/gpioset.py \
	python/examples/guest/edu.sh \
	python/examples/guest/nvme.sh \
	python/examples/guest/thermometer.sh \
	python/examples/nvme.py \
	python/examples/reconnect.py \
	python/examples/serial.py \
	python/examples/simulator.py \
	python/examples/sparse.py \
	python/examples/thermometer.py \
	python/examples/window.py \
	python/examples/systemd/vfu@.service \
	python/examples/systemd/vfu@.socket

vfu_modules = $(vfu_package) $(vfu_client) $(vfu_aio) $(vfu_cli) $(vfu_decode) $(vfu_trace) $(vfu_guest) $(vfu_guest_bin)
EXTRA_DIST += $(vfu_modules) $(vfu_examples) python/vfu-command.in

# For ./run: all modules as if installed, which are links, so that what is edited counts at once; and compiled, which else
# each process would do anew. Generated ones are those of a tarball, or made here, libvfu.py with vfu_wrap.c.
python/lib/compiled: $(vfu_modules) $(codegen_python) bindings/gen/vfu_wrap.c Makefile
	$(AM_V_GEN)for file in $(abspath $(patsubst %vfu_wrap.c,%libvfu.py,$(filter-out Makefile,$^))); do \
		case $$file in */gen/*) to=python/lib ;; *) to=python/lib/$${file##*/python/}; to=$${to%/*} ;; esac; \
		$(MKDIR_P) $$to && ln -sf "$$file" $$to || exit 1; \
	done && $(PYTHON) -m compileall -q python/lib && touch $@
clean_local += python/lib

# Finds the package beside an installation too whose prefix Python does not look at.
python/bin/vfu: python/vfu-command.in $(installed_places)
	$(AM_V_GEN)$(MKDIR_P) python/bin && \
	$(SED) -e 's|[@]PYTHON@|$(PYTHON)|' -e 's|[@]pythondir@|$(pythondir)|' \
		-e 's|[@]pyexecdir@|$(pyexecdir)|' $(srcdir)/python/vfu-command.in > $@.tmp && \
	chmod +x $@.tmp && mv $@.tmp $@ || { rm -f $@.tmp; exit 1; }

# For ./run: the interpreter that configure chose, whatever else is called python3 here.
python/bin/python3: Makefile
	$(AM_V_GEN)$(MKDIR_P) python/bin && \
	printf '#!/bin/sh\nexec "%s" "$$@"\n' '$(PYTHON)' > $@.tmp && \
	chmod +x $@.tmp && mv $@.tmp $@ || { rm -f $@.tmp; exit 1; }
CLEANFILES += python/bin/vfu python/bin/python3

# Made with vfu.1. tests/py/test_help.py says what is missing here.
command_pages = \
	python/packaging/vfu-dump.1 \
	python/packaging/vfu-explain.1 \
	python/packaging/vfu-guest.1 \
	python/packaging/vfu-help.1 \
	python/packaging/vfu-info.1 \
	python/packaging/vfu-read.1 \
	python/packaging/vfu-serve.1 \
	python/packaging/vfu-shell.1 \
	python/packaging/vfu-trace.1 \
	python/packaging/vfu-wait.1 \
	python/packaging/vfu-write.1

if HAVE_PYTHON
vfupackagedir = $(pythondir)/vfu
vfupackage_DATA = $(vfu_package)
vfuclientdir = $(pythondir)/vfu/client
vfuclient_DATA = $(vfu_client)
vfuaiodir = $(pythondir)/vfu/aio
vfuaio_DATA = $(vfu_aio)
vfuclidir = $(pythondir)/vfu/cli
vfucli_DATA = $(vfu_cli)
vfudecodedir = $(pythondir)/vfu/decode
vfudecode_DATA = $(vfu_decode)
vfutracedir = $(pythondir)/vfu/trace
vfutrace_DATA = $(vfu_trace)
# What the decoder reads, beside it.
vfumodeldir = $(pythondir)/vfu
vfumodel_DATA = doc/gen/vfio-user.json
# Checkers of types look for those of a package inside it alone.
vfutypesdir = $(pythondir)/vfu
vfutypes_DATA = python/packaging/protocol.pyi
vfuguestdir = $(pythondir)/vfu/guest
vfuguest_DATA = $(vfu_guest)
vfuguestbindir = $(vfuguestdir)/bin
vfuguestbin_DATA = $(vfu_guest_bin)
bin_SCRIPTS += python/bin/vfu
noinst_SCRIPTS += python/bin/python3
noinst_DATA += python/lib/compiled

# What tells pip and importlib.metadata that the package is installed, and management tools of `vfu serve`.
distinfodir = $(pythondir)/libvfu-$(PACKAGE_VERSION).dist-info
distinfo_DATA = python/packaging/METADATA
backendsdir = $(datadir)/qemu/vfio-user
backends_DATA = python/packaging/50-vfu-serve.json
man1_MANS = python/packaging/vfu.1 $(command_pages)
bashcompletiondir = $(datadir)/bash-completion/completions
endif

EXTRA_DIST += pyproject.toml python/packaging/vfu.bash python/packaging/backend.py python/packaging/manpage.py python/packaging/command_pages.py python/packaging/METADATA.in \
	python/packaging/50-vfu-serve.json.in
CLEANFILES += python/packaging/METADATA python/packaging/50-vfu-serve.json python/packaging/vfu*.1 python/packaging/protocol.pyi

python/packaging/protocol.pyi: python/gen/vfu_protocol.pyi
	$(AM_V_GEN)$(MKDIR_P) python/packaging && cp $< $@

python/packaging/METADATA: python/packaging/METADATA.in README.md Makefile
	$(AM_V_GEN)$(MKDIR_P) python/packaging && \
	{ $(SED) -e '/^#/d' -e 's|[@]PACKAGE_VERSION@|$(PACKAGE_VERSION)|' -e 's|[@]python_oldest@|$(python_oldest)|' \
		$(srcdir)/python/packaging/METADATA.in && $(SED) 1d $(srcdir)/README.md; } > $@.tmp && \
	mv $@.tmp $@ || { rm -f $@.tmp; exit 1; }

python/packaging/50-vfu-serve.json: python/packaging/50-vfu-serve.json.in $(installed_places)
	$(AM_V_GEN)$(MKDIR_P) python/packaging && \
	$(SED) -e '/^#/d' -e 's|[@]bindir@|$(bindir)|' $(srcdir)/python/packaging/50-vfu-serve.json.in > $@.tmp && \
	mv $@.tmp $@ || { rm -f $@.tmp; exit 1; }

if HAVE_PYTHON
install-data-local:
	$(MKDIR_P) "$(DESTDIR)$(bashcompletiondir)"
	$(INSTALL_DATA) $(srcdir)/python/packaging/vfu.bash "$(DESTDIR)$(bashcompletiondir)/vfu"
uninstall-local:
	rm -f "$(DESTDIR)$(bashcompletiondir)/vfu"
endif

# What the commands say of themselves. vfu.1 is written last: when it is there, all are.
python/packaging/vfu.1: python/packaging/manpage.py python/packaging/command_pages.py doc/make/troff.py python/lib/compiled bindings/_libvfu.la run
	$(AM_V_GEN)rm -rf python/packaging/pages && $(MKDIR_P) python/packaging/pages && \
	PYTHONPATH="$(abs_srcdir)/doc/make:$(abs_srcdir)/python/packaging$${PYTHONPATH:+:$$PYTHONPATH}" ./run $(PYTHON) $(srcdir)/python/packaging/manpage.py python/packaging/pages && \
	mv python/packaging/pages/vfu-*.1 python/packaging && mv python/packaging/pages/vfu.1 $@ && \
	rmdir python/packaging/pages
$(command_pages): python/packaging/vfu.1
	@test -f $@ || { echo "$@: vfu has no such command" >&2; exit 1; }

# A tarball is what pip calls a source distribution.
dist-hook: python-dist
python-dist: python/packaging/METADATA
	cp python/packaging/METADATA $(distdir)/PKG-INFO
.PHONY: python-dist
