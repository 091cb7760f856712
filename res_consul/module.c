/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

#include "module.h"

/* Global symbols: the functions of asterisk/consul.h. */
ASTERISK_MODULE(AST_MODFLAG_GLOBAL_SYMBOLS | AST_MODFLAG_LOAD_ORDER,
	"Connection to Consul",
	.load_pri = AST_MODPRI_DEFAULT,
);
