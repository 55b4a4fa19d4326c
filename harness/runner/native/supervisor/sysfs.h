// Reading /sys: numbers, words, and folders that are numbered or named.
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

inline bool read_number(const char* path, long long* value) {
  char text[64];
  read_text(path, text, sizeof text);
  char* end;
  *value = strtoll(text, &end, 10);
  return end != text;
}

// Reads a file's first line; false where it is empty or cannot be read.
inline bool read_word(const char* path, char* word, size_t size) {
  read_text(path, word, size);
  word[strcspn(word, "\n")] = 0;
  return word[0] != 0;
}

// Calls visit(name) for a folder's entries, in no order.
template <typename Visit>
void for_each_entry(const char* folder, Visit visit) {
  DIR* entries = opendir(folder);
  if (!entries) return;
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
    if (strncmp(name, prefix, length) == 0 && *digits &&
        strspn(digits, "0123456789") == strlen(digits)) {
      visit(name);
    }
  });
}

// Whether thousandths of a degree Celsius are a running device's. A zone without a sensor behind it
// may say anything (-274000, 0, 125000), and some drivers count in whole degrees or tenths.
inline bool is_temperature(long long value) {
  return value >= -40000 && value < 125000 && (value <= -1000 || value >= 1000);
}

// Calls visit(name, type, thousandths of a degree Celsius) for the thermal zones, whatever they say.
template <typename Visit>
void for_each_zone(Visit visit) {
  for_each_numbered("/sys/class/thermal", "thermal_zone", [&](const char* name) {
    char path[320];
    char type[64];
    long long value;
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
  static Battery read() {
    Battery battery;
    for_each_entry("/sys/class/power_supply", [&](const char* name) {
      const auto file = [&](const char* leaf, char* word, size_t size) {
        char path[320];
        snprintf(path, sizeof path, "/sys/class/power_supply/%s/%s", name, leaf);
        return read_word(path, word, size);
      };
      char word[32];
      if (!file("type", word, sizeof word) || strcmp(word, "Battery") != 0) return;
      if (file("scope", word, sizeof word) && strcmp(word, "Device") == 0) return;
      if (!file("capacity", word, sizeof word)) return;
      const long long percent = atoll(word);
      if (percent < 0 || percent > 100) return;
      battery.percent = percent;
      file("status", battery.status, sizeof battery.status);
    });
    return battery;
  }
};
