/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

#include "asterisk.h"

#include <dlfcn.h>

#include "asterisk/ari.h"
#include "asterisk/astobj2.h"
#include "asterisk/config.h"
#include "asterisk/json.h"
#include "asterisk/logger.h"
#include "asterisk/module.h"
#include "asterisk/options.h"
#include "asterisk/stasis.h"
#include "asterisk/stasis_app.h"
#include "asterisk/strings.h"
#include "asterisk/utils.h"
#include "asterisk/xml.h"
#include "asterisk/xmldoc.h"

#include "shim.h"

#define TAG "constellation"

struct ast_module *shim_module_self(void)
{
	return AST_MODULE_SELF;
}

static int module_uses;

static int note_module_uses(const char *file, const char *description, int uses,
	const char *status, const char *name, enum ast_module_support_level support_level)
{
	size_t length = strlen(name);

	if (strncmp(file, name, length) || strcmp(file + length, ".so")) {
		return 0;
	}
	module_uses = uses;
	return 1;
}

int shim_module_uses(void)
{
	module_uses = 0;
	ast_update_module_list(note_module_uses, ast_module_name(AST_MODULE_SELF));
	return module_uses;
}

int shim_action_is_documented(const char *name)
{
#ifdef AST_XML_DOCS
	struct ast_xml_xpath_results *found = ast_xmldoc_query("/docs/manager[@name='%s']", name);

	if (found) {
		ast_xml_xpath_results_free(found);
		return 1;
	}
#endif
	return 0;
}

int shim_fully_booted(void)
{
	return ast_fully_booted ? 1 : 0;
}

int shim_debug_at_least(int level)
{
	return DEBUG_ATLEAST(level) ? 1 : 0;
}

void *shim_ao2_alloc(size_t size, void (*destructor)(void *))
{
	return ao2_t_alloc_options(size, destructor, AO2_ALLOC_OPT_LOCK_NOLOCK, TAG);
}

int shim_ao2_ref(void *object, int delta)
{
	return ao2_t_ref(object, delta, TAG);
}

void shim_ao2_cleanup(void *object)
{
	ao2_t_cleanup(object, TAG);
}

char *shim_strdup(const char *text)
{
	return ast_strdup(text);
}

void *shim_malloc(size_t size)
{
	return ast_malloc(size);
}

void shim_free(void *memory)
{
	ast_free(memory);
}

enum shim_config_status shim_config_load(const char *file, struct ast_config **config)
{
	struct ast_flags flags = { 0 };

	*config = ast_config_load(file, flags);
	if (*config == CONFIG_STATUS_FILEINVALID) {
		*config = NULL;
		return SHIM_CONFIG_INVALID;
	}
	if (!*config) {
		return SHIM_CONFIG_MISSING;
	}
	return SHIM_CONFIG_LOADED;
}

struct stasis_subscription *shim_stasis_subscribe(struct stasis_topic *topic,
	void (*callback)(void *data, struct stasis_subscription *sub, struct stasis_message *message),
	void *data)
{
	/*
	 * What the macro stasis_subscribe() is from 18 on. 16 has this function too: a module with only
	 * names that every version has is mapped by any of them, and can say which it was built for.
	 */
	return __stasis_subscribe(topic, callback, data, __FILE__, __LINE__, __PRETTY_FUNCTION__);
}

/* POSIX lets an object pointer be read as a function pointer; ISO C has no cast for it. */
#define ARI(function) \
	__typeof__(&function) found; \
	*(void **) &found = dlsym(RTLD_DEFAULT, #function)

int shim_ari_add_handler(struct stasis_rest_handlers *handler)
{
	ARI(ast_ari_add_handler);

	return found ? found(handler) : -1;
}

int shim_ari_remove_handler(struct stasis_rest_handlers *handler)
{
	ARI(ast_ari_remove_handler);

	return found ? found(handler) : -1;
}

void shim_ari_response_ok(struct ast_ari_response *response, struct ast_json *message)
{
	ARI(ast_ari_response_ok);

	if (found) {
		found(response, message);
	} else {
		ast_json_unref(message);
	}
}

void shim_ari_response_no_content(struct ast_ari_response *response)
{
	ARI(ast_ari_response_no_content);

	if (found) {
		found(response);
	}
}

void shim_ari_response_error(struct ast_ari_response *response, int code, const char *reason,
	const char *message)
{
	ARI(ast_ari_response_error);

	if (found) {
		found(response, code, reason, "%s", message);
	}
}

struct stasis_rest_handlers *shim_ari_handler_alloc(size_t children)
{
	struct stasis_rest_handlers *handler;

	handler = ast_calloc(1, sizeof(*handler) + children * sizeof(handler->children[0]));
	if (handler) {
		handler->num_children = children;
	}
	return handler;
}

void shim_ari_handler_set_child(struct stasis_rest_handlers *handler, size_t index,
	struct stasis_rest_handlers *child)
{
	handler->children[index] = child;
}

