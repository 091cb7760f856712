/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/* The events of a bench: variables set on channels, as many a second as asked for.
 *
 * It is loaded in every mode that is measured, so that what an event costs Asterisk itself is the same
 * in all of them: the channel's step in its dialplan, the message, its way through Stasis and AMI. A
 * variable's value begins with the time it was set at, in microseconds since 1970, of 16 digits. */

#include "asterisk.h"

#include <sys/prctl.h>
#include <time.h>

#include "asterisk/module.h"
#include "asterisk/channel.h"
#include "asterisk/cli.h"
#include "asterisk/stasis_app.h"
#include "asterisk/stasis_channels.h"

/* Variables that are set one after the other on one channel, in one step of its dialplan. */
#define RUN 4

#define STAMP_DIGITS 16
#define MAX_PADDING (1 << 20)

/* Of linux/prctl.h, since Linux 6.17. */
#ifndef PR_FUTEX_HASH
#define PR_FUTEX_HASH 78
#define PR_FUTEX_HASH_SET_SLOTS 1
#define PR_FUTEX_HASH_GET_SLOTS 2
#endif

static struct ast_channel **channels;
static int count_of_channels;
static int count_of_apps;
static int count_of_subscribed;

static int64_t nanoseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void end_channels(void)
{
	while (count_of_channels) {
		ast_hangup(channels[--count_of_channels]);
	}
	ast_free(channels);
}

/* Channels without a technology and without a thread, beside those that are there: bench-0, bench-1, … */
static int make_channels(int count)
{
	struct ast_channel **more = ast_realloc(channels, count * sizeof(*channels));

	if (!more) {
		return 0;
	}
	channels = more;
	while (count_of_channels < count) {
		char id[32];
		struct ast_assigned_ids ids = { .uniqueid = id };
		struct ast_channel *channel;

		snprintf(id, sizeof(id), "bench-%d", count_of_channels);
		channel = ast_channel_alloc(0, AST_STATE_UP, "4711", "A caller", "account", "100", "default",
			&ids, NULL, 0, "Bench/%s", id);
		if (!channel) {
			return 0;
		}
		ast_channel_unlock(channel);
		channels[count_of_channels++] = channel;
	}
	return 1;
}

/* What a dialplan does before it runs an application: the channel's snapshot is made anew. */
static void step(struct ast_channel *channel)
{
	ast_channel_lock(channel);
	ast_channel_priority_set(channel, ast_channel_priority(channel) % 1000 + 1);
	ast_channel_appl_set(channel, "MSet");
	ast_channel_data_set(channel, "BENCH=value");
	ast_channel_publish_snapshot(channel);
	ast_channel_unlock(channel);
}

static void stamp(char *value)
{
	int64_t microseconds = nanoseconds(CLOCK_REALTIME) / 1000;
	int digit;

	for (digit = STAMP_DIGITS - 1; digit >= 0; digit--, microseconds /= 10) {
		value[digit] = '0' + microseconds % 10;
	}
}

static void publish_all(long count, double rate, long burst, char *value, long among)
{
	double next = nanoseconds(CLOCK_MONOTONIC);
	struct ast_channel *channel = NULL;
	long sent;

	for (sent = 0; sent < count; sent++) {
		if (sent % RUN == 0) {
			channel = channels[sent / RUN % among];
			step(channel);
		}
		stamp(value);
		ast_channel_publish_varset(channel, "BENCH", value);
		if (rate > 0 && (sent + 1) % burst == 0) {
			struct timespec until;

			next += burst / rate * 1e9;
			until.tv_sec = next / 1e9;
			until.tv_nsec = next - until.tv_sec * 1e9;
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		}
	}
}

static char *publish(struct ast_cli_entry *entry, int command, struct ast_cli_args *args)
{
	int64_t since;
	long padding, among;
	char *value;

	switch (command) {
	case CLI_INIT:
		entry->command = "bench publish";
		entry->usage = "Usage: bench publish <events> <a second> <in a burst> <bytes more> <channels>\n"
			"       Sets variables on the first so many channels, or, with 0, on all;\n"
			"       0 a second is as fast as it goes.\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	if (args->argc != 7 || !count_of_channels || atol(args->argv[6]) > count_of_channels) {
		return CLI_SHOWUSAGE;
	}
	padding = atol(args->argv[5]);
	among = atol(args->argv[6]) > 0 ? atol(args->argv[6]) : count_of_channels;
	if (padding < 0 || padding > MAX_PADDING || atol(args->argv[4]) < 1
		|| !(value = ast_malloc(STAMP_DIGITS + padding + 1))) {
		return CLI_FAILURE;
	}
	memset(value, 'x', STAMP_DIGITS + padding);
	value[STAMP_DIGITS + padding] = '\0';
	since = nanoseconds(CLOCK_MONOTONIC);
	publish_all(atol(args->argv[2]), atof(args->argv[3]), atol(args->argv[4]), value, among);
	ast_cli(args->fd, "microseconds %lld\n",
		(long long) ((nanoseconds(CLOCK_MONOTONIC) - since) / 1000));
	ast_free(value);
	return CLI_SUCCESS;
}

