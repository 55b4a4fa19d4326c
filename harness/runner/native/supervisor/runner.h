// The runner's process, and all that descends from it.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "base/files.h"
#include "supervisor/cgroup.h"
#include "supervisor/conditions.h"
#include "supervisor/log.h"
#include "supervisor/options.h"

namespace edge {

// By which a launch's processes are found once their supervisor is gone: NAME=FOLDER.
constexpr char kMark[] = "EDGE_HARNESS_LAUNCH=";
// What SIGKILL has not ended by then hangs in the kernel.
constexpr double kUnkillable_s = 10;

class RunnerProcess {
 public:
  // Makes the process, which waits to be let go; false where that cannot be done. It holds `lock`
  // too, so that an orphan does.
  bool start(const Options& options, const char* folder, int lock);
  void let_go();

  // Appends what it has printed to the log.
  void drain();
  // Takes note of what has ended; returns whether there are children left.
  bool reap(BusyLoad* load);
  // Ends it, before its time: as far as the launch goes it has ended then.
  void end();
  // Ends all that descends from it, and is our child now that its parents are gone.
  void end_descendants(int signalled, BusyLoad* load);

  pid_t pid() const { return pid_; }
  int output() const { return output_.get(); }
  double begun_s() const { return begun_s_; }
  bool ended() const { return ended_; }
  bool reaped() const { return reaped_; }
  double used_s() const { return used_s_; }  // CPU time, of what has been reaped
  bool unkillable() const { return unkillable_; }
  // Adds what the exit event says of it.
  void add_end(JsonWriter* event) const;
  void add_traces(JsonWriter* event) const;
  void remove_group() const { cgroup_.remove(); }
  const Cgroup& group() const { return cgroup_; }

 private:
  Cgroup cgroup_;
  LogWriter log_;
  Fd output_;
  Fd gate_;
  pid_t pid_ = 0;
  double begun_s_ = 0;
  bool ended_ = false;   // or given up
  bool reaped_ = false;  // and its status is known
  int status_ = 0;
  double wall_s_ = 0;
  rusage usage_ = {};
  double used_s_ = 0;
  int left_behind_ = 0;
  bool unkillable_ = false;
};

}  // namespace edge
