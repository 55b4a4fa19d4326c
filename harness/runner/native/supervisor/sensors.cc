#include "sensors.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"
#include "sysfs.h"

namespace {

constexpr int kMaxFamily = 64;
constexpr int kMaxNamed = 64;  // thermal zones, or cooling devices: the contract's bound

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

// The bytes of all dma-buf buffers; -1 where the kernel does not tell, or not this user.
//
// Documentation/ABI/testing/sysfs-kernel-dmabuf-buffers (CONFIG_DMABUF_SYSFS_STATS), else the last
// line of what drivers/dma-buf/dma-buf.c prints into debugfs.
long long dma_buf_bytes() {
  static const char kBuffers[] = "/sys/kernel/dmabuf/buffers";
  if (access(kBuffers, R_OK | X_OK) == 0) {
    long long sum = 0;
    int seen = 0;
    int known = 0;
    for_each_numbered(kBuffers, "", [&](const char* name) {
      char path[320];
      long long size;
      snprintf(path, sizeof path, "%s/%s/size", kBuffers, name);
      ++seen;
      if (!read_number(path, &size) || size < 0) return;  // freed since, or not for us
      ++known;
      sum += size;
    });
    return seen > 0 && known == 0 ? -1 : sum;
  }
  FILE* file = fopen("/sys/kernel/debug/dma_buf/bufinfo", "re");
  if (!file) return -1;
  char text[512];
  long long total = -1;
  while (fgets(text, sizeof text, file)) sscanf(text, "Total %*d objects, %lld bytes", &total);
  fclose(file);
  return total;
}

// What the driver of Vivante's GPUs and NPUs has given out of all its pools; -1 where it does not
// tell. Its gc_meminfo_show() prints "Used : 123 B" for each, with spaces that differ by version.
long long galcore_bytes() {
  FILE* file = fopen("/sys/kernel/debug/gc/meminfo", "re");
  if (!file) return -1;
  char text[512];
  long long sum = -1;
  long long used;
  while (fgets(text, sizeof text, file)) {
    if (sscanf(text, " Used : %lld B", &used) == 1) sum = (sum < 0 ? 0 : sum) + used;
  }
  fclose(file);
  return sum;
}

}  // namespace

