/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/* A module that creates and ends applications by include/asterisk/stasis_amqp.h: one when it is
 * loaded, others by its commands. */

#include "asterisk.h"

#include "asterisk/cli.h"
#include "asterisk/logger.h"
#include "asterisk/module.h"
#include "asterisk/stasis_amqp.h"
#include "asterisk/strings.h"
#include "asterisk/utils.h"

static char *call(struct ast_cli_entry *e, int cmd, struct ast_cli_args *a)
{
	const char *app;
	int result;

	switch (cmd) {
	case CLI_INIT:
		e->command = "caller {subscribe|unsubscribe}";
		e->usage = "Usage: caller {subscribe|unsubscribe} [application]\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	app = a->argc > 2 ? a->argv[2] : NULL;
	result = strcmp(a->argv[1], "subscribe")
		? ast_unsubscribe_from_stasis(app) : ast_subscribe_to_stasis(app);
	ast_cli(a->fd, "returned %d\n", result);
	return CLI_SUCCESS;
}

static struct ast_cli_entry commands[] = {
	AST_CLI_DEFINE(call, "Call ast_subscribe_to_stasis or ast_unsubscribe_from_stasis"),
};

static int load_module(void)
{
	ast_log(LOG_NOTICE, "subscribing returned %d\n", ast_subscribe_to_stasis("Caller"));
	return ast_cli_register_multiple(commands, ARRAY_LEN(commands))
		? AST_MODULE_LOAD_DECLINE : AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	return ast_cli_unregister_multiple(commands, ARRAY_LEN(commands));
}

AST_MODULE_INFO(ASTERISK_GPL_KEY, AST_MODFLAG_DEFAULT, "Calls res_stasis_amqp",
	.support_level = AST_MODULE_SUPPORT_EXTENDED,
	.load = load_module,
	.unload = unload_module,
	.requires = "res_stasis_amqp",
);
