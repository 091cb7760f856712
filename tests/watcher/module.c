/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

#include "module.h"

ASTERISK_MODULE(AST_MODFLAG_LOAD_ORDER,
	"Watches of Consul's keys that panic and hang, for the tests",
	.load_pri = AST_MODPRI_DEFAULT,
	.requires = "res_consul",
);