void add_environment(Text* line, const char* phase, double ms, bool all_memory) {
  char path[400];
  char word[64];
  char label[340];
  long long value;
  line->add("{\"event\":\"environment\",\"phase\":\"%s\"", phase);
  if (ms >= 0) line->add(",\"ms\":%.1f", ms);
  char load[64];
  read_text("/proc/loadavg", load, sizeof load);
  if (load[0]) line->add(",\"load1\":%.2f", atof(load));
  const long long available = sum_of("/proc/meminfo", "MemAvailable:");
  if (available >= 0) line->add(",\"memory_available_bytes\":%lld", available * 1024);
  if (sum_of("/proc/meminfo", "CmaTotal:") > 0) {
    line->add(",\"cma_free_bytes\":%lld", sum_of("/proc/meminfo", "CmaFree:") * 1024);
  }
  if (all_memory) {
    const long long dma_buf = dma_buf_bytes();
    if (dma_buf >= 0) line->add(",\"dma_buf_bytes\":%lld", dma_buf);
    const long long galcore = galcore_bytes();
    if (galcore >= 0) line->add(",\"driver_bytes\":{\"galcore\":%lld}", galcore);
  }

  const auto clocks = [&](const char* key, const char* leaf) {
    const char* separator = "";
    line->add(",\"%s\":{", key);
    for_each_numbered("/sys/devices/system/cpu", "cpu", [&](const char* name) {
      snprintf(path, sizeof path, "/sys/devices/system/cpu/%s/cpufreq/%s", name, leaf);
      if (!read_number(path, &value) || value < 0) return;
      line->add("%s\"%s\":%lld", separator, name, value);
      separator = ",";
    });
    line->add("}");
  };
  clocks("frequencies_khz", "scaling_cur_freq");
  clocks("frequency_limits_khz", "scaling_max_freq");
  const char* separator = "";
  if (strcmp(phase, "before") == 0) {
    char driver[64] = {};
    line->add(",\"governors\":{");
    for_each_numbered("/sys/devices/system/cpu", "cpu", [&](const char* name) {
      snprintf(path, sizeof path, "/sys/devices/system/cpu/%s/cpufreq/scaling_driver", name);
      read_word(path, driver, sizeof driver);
      snprintf(path, sizeof path, "/sys/devices/system/cpu/%s/cpufreq/scaling_governor", name);
      if (!read_word(path, word, sizeof word)) return;
      line->add("%s\"%s\":", separator, name);
      line->add_quoted(word);
      separator = ",";
    });
    line->add("}");
    if (driver[0]) {
      line->add(",\"cpufreq_driver\":");
      line->add_quoted(driver);
    }
  }
  separator = "";
  line->add(",\"npu_khz\":{");
  for_each_entry("/sys/class/devfreq", [&](const char* name) {
    snprintf(path, sizeof path, "/sys/class/devfreq/%s/cur_freq", name);
    if (!strcasestr(name, "npu") || !read_number(path, &value) || value < 0) return;
    line->add("%s", separator);
    line->add_quoted(name);
    line->add(":%lld", value / 1000);
    separator = ",";
  });
  separator = "";
  int count = 0;
  line->add("},\"temperatures_c\":{");
  for_each_zone([&](const char* name, const char* type, long long millidegrees) {
    if (!is_temperature(millidegrees) || ++count > kMaxNamed) return;
    snprintf(label, sizeof label, "%s %s", name, type);
    line->add("%s", separator);
    line->add_quoted(label);
    line->add(":%.3f", static_cast<double>(millidegrees) / 1e3);
    separator = ",";
  });
  separator = "";
  count = 0;
  line->add("},\"cooling\":{");
  for_each_numbered("/sys/class/thermal", "cooling_device", [&](const char* name) {
    snprintf(path, sizeof path, "/sys/class/thermal/%s/cur_state", name);
    // -1: a device that is not in use.
    if (!read_number(path, &value) || value < -1 || value > 1000000 || ++count > kMaxNamed) return;
    snprintf(path, sizeof path, "/sys/class/thermal/%s/type", name);
    read_word(path, word, sizeof word);
    snprintf(label, sizeof label, "%s %s", name, word);
    line->add("%s", separator);
    line->add_quoted(label);
    line->add(":%lld", value);
    separator = ",";
  });
  line->add("}");
  const Battery battery = Battery::read();
  if (battery.percent >= 0) line->add(",\"battery_percent\":%lld", battery.percent);
  if (battery.percent >= 0 && battery.status[0]) {
    line->add(",\"battery_status\":");
    line->add_quoted(battery.status);
  }
  line->add("}\n");
}

long long vmhwm_bytes(pid_t pid) {
  pid_t members[kMaxFamily];
  const int count = family(pid, members, kMaxFamily);
  long long highest = -1;
  for (int at = 0; at < count; ++at) {
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/status", static_cast<int>(members[at]));
    const long long peak = sum_of(path, "VmHWM:");
    if (peak > highest) highest = peak;
  }
  return highest < 0 ? -1 : highest * 1024;
}

long long oom_kills() { return sum_of("/proc/vmstat", "oom_kill "); }

long long pss_bytes(pid_t pid) {
  pid_t members[kMaxFamily];
  const int count = family(pid, members, kMaxFamily);
  long long sum = -1;
  for (int at = 0; at < count; ++at) {
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", static_cast<int>(members[at]));
    long long pss = sum_of(path, "Pss:");
    if (pss < 0) {  // before Linux 4.14
      snprintf(path, sizeof path, "/proc/%d/smaps", static_cast<int>(members[at]));
      pss = sum_of(path, "Pss:");
    }
    if (pss >= 0) sum = (sum < 0 ? 0 : sum) + pss;
  }
  return sum < 0 ? -1 : sum * 1024;
}

long long folder_bytes(const char* path) {
  static long long sum;
  sum = 0;
  const auto add = [](const char*, const struct stat* found, int kind, struct FTW*) {
    if (kind == FTW_F) sum += found->st_size;
    return 0;
  };
  nftw(path, add, 16, FTW_PHYS | FTW_MOUNT);
  return sum;
}

bool drop_page_cache() {
  sync();  // what is not yet written stays
  const Fd file(open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC));
  return file.open() && write_all(file.get(), "1", 1);
}
