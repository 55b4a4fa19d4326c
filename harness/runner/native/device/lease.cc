#include "device/lease.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "device/lock.h"
#include "device/process.h"

namespace edge {
namespace {

constexpr int kMost = 32;         // who holds, who wait, and whose lease was broken
constexpr double kTicket_s = 30;  // who does not ask again loses the place in the queue
constexpr double kTold_s = 86'400;
constexpr long kPoll_ns = 250'000'000;

// Ends with what the controller reads: one line of JSON that says why, as "lease".
[[noreturn]] void refuse(JsonWriter* why) {
  fprintf(stderr, "edge-supervisor: %s", why->line());
  exit(kLeased);
}

[[noreturn]] void refuse_crowded() {
  JsonWriter why;
  why.text("lease", "crowded");
  refuse(&why);
}

// A line of the file, after a first line with the boot's id: "KIND ID EXPIRES TEXT".
struct Entry {
  char kind[8] = {};  // holds, waits, broken
  char id[128] = {};
  long long expires_ms = 0;
  char text[160] = {};  // the holder; or who broke it, a colon, and why
};

// Goes on while the device sleeps, and begins anew with its restart.
long long boottime_ms() { return boottime_ns() / 1'000'000; }

long long after(double seconds) { return boottime_ms() + static_cast<long long>(seconds * 1e3); }

void copy_printable(char* target, size_t size, const char* text) {
  size_t length = 0;
  for (; *text && length + 1 < size; ++text) {
    const unsigned char byte = static_cast<unsigned char>(*text);
    target[length++] = static_cast<char>(byte < 0x20 || byte > 0x7e ? '?' : byte);
  }
  target[length] = 0;
}

// The file of leases, locked as long as this lives; what has run out is not in it.
class Leases {
 public:
  explicit Leases(const char* lock) : file_(open_shared(path_of(lock))) {
    while (flock(file_.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    load();
  }

  Entry* find(const char* kind, const char* id = nullptr) {
    for (int index = 0; index < count_; ++index) {
      Entry& entry = entries_[index];
      if (strcmp(entry.kind, kind) == 0 && (!id || strcmp(entry.id, id) == 0)) return &entry;
    }
    return nullptr;
  }

  // Adds an entry, or renews the one of that kind and id in its place.
  void put(const char* kind, const char* id, long long expires_ms, const char* text) {
    Entry* entry = find(kind, id);
    if (!entry) {
      if (count_ == kMost) refuse_crowded();
      entry = &entries_[count_++];
    }
    snprintf(entry->kind, sizeof entry->kind, "%s", kind);
    copy_printable(entry->id, sizeof entry->id, id);
    entry->expires_ms = expires_ms;
    copy_printable(entry->text, sizeof entry->text, text);
  }

  void drop(const char* kind, const char* id) {
    const Entry* entry = find(kind, id);
    if (!entry) return;
    for (long index = entry - entries_; index + 1 < count_; ++index) {
      entries_[index] = entries_[index + 1];
    }
    --count_;
  }

  void save() const {
    char text[kMost * 340];
    int size = snprintf(text, sizeof text, "%s\n", BootId::current().text);
    for (int index = 0; index < count_; ++index) {
      const Entry& entry = entries_[index];
      size += snprintf(text + size, sizeof text - static_cast<size_t>(size), "%s %s %lld %s\n",
                       entry.kind, entry.id, entry.expires_ms, entry.text);
    }
    if (ftruncate(file_.get(), 0) != 0 ||
        pwrite(file_.get(), text, static_cast<size_t>(size), 0) != size) {
      fail(kCannotPrepare, "the device's lease: %s", strerror(errno));
    }
  }

 private:
  static const char* path_of(const char* lock) {
    static char path[400];
    snprintf(path, sizeof path, "%s.lease", lock);
    return path;
  }

  void load() {
    char text[kMost * 340];
    ssize_t size = pread(file_.get(), text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = 0;
    char* rest = nullptr;
    const char* boot = strtok_r(text, "\n", &rest);
    if (!boot || strcmp(boot, BootId::current().text) != 0) return;  // of before the restart
    const long long now = boottime_ms();
    while (const char* line = strtok_r(nullptr, "\n", &rest)) {
      Entry entry;
      if (sscanf(line, "%7s %127s %lld %159[^\n]", entry.kind, entry.id, &entry.expires_ms,
                 entry.text) >= 3 &&
          entry.expires_ms > now && count_ < kMost) {
        entries_[count_++] = entry;
      }
    }
  }

  Fd file_;
  Entry entries_[kMost];
  int count_ = 0;
};

void check(const char* id) {
  const size_t length = strlen(id);
  if (length == 0 || length > 120 || strpbrk(id, " \n\t")) {
    fail(kUsage, "'%s' is not the name of a lease", id);
  }
}

// Who is before this one: the holder, or the first in the queue; none where it may be taken.
const Entry* ahead_of(Leases& leases, const char* id) {
  if (const Entry* holder = leases.find("holds")) {
    return strcmp(holder->id, id) == 0 ? nullptr : holder;
  }
  const Entry* first = leases.find("waits");
  return first && strcmp(first->id, id) != 0 ? first : nullptr;
}

long long seconds_left(const Entry& entry) {
  return (entry.expires_ms - boottime_ms() + 999) / 1000;
}

[[noreturn]] void refuse_for(const Entry& other) {
  const bool held = strcmp(other.kind, "holds") == 0;
  JsonWriter why;
  why.text("lease", held ? "held" : "queued");
  why.text("holder", other.text);
  if (held) why.integer("seconds", seconds_left(other));
  refuse(&why);
}

[[noreturn]] void refuse_broken(const Entry& broken) {
  const char* colon = strstr(broken.text, ": ");
  const int length = static_cast<int>(colon ? colon - broken.text : 0);
  char by[sizeof broken.text];
  snprintf(by, sizeof by, "%.*s", length, broken.text);
  JsonWriter why;
  why.text("lease", "broken");
  why.text("by", by);
  why.text("reason", colon ? colon + 2 : broken.text);
  refuse(&why);
}

int take(const char* lock, const Claim& claim, double wait_s) {
  const double deadline = monotonic_s() + wait_s;
  while (true) {
    {
      Leases leases(lock);
      const Entry* other = ahead_of(leases, claim.id);
      if (!other) {
        leases.drop("waits", claim.id);
        leases.drop("broken", claim.id);
        leases.put("holds", claim.id, after(claim.term_s), claim.holder);
        leases.save();
        return 0;
      }
      if (monotonic_s() >= deadline) refuse_for(*other);
      leases.put("waits", claim.id, after(kTicket_s), claim.holder);
      leases.save();
    }
    const timespec pause = {0, kPoll_ns};
    nanosleep(&pause, nullptr);
  }
}

int release(const char* lock, const char* id) {
  check(id);
  Leases leases(lock);
  leases.drop("holds", id);
  leases.drop("waits", id);
  leases.drop("broken", id);
  leases.save();
  return 0;
}

int take_away(const char* lock, const char* by, const char* reason) {
  Leases leases(lock);
  const Entry* holder = leases.find("holds");
  if (!holder) return 0;
  char id[sizeof holder->id];
  char why[sizeof holder->text];
  snprintf(id, sizeof id, "%s", holder->id);
  snprintf(why, sizeof why, "%.60s: %.80s", by, reason);
  leases.drop("holds", id);
  leases.put("broken", id, after(kTold_s), why);
  leases.save();
  return 0;
}

}  // namespace

Claim take_claim(Words* words) {
  Claim claim;
  claim.id = words->next("ID");
  claim.term_s = words->number("TERM");
  claim.holder = words->next("HOLDER");
  check(claim.id);
  return claim;
}

int lease(Words words) {
  const char* command = words.next("a command");
  const char* lock = nullptr;
  if (strcmp(command, "--lock") == 0) {
    lock = words.next(command);
    command = words.next("a command");
  }
  if (!lock) lock = default_lock();
  if (strcmp(command, "release") == 0) return release(lock, words.next("ID"));
  if (strcmp(command, "break") == 0) {
    const char* by = words.next("BY");
    return take_away(lock, by, words.next("REASON"));
  }
  if (strcmp(command, "renew") == 0) {
    require_lease(lock, take_claim(&words), 0);
    return 0;
  }
  if (strcmp(command, "take") != 0) fail(kUsage, "lease: unknown command '%s'", command);
  const Claim claim = take_claim(&words);
  double wait_s = 0;
  if (words.more()) {
    const char* option = words.next("");
    if (strcmp(option, "--wait") != 0) fail(kUsage, "unknown option '%s'", option);
    wait_s = words.number(option);
  }
  return take(lock, claim, wait_s);
}

void require_lease(const char* lock, const Claim& claim, double longer_s) {
  Leases leases(lock);
  if (const Entry* broken = claim.id ? leases.find("broken", claim.id) : nullptr) {
    refuse_broken(*broken);
  }
  const Entry* other = claim.id ? ahead_of(leases, claim.id) : leases.find("holds");
  if (other) refuse_for(*other);
  if (!claim.id) return;
  // Renewed, or taken again where it had run out and nobody came.
  leases.put("holds", claim.id, after(claim.term_s + longer_s), claim.holder);
  leases.save();
}

}  // namespace edge
