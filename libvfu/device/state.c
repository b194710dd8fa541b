/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * state.c - the device's state of migration, and which messages are lawful in it.
 */
#include <errno.h>

#include "device/handle.h"
#include "desc.h"
#include "wire-migration.h"

static const char *name_of_state(uint64_t state)
{
	const struct vfui_desc_name *name =
		vfui_desc_struct("feature_device_state")->fields[0].names;

	while (name->name && name->value != state)
		name++;
	return name->name;
}

int vfu_device_set_state(struct vfu_device *dev, unsigned state)
{
	if (vfui_device_is_child(dev))
		return -EOWNERDEAD;
	if (!name_of_state(state))
		return -EINVAL;
	atomic_store(&dev->state, (uint8_t)state);
	return 0;
}

int vfui_device_check_state(const struct vfu_device *dev, const struct vfui_message *info,
			    struct vfu_err *err)
{
	unsigned state = atomic_load(&dev->state);

	if (!info->states || info->states & 1u << state)
		return 0;
	return vfui_err_set(err, -EINVAL, info->name, 0, "%s %s, and the device is %s", info->name,
			    info->states_rule, name_of_state(state));
}
