#include "supervisor/sensors.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "device/process.h"

namespace edge {
namespace {

constexpr int kMaxFamily = 64;
constexpr int kMaxNamed = 64;  // thermal zones, or cooling devices: the contract's bound

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
      long long size = 0;
      snprintf(path, sizeof path, "%s/%s/size", kBuffers, name);
      ++seen;
      if (!read_number(path, &size) || size < 0) return;  // freed since, or not for us
      ++known;
      sum += size;
    });
    return seen > 0 && known == 0 ? -1 : sum;
  }
  FILE* file = fopen("/sys/kernel/debug/dma_buf/bufinfo", "re");
  if (file == nullptr) return -1;
  char text[512];
  long long total = -1;
  while (fgets(text, sizeof text, file) != nullptr)
    sscanf(text, "Total %*d objects, %lld bytes", &total);
  fclose(file);
  return total;
}

// What the driver of Vivante's GPUs and NPUs has given out of all its pools; -1 where it does not
// tell. Its gc_meminfo_show() prints "Used : 123 B" for each, with spaces that differ by version.
long long galcore_bytes() {
  FILE* file = fopen("/sys/kernel/debug/gc/meminfo", "re");
  if (file == nullptr) return -1;
  char text[512];
  long long sum = -1;
  long long used = 0;
  while (fgets(text, sizeof text, file) != nullptr) {
    if (sscanf(text, " Used : %lld B", &used) == 1) sum = (sum < 0 ? 0 : sum) + used;
  }
  fclose(file);
  return sum;
}

// Adds one file's number for each processor that has it.
void add_clocks(JsonWriter* event, const char* key, const char* leaf) {
  event->object(key);
  for_each_numbered("/sys/devices/system/cpu", "cpu", [&](const char* name) {
    char path[400];
    long long value = 0;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/%s/cpufreq/%s", name, leaf);
    if (read_number(path, &value) && value >= 0) event->integer(name, value);
  });
  event->end();
}

void add_governors(JsonWriter* event) {
  char path[400];
  char word[64];
  char driver[64] = {};
  event->object("governors");
  for_each_numbered("/sys/devices/system/cpu", "cpu", [&](const char* name) {
    snprintf(path, sizeof path, "/sys/devices/system/cpu/%s/cpufreq/scaling_driver", name);
    read_word(path, driver, sizeof driver);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/%s/cpufreq/scaling_governor", name);
    if (read_word(path, word, sizeof word)) event->text(name, word);
  });
  event->end();
  if (driver[0] != 0) event->text("cpufreq_driver", driver);
}

void add_memory(JsonWriter* event, bool all) {
  const long long available = sum_of("/proc/meminfo", "MemAvailable:");
  if (available >= 0) event->integer("memory_available_bytes", available * 1024);
  if (sum_of("/proc/meminfo", "CmaTotal:") > 0) {
    event->integer("cma_free_bytes", sum_of("/proc/meminfo", "CmaFree:") * 1024);
  }
  if (!all) return;
  const long long dma_buf = dma_buf_bytes();
  if (dma_buf >= 0) event->integer("dma_buf_bytes", dma_buf);
  const long long galcore = galcore_bytes();
  if (galcore < 0) return;
  event->object("driver_bytes");
  event->integer("galcore", galcore);
  event->end();
}

void add_temperatures(JsonWriter* event) {
  int count = 0;
  event->object("temperatures_c");
  for_each_zone([&](const char* name, const char* type, long long millidegrees) {
    if (!is_temperature(millidegrees) || ++count > kMaxNamed) return;
    char label[340];
    snprintf(label, sizeof label, "%s %s", name, type);
    event->number(label, static_cast<double>(millidegrees) / 1e3, 3);
  });
  event->end();
}

void add_cooling(JsonWriter* event) {
  int count = 0;
  event->object("cooling");
  for_each_numbered("/sys/class/thermal", "cooling_device", [&](const char* name) {
    char path[400];
    char type[64];
    char label[340];
    long long value = 0;
    snprintf(path, sizeof path, "/sys/class/thermal/%s/cur_state", name);
    // -1: a device that is not in use.
    if (!read_number(path, &value) || value < -1 || value > 1000000 || ++count > kMaxNamed) return;
    snprintf(path, sizeof path, "/sys/class/thermal/%s/type", name);
    read_word(path, type, sizeof type);
    snprintf(label, sizeof label, "%s %s", name, type);
    event->integer(label, value);
  });
  event->end();
}

// Clocks that only a driver's debugfs tells, where devfreq has none of that kind: what RKNPU says
// of itself, and the clocks that firmware sets on Rockchip's chips.
constexpr struct {
  bool npu;
  const char* name;
  const char* path;
} kDebugClocks[] = {
    {true, "rknpu", "/sys/kernel/debug/rknpu/freq"},
    {true, "scmi_clk_npu", "/sys/kernel/debug/clk/scmi_clk_npu/clk_rate"},
    {false, "scmi_clk_ddr", "/sys/kernel/debug/clk/scmi_clk_ddr/clk_rate"},
    {false, "scmi_clk_gpu", "/sys/kernel/debug/clk/scmi_clk_gpu/clk_rate"},
};

// Of NPUs, or of all else: GPUs and memory.
void add_device_clocks(JsonWriter* event, const char* key, bool npu) {
  int count = 0;
  event->object(key);
  for_each_entry("/sys/class/devfreq", [&](const char* name) {
    char path[400];
    long long value = 0;
    snprintf(path, sizeof path, "/sys/class/devfreq/%s/cur_freq", name);
    const bool meant = (strcasestr(name, "npu") != nullptr) == npu;
    if (!meant || !read_number(path, &value) || value < 0 || ++count > kMaxNamed) return;
    event->integer(name, value / 1000);
  });
  for (const auto& clock : kDebugClocks) {
    long long value = 0;
    if (clock.npu != npu || (npu && count > 0) || !read_number(clock.path, &value)) continue;
    if (value <= 0 || ++count > kMaxNamed) continue;
    event->integer(clock.name, value / 1000);
  }
  event->end();
}

}  // namespace

Battery Battery::read() {
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
    const long long percent = strtoll(word, nullptr, 10);
    if (percent < 0 || percent > 100) return;
    battery.percent = percent;
    file("status", battery.status, sizeof battery.status);
  });
  return battery;
}

void add_sensors(JsonWriter* event, bool first, bool all_memory) {
  char load[64];
  if (read_word("/proc/loadavg", load, sizeof load)) {
    event->number("load1", strtod(load, nullptr), 2);
  }
  add_memory(event, all_memory);
  add_clocks(event, "frequencies_khz", "scaling_cur_freq");
  add_clocks(event, "frequency_limits_khz", "scaling_max_freq");
  if (first) add_governors(event);
  add_device_clocks(event, "npu_khz", true);
  add_device_clocks(event, "clocks_khz", false);
  add_temperatures(event);
  add_cooling(event);
  char online[2000];
  if (read_word("/sys/devices/system/cpu/online", online, sizeof online)) {
    event->text("online", online, sizeof online);
  }
  const Battery battery = Battery::read();
  if (battery.percent >= 0) event->integer("battery_percent", battery.percent);
  if (battery.percent >= 0 && battery.status[0] != 0) {
    event->text("battery_status", battery.status);
  }
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

}  // namespace edge
