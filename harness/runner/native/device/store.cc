#include "device/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"
#include "base/sha256.h"
#include "device/launches.h"

namespace edge {
namespace {

constexpr time_t kRecent_s = 3600;  // what was looked up since is in use, or soon will be
constexpr int kSilent_ms = 60'000;  // a sender that says nothing for so long is gone
constexpr long long kMostByDefault = 2'000'000'000;
constexpr size_t kDigits = 64;
constexpr int kNotThere = 127;  // a program, as a shell tells it

bool is_hash(const char* name) {
  return strlen(name) == kDigits && strspn(name, "0123456789abcdef") == kDigits;
}

bool ends_with(const char* name, const char* end) {
  const size_t length = strlen(name);
  return length > strlen(end) && strcmp(name + length - strlen(end), end) == 0;
}

const char* take_hash(Words* words) {
  const char* hash = words->next("HASH");
  if (!is_hash(hash)) fail(kUsage, "'%s' is not a SHA-256", hash);
  return hash;
}

long long take_size(Words* words) {
  const char* word = words->next("SIZE");
  char* end;
  const long long size = strtoll(word, &end, 10);
  if (end == word || *end || size < 0) fail(kUsage, "'%s' is not a size", word);
  return size;
}

// The names in a folder, none where there is no folder; each loop begins anew.
class Folder {
 public:
  explicit Folder(const char* path) : entries_(opendir(path)) {}
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    if (entries_) closedir(entries_);
  }
  bool open() const { return entries_ != nullptr; }
  int get() const { return dirfd(entries_); }
  template <typename Visit>
  void for_each(Visit visit) const {
    if (!entries_) return;
    rewinddir(entries_);
    while (const dirent* entry = readdir(entries_)) {
      if (entry->d_name[0] != '.') visit(entry->d_name);
    }
  }

 private:
  DIR* entries_;
};

// Whether a time is not an hour ago. One that is to come is no better known than one long ago:
// the clock was set.
bool recent(time_t when) {
  const time_t age = time(nullptr) - when;
  return age >= -kRecent_s && age < kRecent_s;
}

// What changes where a file's content does. It is kept of each file whose content was found to be
// that of its name, so that only what changed since is hashed again.
struct Signature {
  char text[120] = {};

