/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/* A module that has Asterisk tell of a channel what takes special equipment otherwise, or what no
 * version tells yet. */

#include "asterisk.h"

#include "asterisk/channel.h"
#include "asterisk/cli.h"
#include "asterisk/json.h"
#include "asterisk/module.h"
#include "asterisk/stasis_channels.h"
#include "asterisk/strings.h"
#include "asterisk/utils.h"

/* Each with what is said in it; the last two have what only Asterisk itself writes. */
static const char *const said[] = {
	"{\"duration\": -9007199254740993, \"yes\": true, \"no\": false, \"none\": null}",
	"{\"\": {\"deep\": [[], {}, [1, [\"\\u00e9\\u0001\\\"\", {\"a\": [null]}]]]}}",
	"{\"by_asterisk\": [0.1, 1e300, -2.5]}",
	"{\"by_asterisk\": 1, \"type\": \"Other\", \"timestamp\": 2, \"channel\": 3}",
};

static void tell_odd(struct ast_channel *chan)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(said); i++) {
		struct ast_json *blob = ast_json_load_string(said[i], NULL);

		ast_channel_publish_blob(chan, ast_channel_talking_stop(), blob);
		ast_json_unref(blob);
	}
	ast_channel_publish_blob(chan, ast_channel_talking_stop(), NULL);
}

static char *tell(struct ast_cli_entry *e, int cmd, struct ast_cli_args *a)
{
	struct ast_channel *chan;
	const char *what;

	switch (cmd) {
	case CLI_INIT:
		e->command = "tell {hold|unhold|forward|odd}";
		e->usage = "Usage: tell {hold|unhold|forward|odd} <channel> [class]\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	what = a->argv[1];
	chan = a->argc > 2 ? ast_channel_get_by_name(a->argv[2]) : NULL;
	if (!chan) {
		return CLI_SHOWUSAGE;
	}
	if (!strcmp(what, "hold")) {
		ast_queue_hold(chan, a->argc > 3 ? a->argv[3] : NULL);
	} else if (!strcmp(what, "unhold")) {
		ast_queue_unhold(chan);
	} else if (!strcmp(what, "forward")) {
		ast_channel_publish_dial_forward(chan, chan, chan, "a\"b", "", "x/y");
	} else {
		ast_channel_lock(chan);
		tell_odd(chan);
		ast_channel_unlock(chan);
	}
	ast_channel_unref(chan);
	return CLI_SUCCESS;
}

static struct ast_cli_entry commands[] = {
	AST_CLI_DEFINE(tell, "Have something told of a channel"),
};

static int load_module(void)
{
	return ast_cli_register_multiple(commands, ARRAY_LEN(commands))
		? AST_MODULE_LOAD_DECLINE : AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	return ast_cli_unregister_multiple(commands, ARRAY_LEN(commands));
}

AST_MODULE_INFO(ASTERISK_GPL_KEY, AST_MODFLAG_DEFAULT, "Tells of channels",
	.support_level = AST_MODULE_SUPPORT_EXTENDED,
	.load = load_module,
	.unload = unload_module,
);
