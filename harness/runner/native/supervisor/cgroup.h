// A control group for one launch: where the device has cgroup v2 and lets us, what is in it is
// killed at once, however fast it forks.
#pragma once

namespace edge {

class Cgroup {
 public:
  Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  void enter() const;  // with the process that calls
  void kill() const;   // since Linux 5.14; before, nothing happens
  void remove() const;

 private:
  char folder_[512] = {};  // empty where there is none

  void write(const char* file, const char* word) const;
};

}  // namespace edge
