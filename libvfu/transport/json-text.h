/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * json-text.h - whether a text is JSON, strictly.
 */
#ifndef VFUI_JSON_TEXT_H
#define VFUI_JSON_TEXT_H

#include <stddef.h>

/*
 * What is wrong with this text, NULL if it is JSON as RFC 8259 has it, in UTF-8, no deeper than
 * the spec says, and no key holds a NUL. *keys: how many keys stand in it, in all its objects.
 */
const char *vfui_json_text_fault(const char *text, size_t *keys);

#endif
