// What is looked at while a runner runs, each in its own rhythm: sensors, memory, processors.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include "supervisor/options.h"
#include "supervisor/record.h"

namespace edge {

class Watch {
 public:
  Watch(const Options& options, Record* record);

  // Sensors, before the start and after the end.
  void before() { sense("before", true); }
  void after() { sense("after", true); }

  void begin(pid_t runner, double begun_s);
  // When the next look is due, in seconds of the monotonic clock.
  double next_s() const;
  // Looks at what is due.
  void look(double now_s);
  // Looks at what the kernel forgets when the process ends: called whenever the runner has printed
  // something, and where it is about to be ended.
  void glance();
  // Takes note that the runner's events have grown, and glances.
  void told();
  double glanced_s() const { return glanced_s_; }

  // Adds what the exit event says of it.
  void add_to(JsonWriter* event) const;

 private:
  void sense(const char* phase, bool all_memory);
  void add_pss(double now_s);

  const Options& options_;
  Record* record_;
  const double sense_every_s_;
  const long long oom_kills_;  // before the runner
  pid_t runner_ = 0;
  double begun_s_ = 0;
  double next_glance_s_ = 0;
  double next_sense_s_ = 0;
  double next_pss_s_ = 0;
  double glanced_s_ = 0;
  long long peak_bytes_ = -1;
  cpu_set_t allowed_;
  off_t told_bytes_ = 0;  // of events.jsonl
  int told_count_ = 0;
  int pss_count_ = 0;
};

}  // namespace edge
