// What the device and the kernel tell about a launch from outside.
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "base/json.h"
#include "base/proc.h"

namespace edge {

// Calls visit(name, type, thousandths of a degree Celsius) for the thermal zones, whatever they
// say: see is_temperature().
template <typename Visit>
void for_each_zone(Visit visit) {
  for_each_numbered("/sys/class/thermal", "thermal_zone", [&](const char* name) {
    char path[320];
    char type[64];
    long long value = 0;
    snprintf(path, sizeof path, "/sys/class/thermal/%s/temp", name);
    if (!read_number(path, &value)) return;
    snprintf(path, sizeof path, "/sys/class/thermal/%s/type", name);
    read_word(path, type, sizeof type);
    visit(name, type, value);
  });
}

struct Battery {
  long long percent = -1;  // there is none
  char status[32] = {};    // in the kernel's words: Charging, Discharging, Full ...

  // The device's own, not one of a mouse.
  static Battery read();
};

// Adds what an "environment" event has: load, memory, clocks and their limits, temperatures, what
// cooling slows, battery; without what the device has no sensor for. `first`: also what does not
// change meanwhile. `all_memory`: also the device's buffers, which takes the kernel longer.
void add_sensors(JsonWriter* event, bool first, bool all_memory);

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

}  // namespace edge
