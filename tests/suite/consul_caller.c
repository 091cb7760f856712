/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/* A module that calls the functions of include/asterisk/consul.h by its commands: `cc <what> ...`
 * prints what was returned. Watches print to the log. */

#include "asterisk.h"

#include "asterisk/cli.h"
#include "asterisk/consul.h"
#include "asterisk/logger.h"
#include "asterisk/module.h"
#include "asterisk/utils.h"

static struct ast_consul_watch *watch;
static int passed = 42;

static int keys_changed(int key_count, char **keys)
{
	int i;

	ast_log(LOG_NOTICE, "keys: %d\n", key_count);
	for (i = 0; i < key_count; i++) {
		ast_log(LOG_NOTICE, "key %d: %s\n", i, keys[i]);
		if (!strcmp(keys[i], "cc/stop")) {
			ast_log(LOG_NOTICE, "unwatch from within returned %d\n",
				ast_consul_unwatch_keys("cc/", keys_changed));
		}
	}
	return 0;
}

static void pairs_changed(void *data, const struct ast_consul_pair *pairs, size_t count)
{
	size_t i;

	ast_log(LOG_NOTICE, "pairs: %zu, data %d\n", count, *(int *) data);
	for (i = 0; i < count; i++) {
		ast_log(LOG_NOTICE, "pair %s = %s (%zu bytes, flags %llu, index %d)\n", pairs[i].key,
			pairs[i].value, pairs[i].length, (unsigned long long) pairs[i].flags,
			pairs[i].modify_index > 0);
	}
}

static int registered(void)
{
	const char *tags[] = { "one", "two", NULL };
	const char *meta[] = { "key", "value", "other", "with blanks", NULL };
	struct ast_consul_service_check check = { .http = "http://127.0.0.1:1/none", .interval = 60 };
	struct ast_consul_service_check *checks[] = { &check, NULL };

	return ast_consul_service_register("cc-id", "cc", "127.0.0.9", 5099, tags, meta, checks);
}

static void request(int fd, const char *method, const char *path, const char *body)
{
	struct ast_consul_client *client = ast_consul_client_alloc("cc");
	struct ast_consul_response response;
	int result = ast_consul_client_request(client, method, path, body, &response);

	ast_cli(fd, "returned %d, status %d, body %s\n", result, response.status, response.body);
	ast_consul_response_free(&response);
	ast_consul_client_interrupt(client);
	result = ast_consul_client_request(client, method, path, body, &response);
	ast_cli(fd, "afterwards returned %d, status %d\n", result, response.status);
	ast_consul_response_free(&response);
	ast_consul_client_free(client);
}

static char *call(struct ast_cli_entry *e, int cmd, struct ast_cli_args *a)
{
	const char *what;
	const char *one;
	const char *two;

	switch (cmd) {
	case CLI_INIT:
		e->command = "cc";
		e->usage = "Usage: cc <what> [argument] [argument]\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	what = a->argc > 1 ? a->argv[1] : "";
	one = a->argc > 2 ? a->argv[2] : NULL;
	two = a->argc > 3 ? a->argv[3] : NULL;
	if (!strcmp(what, "register")) {
		ast_cli(a->fd, "returned %d\n", registered());
	} else if (!strcmp(what, "maintenance")) {
		ast_cli(a->fd, "returned %d\n", ast_consul_service_set_maintenance("cc-id", !!one, one));
	} else if (!strcmp(what, "deregister")) {
		ast_cli(a->fd, "returned %d\n", ast_consul_service_deregister(one));
	} else if (!strcmp(what, "watch-keys")) {
		ast_cli(a->fd, "returned %d\n", ast_consul_watch_keys(one, keys_changed));
	} else if (!strcmp(what, "unwatch-keys")) {
		ast_cli(a->fd, "returned %d\n", ast_consul_unwatch_keys(one, keys_changed));
	} else if (!strcmp(what, "watch")) {
		watch = ast_consul_watch(one, pairs_changed, &passed);
		ast_cli(a->fd, "returned %s\n", watch ? "a watch" : "NULL");
	} else if (!strcmp(what, "unwatch")) {
		ast_consul_unwatch(watch);
		watch = NULL;
		ast_cli(a->fd, "returned\n");
	} else if (!strcmp(what, "get")) {
		char *value;
		size_t length = 0;
		int result = ast_consul_kv_get(one, &value, &length);

		ast_cli(a->fd, "returned %d: %s (%zu)\n", result, value ? value : "NULL", length);
		ast_free(value);
	} else if (!strcmp(what, "put")) {
		ast_cli(a->fd, "returned %d\n", ast_consul_kv_put(one, two, two ? strlen(two) : 0));
	} else if (!strcmp(what, "delete")) {
		ast_cli(a->fd, "returned %d\n", ast_consul_kv_delete(one));
	} else if (!strcmp(what, "delete-tree")) {
		ast_cli(a->fd, "returned %d\n", ast_consul_kv_delete_tree(one));
	} else if (!strcmp(what, "request")) {
		request(a->fd, one, two, a->argc > 4 ? a->argv[4] : NULL);
	} else if (!strcmp(what, "status")) {
		struct ast_consul_status status;

		ast_cli(a->fd, "returned %d\n", ast_consul_get_status(NULL));
		ast_cli(a->fd, "returned %d\n", ast_consul_get_status(&status));
		ast_cli(a->fd, "state %d, answered %d, failed %d, why '%s', requests %d, watches %u\n",
			status.state, status.last_answer > 0, status.last_failure > 0, status.failure,
			status.requests > 0, status.watches);
	} else if (!strcmp(what, "nulls")) {
		/* What a careless caller does. */
		ast_cli(a->fd, "returned %d %d %d %d %d %d %d %d\n",
			ast_consul_service_register(NULL, NULL, NULL, 0, NULL, NULL, NULL),
			ast_consul_service_deregister(NULL),
			ast_consul_watch_keys(NULL, NULL),
			ast_consul_unwatch_keys("cc/", NULL),
			ast_consul_watch("cc/", NULL, NULL) != NULL,
			ast_consul_kv_put(NULL, NULL, 0),
			ast_consul_kv_delete_tree(""),
			ast_consul_client_request(NULL, NULL, NULL, NULL, NULL));
		ast_consul_unwatch(NULL);
		ast_consul_client_free(NULL);
		ast_consul_client_interrupt(NULL);
		ast_consul_response_free(NULL);
	} else {
		return CLI_SHOWUSAGE;
	}
	return CLI_SUCCESS;
}

static struct ast_cli_entry commands[] = {
	AST_CLI_DEFINE(call, "Call functions of consul.h"),
};

static int load_module(void)
{
	return ast_cli_register_multiple(commands, ARRAY_LEN(commands))
		? AST_MODULE_LOAD_DECLINE : AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	ast_consul_unwatch(watch);
	return ast_cli_unregister_multiple(commands, ARRAY_LEN(commands));
}

AST_MODULE_INFO(ASTERISK_GPL_KEY, AST_MODFLAG_DEFAULT, "Calls res_consul",
	.support_level = AST_MODULE_SUPPORT_EXTENDED,
	.load = load_module,
	.unload = unload_module,
	.requires = "res_consul",
);
