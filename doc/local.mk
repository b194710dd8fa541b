# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# The reference of the protocol and the model are made from the spec.
doc_gen = doc/gen/protocol.rst doc/gen/errata.rst doc/gen/vfio-user.json doc/gen/explorer.html
EXTRA_DIST += $(doc_gen)
MAINTAINERCLEANFILES += $(doc_gen)
vfudocdir = $(docdir)
vfudoc_DATA = $(doc_gen) codegen/MODEL.md

doc/gen/protocol.rst: codegen/gen/protocol_rst.lua codegen/box.lua $(codegen_pages) $(codegen_inputs)
	$(AM_V_GEN)output=protocol_rst; $(codegen_run)

doc/gen/errata.rst: codegen/gen/errata_rst.lua $(codegen_pages) $(codegen_inputs)
	$(AM_V_GEN)output=errata_rst; $(codegen_run)

doc/gen/vfio-user.json: codegen/gen/model_json.lua codegen/json.lua $(codegen_inputs)
	$(AM_V_GEN)output=model_json; $(codegen_run)

# Pictures: layouts, and orders of messages as they were recorded. Which there are the generators know, not make: they
# come in an archive, which a tarball has too. One that is always there stands for all of them.
doc_pictures = doc/gen/boxes/header.svg doc/gen/sequences/connect.svg
doc_plots = doc/gen/speed.svg
doc_archives = doc/gen/boxes.tar doc/gen/sequences.tar
EXTRA_DIST += $(doc_archives) $(doc_plots)
MAINTAINERCLEANFILES += $(doc_archives) $(doc_plots)
noinst_DATA += $(doc_pictures) $(doc_plots)
clean_local += doc/gen/boxes doc/gen/sequences

recordings = \
	tests/data/captures/gpio-share-on.jsonl \
	tests/data/captures/testdev-dma-share-off.jsonl \
	tests/data/captures/testdev-system-reset.jsonl \
	tests/data/sequences/interrupt.jsonl \
	tests/data/sequences/twin.jsonl \
	tests/data/sequences/unmap.jsonl

doc/gen/boxes.tar: codegen/gen/boxes_svg.lua $(codegen_pictures) $(codegen_inputs)
	$(AM_V_GEN)output=boxes_svg; $(codegen_run)

doc/gen/sequences.tar: codegen/gen/sequences_svg.lua codegen/sequences.lua codegen/recording.lua $(recordings) $(codegen_pictures) $(codegen_inputs)
	$(AM_V_GEN)output=sequences_svg; $(codegen_run)

doc/gen/speed.svg: codegen/gen/speed_svg.lua tests/data/bench/recorded.txt codegen/svg.lua $(codegen_inputs)
	$(AM_V_GEN)output=speed_svg; $(codegen_run)

doc/gen/boxes/header.svg: doc/gen/boxes.tar
doc/gen/sequences/connect.svg: doc/gen/sequences.tar
$(doc_pictures):
	$(AM_V_GEN)rm -rf $(@D) && $(MKDIR_P) $(@D) && tar -C $(@D) -xmf `test -f $(@D).tar || echo $(srcdir)/`$(@D).tar

