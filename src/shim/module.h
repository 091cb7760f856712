/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/*
 * For a module's module.c: ASTERISK_MODULE() is Asterisk's own AST_MODULE_INFO with the life cycle
 * that asterisk::module! writes. The layout of the descriptor and AST_BUILDOPT_SUM are thereby the
 * host's.
 */

#include "asterisk.h"

#include "asterisk/module.h"

#include "shim.h"

static enum ast_module_load_result load_module(void)
{
	/* Never AST_MODULE_LOAD_FAILURE: it ends Asterisk's start. */
	return asterisk_module_load() ? AST_MODULE_LOAD_DECLINE : AST_MODULE_LOAD_SUCCESS;
}

#define ASTERISK_MODULE(flags, description, ...) \
	AST_MODULE_INFO(ASTERISK_GPL_KEY, flags, description, \
		.support_level = AST_MODULE_SUPPORT_EXTENDED, \
		.load = load_module, \
		.unload = asterisk_module_unload, \
		.reload = asterisk_module_reload, \
		__VA_ARGS__)
