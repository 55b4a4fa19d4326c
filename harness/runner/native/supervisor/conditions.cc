#include "supervisor/conditions.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/proc.h"
#include "device/lock.h"
#include "device/process.h"
#include "supervisor/sensors.h"

namespace edge {
namespace {

constexpr double kLook_s = 0.5;  // how long the load is looked at
constexpr size_t kMaxSaved = 32768;
constexpr char kSavedEnd[] = "end\n";

// The lines of /proc/stat count in these.
double tick_s() { return 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK)); }

struct Ticks {
  double busy = -1;
  double all = 0;

  static Ticks now() {
    char text[256];
    read_text("/proc/stat", text, sizeof text);
    // user, nice, system, idle, iowait, irq, softirq; older kernels have no more
    long long of[7];
    Ticks ticks;
    if (sscanf(text, "cpu %lld %lld %lld %lld %lld %lld %lld", of, of + 1, of + 2, of + 3, of + 4,
               of + 5, of + 6) == 7) {
      ticks.busy = static_cast<double>(of[0] + of[1] + of[2] + of[5] + of[6]);
      ticks.all = ticks.busy + static_cast<double>(of[3] + of[4]);
    }
    return ticks;
  }
};

bool named(const Conditions& asked, int index, const char* name, const char* type) {
  return strcmp(asked.zones[index], name) == 0 || strcmp(asked.zones[index], type) == 0;
}

void governor_path(const char* cpu, char* path, size_t size) {
  snprintf(path, size, "/sys/devices/system/cpu/%s/cpufreq/scaling_governor", cpu);
}

bool write_governor(const char* cpu, const char* governor) {
  char path[320];
  governor_path(cpu, path, sizeof path);
  const Fd file(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC));
  return file.open() && write_all(file.get(), governor, strlen(governor));
}

bool read_governor(const char* cpu, char* governor, size_t size) {
  char path[320];
  governor_path(cpu, path, sizeof path);
  return read_word(path, governor, size);
}

// The governors belong to the device, whatever lock a launch takes: one file for all.
bool saved_path(char* path, size_t size, const char* suffix) {
  const char* folder = shared_folder();
  if (folder) snprintf(path, size, "%s/edge-harness.governors%s", folder, suffix);
  return folder;
}

