#include "device/process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/proc.h"

namespace edge {
namespace {

// Calls visit(number) for each process of /proc, or each thread of a process's folder "task".
template <typename Visit>
void for_each_process(const char* path, Visit visit) {
  for_each_numbered(path, "", [&](const char* name) { visit(atoi(name)); });
}

bool environment_holds(pid_t pid, const char* word) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/environ", static_cast<int>(pid));
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  static char text[131072];
  size_t length = 0;
  while (file.open() && length < sizeof text) {
    const ssize_t got = read(file.get(), text + length, sizeof text - length);
    if (got <= 0) break;
    length += static_cast<size_t>(got);
  }
  const size_t size = strlen(word) + 1;
  for (const char* at = text; at + size <= text + length;) {
    if (memcmp(at, word, size) == 0) return true;
    const void* end = memchr(at, 0, static_cast<size_t>(text + length - at));
    if (end == nullptr) break;
    at = static_cast<const char*>(end) + 1;
  }
  return false;
}

}  // namespace

Process Process::of(pid_t pid) {
  ProcessStat stat;
  return {pid, read_stat(pid, &stat) ? stat.start : 0};
}

bool Process::alive() const {
  ProcessStat stat;
  return pid > 0 && read_stat(pid, &stat) && stat.start == start && stat.state != 'Z';
}

BootId BootId::current() {
  BootId id;
  read_text("/proc/sys/kernel/random/boot_id", id.text, sizeof id.text);
  id.text[strcspn(id.text, "\n")] = 0;
  return id;
}

bool Owners::save() const {
  char text[200];
  const int size = snprintf(text, sizeof text, "%d %llu %d %llu %s\n", supervisor.pid,
                            supervisor.start, runner.pid, runner.start, boot.text);
  const Fd file(open("pid", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  return file.open() && write_all(file.get(), text, static_cast<size_t>(size));
}

Owners Owners::load() {
  char text[200];
  read_text("pid", text, sizeof text);
  Owners owners;
  if (sscanf(text, "%d %llu %d %llu %39s", &owners.supervisor.pid, &owners.supervisor.start,
             &owners.runner.pid, &owners.runner.start, owners.boot.text) < 4) {
    return Owners();
  }
  return owners;
}

bool Owners::this_boot() const { return strcmp(boot.text, BootId::current().text) == 0; }

int family(pid_t pid, pid_t* found, int most) {
  int count = 0;
  found[count++] = pid;
  for (int at = 0; at < count; ++at) {
    char folder[40];
    snprintf(folder, sizeof folder, "/proc/%d/task", static_cast<int>(found[at]));
    for_each_process(folder, [&](pid_t thread) {
      char path[80];
      char children[4096];
      snprintf(path, sizeof path, "%s/%d/children", folder, static_cast<int>(thread));
      read_text(path, children, sizeof children);
      char* rest = children;
      for (char* end; count < most; rest = end) {
        const long child = strtol(rest, &end, 10);
        if (end == rest) break;
        found[count++] = static_cast<pid_t>(child);
      }
    });
  }
  return count;
}

void add_allowed_processors(pid_t pid, cpu_set_t* set) {
  if (!Process::of(pid).alive()) return;  // of a zombie only the first thread is left
  char folder[40];
  snprintf(folder, sizeof folder, "/proc/%d/task", static_cast<int>(pid));
  for_each_process(folder, [&](pid_t thread) {
    cpu_set_t own;
    if (sched_getaffinity(thread, sizeof own, &own) == 0) CPU_OR(set, set, &own);
  });
}

int signal_children(int signal) {
  const pid_t self = getpid();
  int count = 0;
  for_each_process("/proc", [&](pid_t pid) {
    ProcessStat stat;
    if (!read_stat(pid, &stat) || stat.parent != self) return;
    ++count;
    kill(pid, signal);
  });
  return count;
}

void kill_marked(const char* word) {
  const pid_t self = getpid();
  for_each_process("/proc", [&](pid_t pid) {
    if (pid != self && environment_holds(pid, word)) kill(pid, SIGKILL);
  });
}

}  // namespace edge
