-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- policy.c: profiles, and policy fields by name.

local cname = require "cname"
local text = require "text"

local template = cname.banner:format("policy_c") .. [[
#include "policy.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define MAX_CHOICES ${max}

static const struct policy_field {
	const char *name;
	size_t offset;
	const char *choices[MAX_CHOICES + 1];
} fields[] = {
	${fields}
};

static const struct policy_profile {
	const char *name;
	struct vfui_policy policy;
} profiles[] = {
	${profiles}
};

int vfui_policy_profile(struct vfui_policy *policy, const char *profile)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		if (strcmp(profiles[i].name, profile) == 0) {
			*policy = profiles[i].policy;
			return 0;
		}
	}
	return -ENOENT;
}

static int set_field(struct vfui_policy *policy, const struct policy_field *field,
		     const char *choice)
{
	for (uint8_t i = 0; field->choices[i]; i++) {
		if (strcmp(field->choices[i], choice) == 0) {
			*((uint8_t *)policy + field->offset) = i;
			return 0;
		}
	}
	return -EINVAL;
}

int vfui_policy_set(struct vfui_policy *policy, const char *name, const char *choice)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fields[i].name, name) == 0)
			return set_field(policy, &fields[i], choice);
	return -ENOENT;
}
]]

local function profile(model, name)
	return ("{\n\t.name = \"%s\",\n\t.policy = {\n%s\n\t},\n},"):format(name, table.concat(text.map(model.policies, function(p)
		return ("\t\t.%s = %s,"):format(p.name, cname.policy(p.name, p.profiles[name] or p.default))
	end), "\n"))
end

return function(model)
	local fields, max = {}, 2
	for _, p in ipairs(model.policies) do
		max = math.max(max, #p.choices)
		local choices = '"' .. table.concat(p.choices, '", "') .. '"'
		fields[#fields + 1] = text.c_statement("\t", "{ ",
			("\"%s\", offsetof(struct vfui_policy, %s), { %s, NULL }"):format(p.name, p.name, choices),
			" },"):gsub("\n\t", "\n"):sub(2)
	end
	local profiles = text.map(model.profiles, function(name) return profile(model, name) end)
	table.insert(profiles, 1, profile(model, "default"))
	return text.fill(template, { fields = fields, profiles = profiles, max = max })
end
