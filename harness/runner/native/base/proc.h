// Reading /proc and /sys: numbers, words, sums, and folders that are numbered or named.
#pragma once

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/files.h"

namespace edge {

bool read_number(const char* path, long long* value);
// Reads a file's first line; false where it is empty or cannot be read.
bool read_word(const char* path, char* word, size_t size);
// The sum of the numbers of the lines of a file that begin with a key; -1 without one.
long long sum_of(const char* path, const char* key);

struct ProcessStat {
  char state = 0;
  pid_t parent = 0;
  unsigned long long start = 0;  // clock ticks after boot
};

// The content of /proc/PID/stat; false where it is not one.
bool parse_stat(const char* text, ProcessStat* stat);
bool read_stat(pid_t pid, ProcessStat* stat);

// Whether thousandths of a degree Celsius are a running device's. A zone without a sensor behind it
// may say anything (-274000, -40000, 0, 125000), and some drivers count in whole degrees or
// tenths.
inline bool is_temperature(long long value) {
  return value > -40000 && value < 125000 && (value <= -1000 || value >= 1000);
}

// Calls visit(number) for each number of a list of the kernel's, such as "0-3,8"; false where it
// is no such list.
template <typename Visit>
bool for_each_listed(const char* list, Visit visit) {
  while (*list != 0 && *list != '\n') {
    char* end = nullptr;
    const long first = strtol(list, &end, 10);
    if (end == list || first < 0) return false;
    long last = first;
    if (*end == '-') {
      list = end + 1;
      last = strtol(list, &end, 10);
      if (end == list || last < first) return false;
    }
    for (long number = first; number <= last; ++number) visit(number);
    list = *end == ',' ? end + 1 : end;
    if (*end != ',' && *end != '\n' && *end != 0) return false;
  }
  return true;
}

// Writes a set as such a list; false where it is empty or does not fit.
bool list_processors(const cpu_set_t& set, char* list, size_t size);

// Calls visit(name) for a folder's entries, in no order.
template <typename Visit>
void for_each_entry(const char* folder, Visit visit) {
  DIR* entries = opendir(folder);
  if (entries == nullptr) return;
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_name[0] != '.') visit(entry->d_name);
  }
  closedir(entries);
}

// The same for those that are a prefix and a number.
template <typename Visit>
void for_each_numbered(const char* folder, const char* prefix, Visit visit) {
  const size_t length = strlen(prefix);
  for_each_entry(folder, [&](const char* name) {
    const char* digits = name + length;
    if (strncmp(name, prefix, length) == 0 && *digits != 0 &&
        strspn(digits, "0123456789") == strlen(digits)) {
      visit(name);
    }
  });
}

}  // namespace edge