bool save(const char* content, size_t size) {
  char path[96];
  char partial[96];
  if (!saved_path(path, sizeof path, "") || !saved_path(partial, sizeof partial, ".new") ||
      access(path, F_OK) == 0) {
    return false;
  }
  unlink(partial);
  const Fd file(open(partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  return file.open() && write_all(file.get(), content, size) && rename(partial, path) == 0;
}

// A word of the saved file: it becomes a part of a path, or is written by root.
bool plain(const char* word) {
  for (const char* at = word; *at; ++at) {
    if (!isalnum(static_cast<unsigned char>(*at)) && *at != '_' && *at != '-') return false;
  }
  return word[0];
}

}  // namespace

void Notes::add(const char* format, ...) {
  if (count_ == static_cast<int>(sizeof notes_ / sizeof *notes_)) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(notes_[count_++], sizeof *notes_, format, arguments);
  va_end(arguments);
}

void Notes::write(JsonWriter* event, const char* key) const {
  event->list(key);
  for (int index = 0; index < count_; ++index) event->text(nullptr, notes_[index]);
  event->end();
}

Gate::Gate(const Conditions& asked) : asked_(asked), begun_(monotonic_s()) {}

double Gate::waited_s() const { return monotonic_s() - begun_; }

bool Gate::open() {
  const bool is_open = charged() && cool() && quiet();
  looked_ = true;
  return is_open;
}

bool Gate::charged() {
  if (asked_.min_battery < 0 || looked_) return true;
  const Battery battery = Battery::read();
  if (battery.percent < 0) unmet_.add("battery: there is none that can be read");
  if (battery.percent < 0 || battery.percent >= asked_.min_battery) return true;
  snprintf(reason_, sizeof reason_, "the battery has %lld %%, less than %d %%", battery.percent,
           asked_.min_battery);
  missed_ = true;  // charging takes hours: nobody waits for it
  return false;
}

bool Gate::cool() {
  if (asked_.max_celsius < 0 || quiet_since_ >= 0) return true;
  bool found[kMaxZones] = {};
  bool any = false;
  int unknown = 0;
  char first_unknown[120] = {};
  double hottest = -1000;
  for_each_zone([&](const char* name, const char* type, long long millidegrees) {
    bool meant = asked_.zone_count == 0;
    for (int index = 0; index < asked_.zone_count; ++index) {
      if (!named(asked_, index, name, type)) continue;
      meant = found[index] = true;
    }
    if (!meant) return;
    any = true;
    const double celsius = static_cast<double>(millidegrees) / 1e3;
    if (!is_temperature(millidegrees)) {
      if (++unknown > 1) return;
      snprintf(first_unknown, sizeof first_unknown, "%.40s %.40s reads %lld", name, type,
               millidegrees);
      return;
    }
    if (celsius <= hottest) return;
    hottest = celsius;
    snprintf(reason_, sizeof reason_, "%.40s %.60s is at %.1f C, above %.1f C", name, type, celsius,
             asked_.max_celsius);
  });
  if (!looked_) {
    for (int index = 0; index < asked_.zone_count; ++index) {
      if (!found[index]) unmet_.add("temperature: no zone '%s' to read", asked_.zones[index]);
    }
    if (!any && asked_.zone_count == 0) unmet_.add("temperature: no zone to read");
    if (unknown > 0) {
      unmet_.add("temperature: unknown in %d of the zones: %s thousandths of a degree", unknown,
                 first_unknown);
    }
  }
  if (!any || hottest <= asked_.max_celsius) return true;
  missed_ = waited_s() >= asked_.cool_within_s;
  return false;
}

bool Gate::quiet() {
  if (asked_.max_load < 0) return true;
  if (quiet_since_ < 0) quiet_since_ = monotonic_s();
  const Ticks before = Ticks::now();
  const timespec pause = {0, static_cast<long>(kLook_s * 1e9)};
  nanosleep(&pause, nullptr);
  const Ticks after = Ticks::now();
  if (before.busy < 0 || after.all <= before.all) {
    unmet_.add("load: /proc/stat does not tell it");
    return true;
  }
  load_ = (after.busy - before.busy) / (after.all - before.all);
  if (load_ < 0) load_ = 0;  // counters of a processor that was taken offline
  if (load_ <= asked_.max_load) return true;
  snprintf(reason_, sizeof reason_, "other work takes %.0f %% of the processors, more than %.0f %%",
           load_ * 100, asked_.max_load * 100);
  missed_ = monotonic_s() - quiet_since_ >= asked_.quiet_within_s;
  return false;
}

bool set_governor(const char* governor, Notes* unmet) {
  static char content[kMaxSaved];
  size_t size = static_cast<size_t>(snprintf(content, sizeof content, "%d %llu %s\n", getpid(),
                                             Process::of(getpid()).start, BootId::current().text));
  bool any = false;
  bool different = false;
  for_each_numbered("/sys/devices/system/cpu", "cpu", [&](const char* cpu) {
    char now[64];
    if (!read_governor(cpu, now, sizeof now) || size + 128 > sizeof content) return;
    any = true;
    different |= strcmp(now, governor) != 0;
    size +=
        static_cast<size_t>(snprintf(content + size, sizeof content - size, "%s %s\n", cpu, now));
  });
  if (!any) {
    unmet->add("governor: no processor here has one");
    return false;
  }
  if (!different) return true;
  memcpy(content + size, kSavedEnd, sizeof kSavedEnd - 1);
  if (!save(content, size + sizeof kSavedEnd - 1)) {
    unmet->add("governor: not set: what there is cannot be saved, or another launch has saved it");
    return false;
  }
  bool all = true;
  for_each_numbered("/sys/devices/system/cpu", "cpu", [&](const char* cpu) {
    char now[64];
    if (!read_governor(cpu, now, sizeof now)) return;
    errno = 0;
    const bool written = write_governor(cpu, governor);
    const int error = errno;
    read_governor(cpu, now, sizeof now);
    if (strcmp(now, governor) == 0) return;
    if (all) {
      unmet->add("governor: %s has '%s', not '%s'%s%s", cpu, now, governor, written ? "" : ": ",
                 written ? "" : strerror(error));
    }
    all = false;
  });
  return all;
}

void restore_governors() {
  char path[96];
  if (!saved_path(path, sizeof path, "")) return;
  const Fd file(open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status;
  // Only what this user has saved, and only by one who comes first.
  if (!file.open() || fstat(file.get(), &status) != 0 || status.st_uid != geteuid() ||
      flock(file.get(), LOCK_EX) != 0 || fstat(file.get(), &status) != 0 || status.st_nlink == 0) {
    return;
  }
  static char content[kMaxSaved];
  const ssize_t size = pread(file.get(), content, sizeof content - 1, 0);
  content[size > 0 ? size : 0] = 0;
  Process owner;
  BootId boot;
  char* rest = nullptr;
  const char* line = strtok_r(content, "\n", &rest);
  const bool known = line && sscanf(line, "%d %llu %39s", &owner.pid, &owner.start, boot.text) == 3;
  if (known && strcmp(boot.text, BootId::current().text) == 0) {
    if (owner.pid != getpid() && owner.alive()) return;
    while ((line = strtok_r(nullptr, "\n", &rest))) {
      char cpu[32];
      char governor[64];
      if (sscanf(line, "%31s %63s", cpu, governor) == 2 && plain(cpu) && plain(governor)) {
        write_governor(cpu, governor);
      }
    }
  }  // else the device was restarted, and has its own again
  unlink(path);
}

double own_cpu_s() {
  rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? cpu_s(usage) : 0;
}

double busy_s() {
  const Ticks now = Ticks::now();
  return now.busy < 0 ? -1 : now.busy * tick_s();
}

bool BusyLoad::begin(int count, const Cgroup& cgroup) {
  const pid_t supervisor = getpid();
  for (; count_ < count; ++count_) {
    const pid_t pid = fork();
    if (pid < 0) return false;
    if (pid > 0) {
      processes_[count_] = pid;
      continue;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor) _exit(0);
    for (int inherited = 0; inherited < 256; ++inherited) close(inherited);  // the locks
    cgroup.enter();
    volatile unsigned long long x = 88172645463325252ULL;
    while (true) {  // xorshift64 (Marsaglia, 2003), as the calibration runner
      x = x ^ (x << 13);
      x = x ^ (x >> 7);
      x = x ^ (x << 17);
    }
  }
  return true;
}

void BusyLoad::end() {
  for (int index = 0; index < count_; ++index) {
    if (processes_[index] == 0) continue;
    kill(processes_[index], SIGKILL);
    rusage usage;
    int status;
    if (wait4(processes_[index], &status, 0, &usage) == processes_[index]) used_s_ += cpu_s(usage);
  }
  count_ = 0;
}

bool BusyLoad::reaped(pid_t pid, const rusage& usage) {
  for (int index = 0; index < count_; ++index) {
    if (processes_[index] != pid) continue;
    processes_[index] = 0;
    used_s_ += cpu_s(usage);
    return true;
  }
  return false;
}

}  // namespace edge
