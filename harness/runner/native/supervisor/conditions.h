// What a launch asks of its device: clocks, a temperature, quiet, a charged battery, and
// processors that are kept busy.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "base/json.h"
#include "supervisor/cgroup.h"

namespace edge {

constexpr int kMaxZones = 16;
constexpr int kMaxBusy = 256;
constexpr int kMaxPinned = 8;

struct Conditions {
  const char* governor = nullptr;
  struct Clock {
    const char* pattern;  // of names in /sys/class/devfreq
    long long hz;         // -1: the highest there is
  } clocks[kMaxPinned] = {};
  int clock_count = 0;
  double max_celsius = -1;  // none is asked for
  double cool_within_s = 0;
  const char* zones[kMaxZones] = {};  // by name or type; without any, all
  int zone_count = 0;
  double max_load = -1;  // share of all processors
  double quiet_within_s = 0;
  int min_battery = -1;
  int busy = 0;

  double wait_s() const { return cool_within_s + quiet_within_s; }  // at most
  bool any() const {
    return governor || clock_count || max_celsius >= 0 || max_load >= 0 || min_battery >= 0;
  }
};

// Sentences for the record, at most eight.
class Notes {
 public:
  __attribute__((format(printf, 2, 3))) void add(const char* format, ...);
  void write(JsonWriter* event, const char* key) const;  // as a list

 private:
  char notes_[8][200] = {};
  int count_ = 0;
};

// What a launch waits for before it begins.
class Gate {
 public:
  explicit Gate(const Conditions& asked);
  // Looks at the device, for a moment; true where nothing is to be waited for any more.
  bool open();
  // Why it is not open, and whether it has been so for as long as the launch waits.
  const char* reason() const { return reason_; }
  bool missed() const { return missed_; }
  double waited_s() const;
  double load() const { return load_; }  // share of all processors; -1 where it was not measured
  const Notes& unmet() const { return unmet_; }  // what cannot be told here

 private:
  const Conditions& asked_;
  double begun_;
  double quiet_since_ = -1;  // from when on only quiet is missing
  double load_ = -1;
  bool missed_ = false;
  bool looked_ = false;
  char reason_[200] = {};
  Notes unmet_;

  bool charged();
  bool cool();
  bool quiet();
};

// CPU time since the device's start of all that ran, in s; -1 where it cannot be read.
double busy_s();
// Of this process.
double own_cpu_s();

inline double cpu_s(const rusage& usage) {
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// Processes that do nothing but keep processors busy. The kernel ends them with the supervisor,
// however that ends.
class BusyLoad {
 public:
  bool begin(int count, const Cgroup& cgroup);
  void end();
  // Takes note of a child that was reaped elsewhere; false where it is none of them.
  bool reaped(pid_t pid, const rusage& usage);
  double used_s() const { return used_s_; }

 private:
  pid_t processes_[kMaxBusy] = {};
  int count_ = 0;
  double used_s_ = 0;
};

}  // namespace edge
