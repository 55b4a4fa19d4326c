// Processes by number and start time, so that a number that is in use again misleads nobody.
#pragma once

#include <sched.h>
#include <sys/types.h>

namespace edge {

struct Process {
  pid_t pid = 0;
  unsigned long long start = 0;  // clock ticks after boot, field 22 of /proc/PID/stat

  static Process of(pid_t pid);
  bool alive() const;  // and not a zombie
};

// The kernel's random number of this boot, as 36 characters.
struct BootId {
  char text[40] = {};
  static BootId current();
};

// Who runs a launch: the content of its file "pid".
struct Owners {
  Process supervisor;
  Process runner;
  BootId boot;

  bool save() const;  // into the current folder
  static Owners load();
  bool this_boot() const;
};

// A process and its descendants, as far as the kernel tells of them (CONFIG_PROC_CHILDREN), at most
// so many; returns how many.
int family(pid_t pid, pid_t* found, int most);
// Adds the processors that any thread of a process may run on; none where it is gone.
void add_allowed_processors(pid_t pid, cpu_set_t* set);
// Sends a signal to each child of this process; returns how many there are.
int signal_children(int signal);
// Sends SIGKILL to every process whose environment holds the word.
void kill_marked(const char* word);

}  // namespace edge
