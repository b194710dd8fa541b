/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * json.h - capabilities as the JSON text of VERSION, by the generated table.
 */
#ifndef VFUI_JSON_H
#define VFUI_JSON_H

#include "base/err.h"
#include "transport/caps-agree.h"

/*
 * Reads the data of a VERSION message, its NUL included. Keys that the table does not have for
 * this direction are ignored; what is absent keeps its default. len 0: all defaults. -EINVAL: bad
 * text or a value out of range, -ENOMEM.
 */
int vfui_json_parse(const void *data, size_t len, bool in_request, struct vfui_caps *caps,
		    struct vfu_err *err);
/*
 * Writes the keys named in caps->said and meant for this direction. The length with its NUL,
 * -EMSGSIZE or -ENOMEM.
 */
int vfui_json_build(const struct vfui_caps *caps, bool in_request, char *text, size_t room);

#endif
