// A launch: its folder's files, its start, and its supervision to the end.
//
// All names are relative to the launch's folder, the current folder.
#pragma once

#include <sched.h>
#include <sys/resource.h>

#include "base.h"
#include "conditions.h"

struct Options {
  const char* lock = nullptr;  // the device's lock file
  double limit_s = 120;
  double pss_every_s = 0;  // 0: no memory pass
  const char* model_cache = nullptr;  // a folder that is there
  bool drop_caches = false;
  Conditions conditions;
  cpu_set_t affinity;
  bool bound = false;
  const char* environment[64] = {};  // NAME=VALUE
  int environment_count = 0;
  struct Limit {
    int resource;
    rlimit value;
  } limits[16] = {};
  int limit_count = 0;
  char** program = nullptr;  // and its arguments, up to a null
};

// What stands of a launch, in the words of the answer.
enum class State {
  kAbsent,    // never begun here
  kWaiting,   // supervised, and not begun: the device is not as it has to be
  kRunning,   // supervised
  kEnded,     // with its last record
  kOrphaned,  // the supervisor is gone without one, the runner lives
  kLost,      // both are gone: killed, or the device restarted
};

const char* name_of(State state);
State state();
// The same, for who holds "alive": never waiting or running.
State state_unsupervised();
// Whether it ended because a controller said so: then it may be begun anew.
bool was_stopped();

// Starts the launch, supervised by a process of its own that outlives this one. `alive` is held
// by the supervisor alone, `lock` by the runner too.
void begin(const Options& options, const char* folder, Fd alive, Fd lock);

// Holds the file "alive" of the current folder; not open where a supervisor does.
Fd claim();
// Waits until no supervisor holds it; false where that was not within so many seconds.
bool await_end(double seconds);
// Ends the launch: through its supervisor, or else as end_orphans.
void stop(const char* folder);
// Kills what a supervisor that is gone has left, by the mark in its environment.
void end_orphans(const char* folder);