static char *make(struct ast_cli_entry *entry, int command, struct ast_cli_args *args)
{
	switch (command) {
	case CLI_INIT:
		entry->command = "bench channels";
		entry->usage = "Usage: bench channels <count>\n       Makes as many as are missing.\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	if (args->argc != 3 || atoi(args->argv[2]) < count_of_channels
		|| !make_channels(atoi(args->argv[2]))) {
		return CLI_SHOWUSAGE;
	}
	ast_cli(args->fd, "channels %d\n", count_of_channels);
	return CLI_SUCCESS;
}

static void ignore(void *data, const char *app, struct ast_json *event)
{
}

/* Applications that nobody listens to, for the mode without a module. */
static char *make_apps(struct ast_cli_entry *entry, int command, struct ast_cli_args *args)
{
	char name[32];

	switch (command) {
	case CLI_INIT:
		entry->command = "bench apps";
		entry->usage = "Usage: bench apps <count>\n       Registers bench-0, bench-1, …\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	if (args->argc != 3) {
		return CLI_SHOWUSAGE;
	}
	for (; count_of_apps < atoi(args->argv[2]); count_of_apps++) {
		snprintf(name, sizeof(name), "bench-%d", count_of_apps);
		if (stasis_app_register(name, ignore, NULL)) {
			return CLI_FAILURE;
		}
	}
	ast_cli(args->fd, "apps %d\n", count_of_apps);
	return CLI_SUCCESS;
}

/* Each channel's events to the application of its name. */
static char *subscribe(struct ast_cli_entry *entry, int command, struct ast_cli_args *args)
{
	struct ast_channel *channel;

	switch (command) {
	case CLI_INIT:
		entry->command = "bench subscribe";
		entry->usage = "Usage: bench subscribe\n       Subscribes each application to its channel.\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	for (; count_of_subscribed < count_of_channels; count_of_subscribed++) {
		channel = channels[count_of_subscribed];
		if (stasis_app_subscribe_channel(ast_channel_uniqueid(channel), channel) != STASIS_ASR_OK) {
			return CLI_FAILURE;
		}
	}
	ast_cli(args->fd, "subscribed %d\n", count_of_subscribed);
	return CLI_SUCCESS;
}

/* Of the whole process, to the nanosecond; /proc has ticks of ten milliseconds. */
static char *show_cpu(struct ast_cli_entry *entry, int command, struct ast_cli_args *args)
{
	switch (command) {
	case CLI_INIT:
		entry->command = "bench cpu";
		entry->usage = "Usage: bench cpu\n       Shows the processor time used so far.\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	ast_cli(args->fd, "nanoseconds %lld\n", (long long) nanoseconds(CLOCK_PROCESS_CPUTIME_ID));
	return CLI_SUCCESS;
}

/* Where the kernel looks for who sleeps: on two processors 16 lists for all threads of a process. */
static char *spread_futexes(struct ast_cli_entry *entry, int command, struct ast_cli_args *args)
{
	switch (command) {
	case CLI_INIT:
		entry->command = "bench futexes";
		entry->usage = "Usage: bench futexes <lists>\n"
			"       Gives sleeping threads so many lists; 0 where the kernel has none for a process.\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	if (args->argc != 3) {
		return CLI_SHOWUSAGE;
	}
	prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_SET_SLOTS, atol(args->argv[2]), 0, 0);
	ast_cli(args->fd, "lists %d\n", MAX(prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_GET_SLOTS, 0, 0, 0), 0));
	return CLI_SUCCESS;
}

static struct ast_cli_entry commands[] = {
	AST_CLI_DEFINE(publish, "Publish events"),
	AST_CLI_DEFINE(make, "Make channels"),
	AST_CLI_DEFINE(make_apps, "Register applications"),
	AST_CLI_DEFINE(subscribe, "Subscribe applications to channels"),
	AST_CLI_DEFINE(show_cpu, "Show processor time"),
	AST_CLI_DEFINE(spread_futexes, "Spread sleeping threads"),
};

static int load_module(void)
{
	ast_cli_register_multiple(commands, ARRAY_LEN(commands));
	return AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	char name[32];

	ast_cli_unregister_multiple(commands, ARRAY_LEN(commands));
	end_channels();
	while (count_of_apps) {
		snprintf(name, sizeof(name), "bench-%d", --count_of_apps);
		stasis_app_unregister(name);
	}
	return 0;
}

AST_MODULE_INFO(ASTERISK_GPL_KEY, AST_MODFLAG_DEFAULT, "Events for a bench",
	.support_level = AST_MODULE_SUPPORT_EXTENDED,
	.load = load_module,
	.unload = unload_module,
	.requires = "res_stasis",
);
