#include "device/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/command.h"
#include "device/process.h"

namespace edge {
namespace {

constexpr double kMoment_s = 2;  // a launch that has just ended may take it to be gone
constexpr long kTmpfs = 0x01021994;

}  // namespace

Fd open_shared(const char* path) {
  // Without O_CREAT first: in a sticky folder the kernel refuses that for another user's file.
  int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0 && errno == EACCES) file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) {
    file = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (file >= 0) fchmod(file, 0666);  // whatever the umask
  }
  if (file < 0) fail(kCannotPrepare, "%s: %s", path, strerror(errno));
  return Fd(file);
}

const char* shared_folder() {
  static const char* const folders[] = {"/dev/shm", "/tmp", "/run", "/data/local/tmp"};
  for (int any = 0; any <= 1; ++any) {
    for (const char* folder : folders) {
      struct statfs system;
      if (access(folder, W_OK) != 0 || statfs(folder, &system) != 0) continue;
      if (any || static_cast<long>(system.f_type) == kTmpfs) return folder;
    }
  }
  return nullptr;
}

const char* default_lock() {
  static char path[64];
  const char* folder = shared_folder();
  if (!folder) fail(kCannotPrepare, "no folder for the device's lock: name a file with --lock");
  snprintf(path, sizeof path, "%s/edge-harness.lock", folder);
  return path;
}

Fd take_lock(const char* path) {
  Fd lock = open_shared(path);
  const double deadline = monotonic_s() + kMoment_s;
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      fail(kCannotPrepare, "%s: %s", path, strerror(errno));
    if (monotonic_s() >= deadline) return Fd();
    const timespec pause = {0, 10'000'000};
    nanosleep(&pause, nullptr);
  }
  return lock;
}

void sign_lock(int lock, const char* folder) {
  char text[400];
  const int size =
      snprintf(text, sizeof text, "%s pid %d of user %d, since %lld, boot %s\n", folder, getpid(),
               getuid(), static_cast<long long>(time(nullptr)), BootId::current().text);
  // A lock file of another user can be locked, but not be written: then it says nothing.
  if (ftruncate(lock, 0) == 0 && size < static_cast<int>(sizeof text)) {
    static_cast<void>(pwrite(lock, text, static_cast<size_t>(size), 0));
  }
}

void read_holder(const char* path, char* text, size_t size) {
  read_text(path, text, size);
  text[strcspn(text, "\n")] = 0;
  if (!text[0]) snprintf(text, size, "someone who left no name");
}

bool lock_held(const char* path) {
  const Fd lock(open(path, O_RDONLY | O_CLOEXEC));
  if (!lock.open()) {
    if (errno == ENOENT) return false;
    fail(kCannotPrepare, "%s: %s", path, strerror(errno));
  }
  return flock(lock.get(), LOCK_SH | LOCK_NB) != 0;
}

}  // namespace edge
