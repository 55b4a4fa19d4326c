// What the device and the kernel tell about a launch from outside.
#pragma once

#include <sys/types.h>

#include "base.h"

// Appends an "environment" event, so many milliseconds after the start, or none: load, memory,
// clocks and their limits, temperatures, what cooling slows, battery; without what the device
// has no sensor for. With all of the device's memory it takes the kernel longer.
void add_environment(Text* line, const char* phase, double ms, bool all_memory);

// The highest peak resident set of a process and its descendants in bytes; -1 where it is gone.
long long vmhwm_bytes(pid_t pid);

// How many processes the kernel has ended for want of memory since it started; -1 where it does
// not tell (before Linux 4.13).
long long oom_kills();

// Their proportional set size, summed, in bytes; -1 where it cannot be read. Walks the page tables
// while the processes cannot change their mappings: it disturbs what it measures.
long long pss_bytes(pid_t pid);

// How many bytes the files in a folder and below have.
long long folder_bytes(const char* path);

// Puts all that is clean and not in use out of the page cache; only root may.
bool drop_page_cache();
