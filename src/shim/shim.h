/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/*
 * Functions for what Asterisk's headers offer only as macros or inline functions. Compiled into
 * each module with that module's AST_MODULE, against the headers that are installed, so no layout
 * or constant of any one version is written down here.
 *
 * Hidden: several of our modules live in one process, one of them with RTLD_GLOBAL. A default
 * visible symbol of the same name in two of them would be one function for both.
 */

#ifndef CONSTELLATION_SHIM_H
#define CONSTELLATION_SHIM_H

#include <stddef.h>

/* bindgen passes over what is hidden. */
#ifndef BINDGEN
#pragma GCC visibility push(hidden)
#endif

struct ast_ari_response;
struct ast_config;
struct ast_json;
struct ast_module;
struct stasis_message;
struct stasis_rest_handlers;
struct stasis_subscription;
struct stasis_topic;

/* Written in Rust by asterisk::module!, called by the loader through module.c. */
int asterisk_module_load(void);
int asterisk_module_reload(void);
int asterisk_module_unload(void);

struct ast_module *shim_module_self(void);
/* How often the host has this module in use. In load and unload, where its list is locked. */
int shim_module_uses(void);
int shim_fully_booted(void);
int shim_debug_at_least(int level);

/* Whether the host has read documentation of an AMI action with this name. */
int shim_action_is_documented(const char *name);

/* An object without a lock, tagged so that REF_DEBUG's log names us. */
void *shim_ao2_alloc(size_t size, void (*destructor)(void *));
int shim_ao2_ref(void *object, int delta);
void shim_ao2_cleanup(void *object);

char *shim_strdup(const char *text);
void *shim_malloc(size_t size);
void shim_free(void *memory);

enum shim_config_status {
	SHIM_CONFIG_LOADED = 0,
	SHIM_CONFIG_MISSING = 1,
	SHIM_CONFIG_INVALID = 2,
};
enum shim_config_status shim_config_load(const char *file, struct ast_config **config);

struct stasis_subscription *shim_stasis_subscribe(struct stasis_topic *topic,
	void (*callback)(void *data, struct stasis_subscription *sub, struct stasis_message *message),
	void *data);

/*
 * res_ari is looked up when it is needed: listing it as a dependency would keep the module from
 * loading where ARI is off, and an optional module that declined would take ours with it.
 * NULL or -1 where res_ari is not loaded.
 */
int shim_ari_add_handler(struct stasis_rest_handlers *handler);
int shim_ari_remove_handler(struct stasis_rest_handlers *handler);
struct stasis_rest_handlers *shim_ari_handler_alloc(size_t children);
void shim_ari_handler_set_child(struct stasis_rest_handlers *handler, size_t index,
	struct stasis_rest_handlers *child);
/* Steals the reference of message. */
void shim_ari_response_ok(struct ast_ari_response *response, struct ast_json *message);
void shim_ari_response_no_content(struct ast_ari_response *response);
/* reason must live for ever: the response keeps the pointer. */
void shim_ari_response_error(struct ast_ari_response *response, int code, const char *reason,
	const char *message);

#ifndef BINDGEN
#pragma GCC visibility pop
#endif

#endif
