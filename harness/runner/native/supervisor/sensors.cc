#include "sensors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace {

// The sum of the numbers of the lines of a file that begin with a key; -1 without one.
long long sum_of(const char* path, const char* key) {
  FILE* file = fopen(path, "re");
  if (!file) return -1;
  char line[512];
  long long sum = -1;
  const size_t length = strlen(key);
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, key, length) != 0) continue;
    sum = (sum < 0 ? 0 : sum) + atoll(line + length);
  }
  fclose(file);
  return sum;
}

bool read_number(const char* path, long long* value) {
  char text[64];
  read_text(path, text, sizeof text);
  char* end;
  *value = strtoll(text, &end, 10);
  return end != text;
}

// Calls visit(name) for a folder's entries that are a prefix and a number, in no order.
template <typename Visit>
void for_each_numbered(const char* folder, const char* prefix, Visit visit) {
  DIR* entries = opendir(folder);
  if (!entries) return;
  const size_t length = strlen(prefix);
  while (const dirent* entry = readdir(entries)) {
    const char* digits = entry->d_name + length;
    if (strncmp(entry->d_name, prefix, length) == 0 && *digits &&
        strspn(digits, "0123456789") == strlen(digits)) {
      visit(entry->d_name);
    }
  }
  closedir(entries);
}

}  // namespace

void add_environment(Text* line, const char* phase) {
  char path[320];
  long long value;
  line->add("{\"event\":\"environment\",\"phase\":\"%s\"", phase);
  char load[64];
  read_text("/proc/loadavg", load, sizeof load);
  if (load[0]) line->add(",\"load1\":%.2f", atof(load));
  const long long available = sum_of("/proc/meminfo", "MemAvailable:");
  if (available >= 0) line->add(",\"memory_available_bytes\":%lld", available * 1024);

  const char* separator = "";
  line->add(",\"frequencies_khz\":{");
  for_each_numbered("/sys/devices/system/cpu", "cpu", [&](const char* name) {
    snprintf(path, sizeof path, "/sys/devices/system/cpu/%s/cpufreq/scaling_cur_freq", name);
    if (!read_number(path, &value) || value < 0) return;
    line->add("%s\"%s\":%lld", separator, name, value);
    separator = ",";
  });
  separator = "";
  int zones = 0;
  line->add("},\"temperatures_c\":{");
  for_each_numbered("/sys/class/thermal", "thermal_zone", [&](const char* name) {
    snprintf(path, sizeof path, "/sys/class/thermal/%s/temp", name);
    // A zone without a sensor behind it may say anything; the contract has these bounds.
    if (!read_number(path, &value) || value < -274000 || value > 1000000 || ++zones > 64) return;
    char kind[64];
    char label[340];
    snprintf(path, sizeof path, "/sys/class/thermal/%s/type", name);
    read_text(path, kind, sizeof kind);
    kind[strcspn(kind, "\n")] = 0;
    snprintf(label, sizeof label, "%s %s", name, kind);
    line->add("%s", separator);
    line->add_quoted(label);
    line->add(":%.3f", static_cast<double>(value) / 1e3);
    separator = ",";
  });
  line->add("}}\n");
}

long long vmhwm_bytes(pid_t pid) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/status", static_cast<int>(pid));
  const long long peak = sum_of(path, "VmHWM:");
  return peak < 0 ? -1 : peak * 1024;
}

long long oom_kills() { return sum_of("/proc/vmstat", "oom_kill "); }

long long pss_bytes(pid_t pid) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", static_cast<int>(pid));
  long long pss = sum_of(path, "Pss:");
  if (pss < 0) {  // before Linux 4.14
    snprintf(path, sizeof path, "/proc/%d/smaps", static_cast<int>(pid));
    pss = sum_of(path, "Pss:");
  }
  return pss < 0 ? -1 : pss * 1024;
}
