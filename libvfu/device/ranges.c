/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * ranges.c - an AA tree: a client chooses the order of its maps, so the depth must not depend on it.
 */
#include "device/ranges.h"

#include <stddef.h>

static unsigned level_of(const struct vfui_range *node)
{
	return node ? node->level : 0;
}

/* What a node says of all below it, after one of its children has changed. */
static void look_down(struct vfui_range *node)
{
	node->widest = node->last - node->first;
	if (node->left && node->left->widest > node->widest)
		node->widest = node->left->widest;
	if (node->right && node->right->widest > node->widest)
		node->widest = node->right->widest;
}

/* A left child of the same level: turn right. */
static struct vfui_range *skew(struct vfui_range *node)
{
	struct vfui_range *left = node ? node->left : NULL;

	if (!left || left->level != node->level)
		return node;
	node->left = left->right;
	left->right = node;
	look_down(node);
	look_down(left);
	return left;
}

/* Two right children of the same level: turn left, and lift the middle one. */
static struct vfui_range *split(struct vfui_range *node)
{
	struct vfui_range *right = node ? node->right : NULL;

	if (!right || level_of(right->right) != node->level)
		return node;
	node->right = right->left;
	right->left = node;
	right->level++;
	look_down(node);
	look_down(right);
	return right;
}

/* Depth is at most twice the logarithm of the number of ranges: 34 for 65,536. */
static struct vfui_range *insert(struct vfui_range *node, struct vfui_range *range)
{
	if (!node)
		return range;
	if (range->first < node->first)
		node->left = insert(node->left, range);
	else
		node->right = insert(node->right, range);
	look_down(node);
	return split(skew(node));
}

void vfui_ranges_insert(struct vfui_ranges *tree, struct vfui_range *range)
{
	range->left = NULL;
	range->right = NULL;
	range->level = 1;
	range->widest = range->last - range->first;
	tree->root = insert(tree->root, range);
	tree->count++;
}

/* Restores the levels of a node one of whose children lost one. */
static struct vfui_range *rebalance(struct vfui_range *node)
{
	unsigned left = level_of(node->left), right = level_of(node->right);
	unsigned level = (left < right ? left : right) + 1;

	if (level < node->level) {
		node->level = level;
		if (right > level)
			node->right->level = level;
	}
	look_down(node);
	node = skew(node);
	node->right = skew(node->right);
	if (node->right)
		node->right->right = skew(node->right->right);
	node = split(node);
	node->right = split(node->right);
	return node;
}

/* Takes out the lowest node of a subtree. */
static struct vfui_range *take_lowest(struct vfui_range *node, struct vfui_range **lowest)
{
	if (!node->left) {
		*lowest = node;
		return node->right;
	}
	node->left = take_lowest(node->left, lowest);
	return rebalance(node);
}

static struct vfui_range *take(struct vfui_range *node, const struct vfui_range *range)
{
	struct vfui_range *next;

	if (!node)
		return NULL;
	if (range->first < node->first) {
		node->left = take(node->left, range);
	} else if (range->first > node->first) {
		node->right = take(node->right, range);
	} else if (!node->right) {
		return node->left;
	} else {
		struct vfui_range *right = take_lowest(node->right, &next);

		next->left = node->left;
		next->right = right;
		next->level = node->level;
		node = next;
	}
	return rebalance(node);
}

void vfui_ranges_remove(struct vfui_ranges *tree, struct vfui_range *range)
{
	tree->root = take(tree->root, range);
	tree->count--;
}

struct vfui_range *vfui_ranges_from(const struct vfui_ranges *tree, uint64_t address)
{
	struct vfui_range *node = tree->root, *found = NULL;

	while (node) {
		if (node->last < address) {
			node = node->right;
		} else {
			found = node;
			node = node->left;
		}
	}
	return found;
}

static bool fit(const struct vfui_range *node, uint64_t more, uint64_t mask, uint64_t *at)
{
	uint64_t first;

	if (!node || node->widest < more)
		return false;
	if (fit(node->left, more, mask, at))
		return true;
	first = (node->first + mask) & ~mask;
	if (first >= node->first && first <= node->last && node->last - first >= more) {
		*at = first;
		return true;
	}
	return fit(node->right, more, mask, at);
}

bool vfui_ranges_fit(const struct vfui_ranges *tree, uint64_t more, uint64_t mask, uint64_t *at)
{
	return fit(tree->root, more, mask, at);
}