  explicit Signature(const struct stat& status) {
    const auto ns = [](const timespec& time) {
      return static_cast<long long>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
    };
    snprintf(text, sizeof text, "%llu %lld %lld %lld\n",
             static_cast<unsigned long long>(status.st_ino), static_cast<long long>(status.st_size),
             ns(status.st_mtim), ns(status.st_ctim));
  }
};

constexpr char kSignatures[] = "../store.seen";

// Where a file's signature is, from the store's folder.
struct SignaturePath {
  char text[kDigits + sizeof kSignatures + 1];
  explicit SignaturePath(const char* hash) {
    snprintf(text, sizeof text, "%s/%.64s", kSignatures, hash);
  }
};

// Takes down that a file's content is that of its name.
void remember(int folder, const char* hash) {
  struct stat status;
  if (fstatat(folder, hash, &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  const Signature now(status);
  mkdirat(folder, kSignatures, 0700);
  const Fd file(openat(folder, SignaturePath(hash).text,
                       O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.open()) write_all(file.get(), now.text, strlen(now.text));
}

// The content's SHA-256; null where it cannot be read.
const char* hash_of(int file) {
  static edge::Sha256 digest;
  digest = edge::Sha256();
  static char chunk[1 << 16];
  ssize_t got;
  while ((got = read(file, chunk, sizeof chunk)) > 0) digest.add(chunk, static_cast<size_t>(got));
  return got == 0 ? digest.text() : nullptr;
}

// Whether a file of so many bytes is there and has the content of its name.
bool has(int folder, const char* hash, long long size) {
  struct stat status;
  if (fstatat(folder, hash, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size != size) {
    return false;
  }
  char then[sizeof(Signature)] = {};
  const Fd known(openat(folder, SignaturePath(hash).text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (known.open() && read(known.get(), then, sizeof then - 1) > 0 &&
      strcmp(then, Signature(status).text) == 0) {
    return true;
  }
  const Fd file(openat(folder, hash, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  const char* found = file.open() ? hash_of(file.get()) : nullptr;
  return found && strcmp(found, hash) == 0;
}

// Removes what pushes that were broken off have left.
void sweep(const Folder& folder) {
  folder.for_each([&](const char* name) {
    if (ends_with(name, ".partial")) {  // locked by who writes it
      const Fd file(openat(folder.get(), name, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
      if (file.open() && flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
        unlinkat(folder.get(), name, 0);
      }
    } else if (ends_with(name, ".new")) {  // pushed without us, and so not locked
      struct stat status;
      if (fstatat(folder.get(), name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
          !recent(status.st_mtime)) {
        unlinkat(folder.get(), name, 0);
      }
    }
  });
}

// Whether a living launch links to a file of this name.
bool in_use(const Folder& launches, const char* hash) {
  bool found = false;
  launches.for_each([&](const char* launch) {
    if (found || fchdir(launches.get()) != 0 || chdir(launch) != 0) return;
    const State now = state();
    if (now != State::kRunning && now != State::kOrphaned) return;
    Folder(".").for_each([&](const char* name) {
      char target[PATH_MAX];
      const ssize_t length = readlink(name, target, sizeof target - 1);
      if (length < 0) return;
      target[length] = 0;
      found = found || ends_with(target, hash);
    });
  });
  return found;
}

// Removes the least recently used files until so many bytes more fit.
void make_room(const Folder& folder, const Folder& launches, long long limit, long long needed) {
  while (true) {
    long long kept = 0;
    char oldest[kDigits + 1] = "";
    time_t used = 0;
    folder.for_each([&](const char* name) {
      struct stat status;
      if (!is_hash(name) || fstatat(folder.get(), name, &status, AT_SYMLINK_NOFOLLOW) != 0) return;
      kept += status.st_size;
      if (recent(status.st_mtime) || (oldest[0] && status.st_mtime >= used)) return;
      if (in_use(launches, name)) return;
      strcpy(oldest, name);
      used = status.st_mtime;
    });
    struct statvfs disk;
    if (fstatvfs(folder.get(), &disk) != 0) fail(kCannotPrepare, "%s", strerror(errno));
    const long long free =
        static_cast<long long>(disk.f_bavail) * static_cast<long long>(disk.f_frsize);
    // Half of a small disk, which may be memory, is left to the device.
    const long long half = (kept + free) / 2;
    const long long most = limit >= 0 ? limit : half < kMostByDefault ? half : kMostByDefault;
    if (kept + needed <= most && needed <= free) return;
    if (oldest[0] && unlinkat(folder.get(), oldest, 0) == 0) {
      unlinkat(folder.get(), SignaturePath(oldest).text, 0);
      continue;
    }
    // What is needed at once may exceed the limit, not the disk.
    if (needed <= free) return;
    fail(kNoRoom, "%lld bytes are needed, and %lld are free", needed, free);
  }
}

int look(Words words) {
  const char* path = words.next("DIR");
  const char* launches = "";
  long long limit = -1;
  while (words.more() && strncmp(*words.rest(), "--", 2) == 0) {
    const char* option = words.next("");
    if (strcmp(option, "--limit") == 0) {
      limit = static_cast<long long>(words.number(option) * 1e6);
    } else if (strcmp(option, "--launches") == 0) {
      launches = words.next(option);
    } else {
      fail(kUsage, "unknown option '%s'", option);
    }
  }
  if (!make_folder(path)) fail(kCannotPrepare, "%s: %s", path, strerror(errno));
  const Folder folder(path);
  if (!folder.open()) fail(kCannotPrepare, "%s: %s", path, strerror(errno));
  sweep(folder);
  long long needed = 0;
  while (words.more()) {
    const char* hash = take_hash(&words);
    const long long size = take_size(&words);
    if (has(folder.get(), hash, size)) {
      utimensat(folder.get(), hash, nullptr, 0);
      remember(folder.get(), hash);
    } else {
      puts(hash);
      needed += size;
    }
  }
  make_room(folder, Folder(launches), limit, needed);
  return 0;
}

// A file under a name of its own, locked while it is written, so that a sweep leaves it alone.
class Partial {
 public:
  Partial(const Folder& folder, const char* hash) : folder_(folder.get()) {
    for (int number = 0; number < 1000; ++number) {
      snprintf(name_, sizeof name_, "%s.%d.partial", hash, number);
      file_ = openat(folder_, name_, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
      if (file_ < 0 && errno == EEXIST) continue;
      if (file_ < 0) break;
      struct stat status;
      if (flock(file_, LOCK_EX) == 0 && fstat(file_, &status) == 0 && status.st_nlink > 0) return;
      close(file_);  // a sweep came between
    }
    fail(kCannotPrepare, "%s: %s", name_, strerror(errno));
  }
  int get() const { return file_; }
  void discard() const { unlinkat(folder_, name_, 0); }
  bool keep(const char* name) const {
    const bool kept = fchmod(file_, 0755) == 0 && fsync(file_) == 0 &&
                      renameat(folder_, name_, folder_, name) == 0;
    if (kept) remember(folder_, name);
    return kept;
  }

 private:
  int folder_;
  int file_ = -1;
  char name_[kDigits + 20];
};

// gzip, between the sender and us.
struct Unpacker {
  pid_t pid;
  Fd output;
};

Unpacker unpack() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail(kCannotPrepare, "no pipe: %s", strerror(errno));
  const pid_t pid = fork();
  if (pid < 0) fail(kCannotPrepare, "cannot start a process: %s", strerror(errno));
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    execlp("gzip", "gzip", "-dc", static_cast<char*>(nullptr));
    _exit(kNotThere);
  }
  close(ends[1]);
  return {pid, Fd(ends[0])};
}

// Takes in so many bytes of this content; 0, or what put fails with, which it has told.
int receive(int source, int target, const char* hash, long long size) {
  // Where there is no room, that shows before anything is read; not every file system can.
  if (fallocate(target, 0, 0, size) != 0 && errno == ENOSPC) {
    fprintf(stderr, "%lld bytes are needed: %s\n", size, strerror(errno));
    return kNoRoom;
  }
  Sha256 digest;
  long long taken = 0;
  static char chunk[1 << 16];
  while (true) {
    pollfd ready = {source, POLLIN, 0};
    const ssize_t got = poll(&ready, 1, kSilent_ms) > 0 ? read(source, chunk, sizeof chunk) : -1;
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    taken += got;
    if (taken > size) break;
    digest.add(chunk, static_cast<size_t>(got));
    if (!write_all(target, chunk, static_cast<size_t>(got))) {
      fprintf(stderr, "%s\n", strerror(errno));
      return errno == ENOSPC || errno == EDQUOT ? kNoRoom : kCannotPrepare;
    }
  }
  if (taken < size) {
    fprintf(stderr, "%lld of %lld bytes arrived\n", taken, size);
    return kCutShort;
  }
  const char* arrived = digest.text();
  if (taken > size || strcmp(arrived, hash) != 0) {
    fprintf(stderr, "%s arrived\n", taken > size ? "more" : arrived);
    return kWrongContent;
  }
  return 0;
}

int put(Words words) {
  const char* path = words.next("DIR");
  const char* hash = take_hash(&words);
  const long long size = take_size(&words);
  const bool packed = words.more() && strcmp(*words.rest(), "--gzip") == 0;
  signal(SIGPIPE, SIG_IGN);
  const Folder folder(path);
  if (!folder.open()) fail(kCannotPrepare, "%s: %s", path, strerror(errno));
  const Partial partial(folder, hash);
  int status;
  if (packed) {
    const Unpacker unpacker = unpack();
    status = receive(unpacker.output.get(), partial.get(), hash, size);
    if (status != 0) kill(unpacker.pid, SIGKILL);
    int end = 0;
    waitpid(unpacker.pid, &end, 0);
    if (WIFEXITED(end) && WEXITSTATUS(end) == kNotThere) status = kNoGzip;
  } else {
    status = receive(STDIN_FILENO, partial.get(), hash, size);
  }
  if (status == 0 && !partial.keep(hash)) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    status = kCannotPrepare;
  }
  if (status != 0) partial.discard();
  return status;
}

int adopt(Words words) {
  const char* path = words.next("FILE");
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  const char* digest = file.open() ? hash_of(file.get()) : nullptr;
  char target[PATH_MAX];
  const char* name = strrchr(path, '/');
  snprintf(target, sizeof target, "%.*s%s", name ? static_cast<int>(name + 1 - path) : 0, path,
           digest ? digest : "");
  if (!digest || fsync(file.get()) != 0 || rename(path, target) != 0) {
    fail(kCannotPrepare, "%s: %s", path, strerror(errno));
  }
  puts(target + (name ? name + 1 - path : 0));
  return 0;
}

}  // namespace

int store(Words words) {
  const char* command = words.next("a command of the store");
  if (strcmp(command, "look") == 0) return look(words);
  if (strcmp(command, "put") == 0) return put(words);
  if (strcmp(command, "adopt") == 0) return adopt(words);
  fail(kUsage, "unknown command 'store %s'", command);
}

}  // namespace edge
