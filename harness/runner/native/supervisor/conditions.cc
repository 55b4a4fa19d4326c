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
