#include "supervisor/cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"

namespace edge {

Cgroup::Cgroup() {
  // Below our own group, which is the one that may be delegated to this user.
  char mounts[16384];
  char mine[1024];
  char root[200] = {};
  char own[200] = {};
  read_text("/proc/self/mounts", mounts, sizeof mounts);
  read_text("/proc/self/cgroup", mine, sizeof mine);
  char* rest = nullptr;
  for (char* line = strtok_r(mounts, "\n", &rest); line; line = strtok_r(nullptr, "\n", &rest)) {
    char type[32];
    if (sscanf(line, "%*s %199s %31s", root, type) == 2 && strcmp(type, "cgroup2") == 0) break;
    root[0] = 0;
  }
  const char* entry = strstr(mine, "0::/");  // the last line, and the only one of its form
  if (!root[0] || !entry || sscanf(entry, "0::%199[^\n]", own) != 1) return;
  snprintf(folder_, sizeof folder_, "%s%s/edge-harness-%d", root, strcmp(own, "/") ? own : "",
           static_cast<int>(getpid()));
  if (mkdir(folder_, 0755) != 0) folder_[0] = 0;
}

void Cgroup::enter() const { write("cgroup.procs", "0"); }

void Cgroup::kill() const { write("cgroup.kill", "1"); }

void Cgroup::remove() const {
  if (folder_[0]) rmdir(folder_);
}

void Cgroup::write(const char* file, const char* word) const {
  char path[560];
  snprintf(path, sizeof path, "%s/%s", folder_, file);
  const Fd target(folder_[0] ? open(path, O_WRONLY | O_CLOEXEC) : -1);
  if (target.open()) write_all(target.get(), word, strlen(word));
}

}  // namespace edge
