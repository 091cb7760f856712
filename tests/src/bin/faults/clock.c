/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/* Another time of day for one process (LD_PRELOAD): the seconds in the file that CLOCK_FILE names,
 * a 64-bit number, are added. What waits until a time of day waits as long as it would. */

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;

__attribute__((constructor)) static void open_file(void)
{
	const char *name = getenv("CLOCK_FILE");
	int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	void *memory;

	if (file < 0) {
		return;
	}
	memory = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, file, 0);
	shift = memory == MAP_FAILED ? NULL : memory;
	close(file);
}

static int64_t seconds(void)
{
	return shift ? *shift : 0;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int result = syscall(SYS_clock_gettime, clock, time);

	if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		time->tv_sec += seconds();
	}
	return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	struct timespec now;

	(void) zone;
	clock_gettime(CLOCK_REALTIME, &now);
	time->tv_sec = now.tv_sec;
	time->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *into)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (into) {
		*into = now.tv_sec;
	}
	return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
	const struct timespec *restrict until)
{
	static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
	struct timespec shifted = *until;

	if (!real) {
		real = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))
			dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
	}
	shifted.tv_sec -= seconds();
	return real(cond, mutex, &shifted);
}
