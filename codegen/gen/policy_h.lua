-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- policy.h: one field for each erratum that leaves a choice.

local cname = require "cname"
local text = require "text"

local template = cname.banner:format("policy_h") .. [[
#ifndef VFUI_POLICY_H
#define VFUI_POLICY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

${enums}

/* What to do where the protocol leaves a choice.  All zero is the default. */
struct vfui_policy {
	${fields}
};

/* What there is for vfui_policy_profile, for sentences. */
#define VFUI_POLICY_PROFILES "${names}"

/* Sets all fields: ${profiles}.  -ENOENT for another name. */
int vfui_policy_profile(struct vfui_policy *policy, const char *profile);
/* Sets one field by name.  -ENOENT for an unknown name, -EINVAL for an unknown choice. */
int vfui_policy_set(struct vfui_policy *policy, const char *name, const char *choice);

#ifdef __cplusplus
}
#endif

#endif /* VFUI_POLICY_H */
]]

return function(model)
	local enums, fields = {}, {}
	for _, p in ipairs(model.policies) do
		enums[#enums + 1] = text.c_comment(("E%d: %s, %s"):format(p.erratum.number, p.doc, p.loc))
		local choices = text.map(p.choices, function(c) return cname.policy(p.name, c) end)
		enums[#enums + 1] = "enum { " .. table.concat(choices, ", ") .. " };"
		fields[#fields + 1] = ("uint8_t %s;"):format(p.name)
	end
	local profiles = text.either("default", model.profiles)
	local names = table.concat({ "default", table.unpack(model.profiles) }, ", ")
	return text.fill(template, { enums = enums, fields = fields, profiles = profiles, names = names })
end