# What the reference shows.
install-data-hook:
	$(MKDIR_P) "$(DESTDIR)$(vfudocdir)/boxes"
	$(INSTALL_DATA) doc/gen/boxes/*.svg "$(DESTDIR)$(vfudocdir)/boxes"
uninstall-hook:
	rm -rf "$(DESTDIR)$(vfudocdir)/boxes"

# And as a manual page.
man7_MANS = doc/gen/vfio-user.7
EXTRA_DIST += doc/gen/vfio-user.7
MAINTAINERCLEANFILES += doc/gen/vfio-user.7
doc/gen/vfio-user.7: codegen/gen/vfio_user_7.lua $(codegen_inputs)
	$(AM_V_GEN)output=vfio_user_7; $(codegen_run)

# The manual pages of the C interface, made of vfu.h: one for each of its sections, and for each function one
# that leads there. doc/make/troff.py is for those of the commands, too.
man_makers = doc/make/man_pages.py doc/make/header.py doc/make/troff.py
if HAVE_MAN3
libvfu_page = doc/gen/man3/libvfu.3
EXTRA_DIST += doc/gen/man3.tar
MAINTAINERCLEANFILES += doc/gen/man3.tar
noinst_DATA += $(libvfu_page)
clean_local += doc/gen/man3

doc/gen/man3.tar: $(man_makers) libvfu/vfu.h doc/gen/vfio-user.json
	$(AM_V_GEN)$(MKDIR_P) $(@D) && model=doc/gen/vfio-user.json && { test -f $$model || model=$(srcdir)/$$model; } && \
	$(MAN_PYTHON) -B $(srcdir)/doc/make/man_pages.py $(srcdir)/libvfu/vfu.h $$model $(PACKAGE_VERSION) $@.tmp && \
	mv $@.tmp $@ || { rm -f $@.tmp; exit 1; }

$(libvfu_page): doc/gen/man3.tar
	$(AM_V_GEN)rm -rf $(@D) && $(MKDIR_P) $(@D) && tar -C $(@D) -xmf $<

man3_install = install-man3-pages
man3_uninstall = uninstall-man3-pages
install-man3-pages: $(libvfu_page)
	$(MKDIR_P) "$(DESTDIR)$(man3dir)"
	$(INSTALL_DATA) doc/gen/man3/*.3 "$(DESTDIR)$(man3dir)"
uninstall-man3-pages: $(libvfu_page)
	cd doc/gen/man3 && for page in *.3; do rm -f "$(DESTDIR)$(man3dir)/$$page"; done
endif
install-data-hook: $(man3_install)
uninstall-hook: $(man3_uninstall)
man3dir = $(mandir)/man3

# The pages. A new one is a new file in its section's directory, nothing else; doc/conf.py says how they become a site.
EXTRA_DIST += doc/conf.py doc/build-site doc/make doc/index.md doc/glossary.md doc/pictures doc/static \
	doc/tutorial doc/howto doc/reference doc/explanation doc/course

# Without the tools nothing else misses them.
if HAVE_SPHINX
html-local: all
	$(AM_V_GEN)$(srcdir)/doc/build-site $(srcdir) $(PACKAGE_VERSION) ./run $(SPHINX_PYTHON)
else
html-local:
	@echo "the site needs Sphinx, for the Python that the module is made for (Debian: apt install $(sphinx_packages)); then run configure again" >&2; exit 1
endif
sphinx_packages = python3-sphinx furo python3-myst-parser python3-sphinx-copybutton
clean_local += doc/site doc/html

# The explorer: one page with the model in it, which `make html` puts beside its own. It needs no tools.
doc_explorer = \
	doc/explorer/page.html \
	doc/explorer/explorer.css \
	doc/explorer/explorer.js \
	doc/explorer/examples.html
EXTRA_DIST += $(doc_explorer) doc/explorer/assemble.awk doc/gen/entries.html
MAINTAINERCLEANFILES += doc/gen/entries.html

doc/gen/entries.html: codegen/gen/entries_html.lua $(codegen_inputs)
	$(AM_V_GEN)output=entries_html; $(codegen_run)

doc/gen/explorer.html: doc/explorer/assemble.awk $(doc_explorer) doc/gen/entries.html doc/gen/vfio-user.json
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(AWK) -f $^ >$@.tmp && mv -f $@.tmp $@

.PHONY: explorer
explorer: doc/gen/explorer.html
	$(AM_V_at)$(MKDIR_P) doc/html && cp -f $< doc/html/explorer.html

# The dissector; doc/howto/wireshark.md says where Wireshark looks for it.
EXTRA_DIST += doc/gen/vfio-user.lua
MAINTAINERCLEANFILES += doc/gen/vfio-user.lua
wiresharkdir = $(datadir)/libvfu/wireshark
wireshark_DATA = doc/gen/vfio-user.lua
vfudoc_DATA += doc/howto/wireshark.md doc/howto/messages.md doc/reference/limits.md

doc/gen/vfio-user.lua: codegen/gen/dissector.lua $(codegen_lua_language) $(codegen_inputs)
	$(AM_V_GEN)output=dissector; $(codegen_run)

# The examples in C: built against libvfu.la as a user would, and run against each other.
doc_examples = \
	doc/examples/device \
	doc/examples/client \
	doc/examples/choices \
	doc/examples/simulator \
	doc/examples/intx \
	doc/examples/window \
	doc/examples/doorbell \
	doc/examples/firmware \
	doc/examples/regions \
	doc/examples/many \
	doc/examples/areas \
	doc/examples/bus \
	doc/examples/batch \
	doc/examples/reconnect \
	doc/examples/interrupts \
	doc/examples/commands \
	doc/examples/threads \
	doc/examples/mapped \
	doc/examples/lend \
	doc/examples/dma
EXTRA_PROGRAMS += $(doc_examples)
doc/examples/run-examples.log: $(doc_examples)
doc_examples_device_LDADD = libvfu/libvfu.la
doc_examples_client_LDADD = libvfu/libvfu.la
doc_examples_choices_LDADD = libvfu/libvfu.la
doc_examples_simulator_LDADD = libvfu/libvfu.la
doc_examples_intx_LDADD = libvfu/libvfu.la
doc_examples_window_LDADD = libvfu/libvfu.la -lpthread
doc_examples_doorbell_LDADD = libvfu/libvfu.la
doc_examples_firmware_LDADD = libvfu/libvfu.la
doc_examples_regions_LDADD = libvfu/libvfu.la
doc_examples_many_LDADD = libvfu/libvfu.la
doc_examples_areas_LDADD = libvfu/libvfu.la
doc_examples_bus_LDADD = libvfu/libvfu.la
doc_examples_batch_LDADD = libvfu/libvfu.la
doc_examples_reconnect_LDADD = libvfu/libvfu.la
doc_examples_interrupts_LDADD = libvfu/libvfu.la
doc_examples_commands_LDADD = libvfu/libvfu.la
doc_examples_threads_LDADD = libvfu/libvfu.la -lpthread
doc_examples_mapped_LDADD = libvfu/libvfu.la
doc_examples_lend_LDADD = libvfu/libvfu.la -lpthread
doc_examples_dma_LDADD = libvfu/libvfu.la -lpthread
TESTS += doc/examples/run-examples.sh
EXTRA_DIST += doc/examples/run-examples.sh
