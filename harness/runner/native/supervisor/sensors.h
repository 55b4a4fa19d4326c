// What the device and the kernel tell about a launch from outside.
#pragma once

#include <sys/types.h>

#include "base.h"

// Appends an "environment" event: load, memory, CPU frequencies, temperatures; without what
// the device has no sensor for.
void add_environment(Text* line, const char* phase);

// The peak resident set of a process in bytes; -1 where it is gone.
long long vmhwm_bytes(pid_t pid);

// How many processes the kernel has ended for want of memory since it started; -1 where it does
// not tell (before Linux 4.13).
long long oom_kills();

// The proportional set size in bytes; -1 where it cannot be read. Walks the page tables while
// the process cannot change its mappings: it disturbs what it measures.
long long pss_bytes(pid_t pid);
