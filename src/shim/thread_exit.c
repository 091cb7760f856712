/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/*
 * What Rust's standard library leaves on a thread must not outlive the module.
 *
 * std uses two ways to run code when a thread ends, on any thread that touches it, Asterisk's too:
 *
 *  - __cxa_thread_atexit_impl: glibc keeps the module mapped until that thread ends. The loader
 *    then believes the module gone while it is not, and a later dlclose of any other module can
 *    unmap ours while it runs;
 *  - a pthread key with a destructor in the module: pins nothing, so after an unload the thread's
 *    end calls an unmapped address.
 *
 * Both names are defined here with hidden visibility, so that the module's own std binds to them
 * and nobody else does. Destructors go on a list under one key of ours; every key is remembered,
 * and the module's destructor deletes them all, so no thread can call into what is gone. What the
 * value of a thread that lives on still holds is leaked: a few bytes a thread and unload.
 *
 * asterisk.h stays out: it poisons malloc and free, which are what is wanted here.
 */

/* _GNU_SOURCE comes from the command line. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#define HIDDEN __attribute__((visibility("hidden")))

/* std makes a handful, tokio and lapin a few more; one that is not remembered is refused. */
#define KEYS_MAX 128

typedef int (*create_function)(pthread_key_t *key, void (*destructor)(void *));

struct thread_exit {
	void (*destructor)(void *);
	void *object;
	struct thread_exit *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t keys[KEYS_MAX];
static unsigned int key_count;

static pthread_once_t exits_once = PTHREAD_ONCE_INIT;
static pthread_key_t exits_key;
static int exits_usable;

HIDDEN int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	create_function create;
	int res;

	*(void **) &create = dlsym(RTLD_NEXT, "pthread_key_create");
	if (!create) {
		return 11; /* EAGAIN */
	}

	pthread_mutex_lock(&lock);
	if (key_count == KEYS_MAX) {
		pthread_mutex_unlock(&lock);
		return 11;
	}
	res = create(key, destructor);
	if (!res) {
		keys[key_count++] = *key;
	}
	pthread_mutex_unlock(&lock);

	return res;
}

HIDDEN int pthread_key_delete(pthread_key_t key)
{
	int (*delete)(pthread_key_t);
	unsigned int i;

	*(void **) &delete = dlsym(RTLD_NEXT, "pthread_key_delete");
	if (!delete) {
		return 22; /* EINVAL */
	}

	pthread_mutex_lock(&lock);
	for (i = 0; i < key_count; i++) {
		if (keys[i] == key) {
			keys[i] = keys[--key_count];
			break;
		}
	}
	pthread_mutex_unlock(&lock);

	return delete(key);
}

/* glibc sets the value to NULL first, so what a destructor adds makes a new list and a new call. */
static void run_exits(void *list)
{
	struct thread_exit *entry = list;

	while (entry) {
		struct thread_exit *next = entry->next;

		entry->destructor(entry->object);
		free(entry);
		entry = next;
	}
}

static void make_exits_key(void)
{
	exits_usable = pthread_key_create(&exits_key, run_exits) == 0;
}

HIDDEN int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso)
{
	struct thread_exit *entry;

	(void) dso;
	pthread_once(&exits_once, make_exits_key);
	entry = exits_usable ? malloc(sizeof(*entry)) : NULL;
	if (!entry) {
		return -1;
	}

	entry->destructor = destructor;
	entry->object = object;
	entry->next = pthread_getspecific(exits_key);
	if (pthread_setspecific(exits_key, entry)) {
		free(entry);
		return -1;
	}
	return 0;
}

static void __attribute__((destructor)) forget_keys(void)
{
	int (*delete)(pthread_key_t);

	*(void **) &delete = dlsym(RTLD_NEXT, "pthread_key_delete");
	while (delete && key_count) {
		delete(keys[--key_count]);
	}
}
