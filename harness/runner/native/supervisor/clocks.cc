#include "supervisor/clocks.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/proc.h"
#include "device/lock.h"
#include "device/process.h"

namespace edge {
namespace {

constexpr size_t kMaxSaved = 32768;
constexpr char kSavedEnd[] = "end\n";
constexpr char kDevfreq[] = "/sys/class/devfreq";

void governor_path(const char* cpu, char* path, size_t size) {
  snprintf(path, size, "/sys/devices/system/cpu/%s/cpufreq/scaling_governor", cpu);
}

bool write_word(const char* path, const char* word) {
  const Fd file(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC));
  return file.open() && write_all(file.get(), word, strlen(word));
}

bool write_governor(const char* cpu, const char* governor) {
  char path[320];
  governor_path(cpu, path, sizeof path);
  return write_word(path, governor);
}

bool read_governor(const char* cpu, char* governor, size_t size) {
  char path[320];
  governor_path(cpu, path, sizeof path);
  return read_word(path, governor, size);
}

bool read_clock(const char* name, const char* leaf, long long* hz) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s/%s", kDevfreq, name, leaf);
  return read_number(path, hz) && *hz >= 0;
}

bool write_clock(const char* name, const char* leaf, long long hz) {
  char path[400];
  char word[32];
  snprintf(path, sizeof path, "%s/%s/%s", kDevfreq, name, leaf);
  snprintf(word, sizeof word, "%lld", hz);
  return write_word(path, word);
}

// Limits of a clock. Kernels before 5.5 refuse a lower one above the upper one, also for a moment.
struct Limits {
  long long low = -1;
  long long high = -1;

  static Limits of(const char* name) {
    Limits limits;
    if (!read_clock(name, "min_freq", &limits.low) || !read_clock(name, "max_freq", &limits.high)) {
      return Limits();
    }
    return limits;
  }
  bool known() const { return low >= 0; }
  bool write(const char* name) const {
    const bool rises = low > of(name).high;
    const bool first = write_clock(name, rises ? "max_freq" : "min_freq", rises ? high : low);
    return write_clock(name, rises ? "min_freq" : "max_freq", rises ? low : high) && first;
  }
};

// The highest clock that a device has; the upper limit where it does not list them.
long long highest(const char* name, long long limit) {
  char path[400];
  char text[2048];
  snprintf(path, sizeof path, "%s/%s/available_frequencies", kDevfreq, name);
  read_text(path, text, sizeof text);
  long long found = -1;
  char* rest = nullptr;
  for (const char* word = strtok_r(text, " \n", &rest); word != nullptr;
       word = strtok_r(nullptr, " \n", &rest)) {
    const long long hz = strtoll(word, nullptr, 10);
    if (hz > found) found = hz;
  }
  return found > 0 ? found : limit;
}

// The settings belong to the device, whatever lock a launch takes: one file for all.
bool saved_path(char* path, size_t size, const char* suffix) {
  const char* folder = shared_folder();
  if (folder) snprintf(path, size, "%s/edge-harness.governors%s", folder, suffix);
  return folder;
}

bool save(const char* content, size_t size) {
  char path[96];
  char partial[96];
  if (!saved_path(path, sizeof path, "") || !saved_path(partial, sizeof partial, ".new") ||
      access(path, F_OK) == 0) {
    return false;
  }
  unlink(partial);
  const Fd file(open(partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  return file.open() && write_all(file.get(), content, size) && rename(partial, path) == 0;
}

// A word of the saved file: it becomes a part of a path, or is written by root.
bool plain(const char* word) {
  for (const char* at = word; *at; ++at) {
    if (!isalnum(static_cast<unsigned char>(*at)) && !strchr("_-.", *at)) return false;
  }
  return word[0] && word[0] != '.';
}

// What is there before anything is set.
struct Saved {
  char content[kMaxSaved];
  size_t size = 0;
  bool processors = false;  // there are governors
  bool different = false;   // and any of them is not as asked for, or any clock is to be held

  template <typename... Words>
  void add(const char* format, Words... words) {
    if (size + 256 > sizeof content) return;
    const int more = snprintf(content + size, sizeof content - size, format, words...);
    if (more > 0) size += static_cast<size_t>(more);
  }
};

const Conditions::Clock* wanted(const Conditions& asked, const char* name) {
  for (int index = 0; index < asked.clock_count; ++index) {
    if (fnmatch(asked.clocks[index].pattern, name, 0) == 0) return &asked.clocks[index];
  }
  return nullptr;
}

void look(const Conditions& asked, Saved* saved) {
  saved->add("%d %llu %s\n", getpid(), Process::of(getpid()).start, BootId::current().text);
  if (asked.governor != nullptr) {
    for_each_numbered("/sys/devices/system/cpu", "cpu", [&](const char* cpu) {
      char now[64];
      if (!read_governor(cpu, now, sizeof now)) return;
      saved->processors = true;
      saved->different |= strcmp(now, asked.governor) != 0;
      saved->add("%s %s\n", cpu, now);
    });
  }
  for_each_entry(kDevfreq, [&](const char* name) {
    const Limits limits = Limits::of(name);
    if (!plain(name) || wanted(asked, name) == nullptr || !limits.known()) return;
    saved->different = true;
    saved->add("%s %lld %lld\n", name, limits.low, limits.high);
  });
  saved->add("%s", kSavedEnd);
}

void set_governor(const char* governor, JsonWriter* entry, Notes* unmet) {
  bool all = true;
  for_each_numbered("/sys/devices/system/cpu", "cpu", [&](const char* cpu) {
    char now[64];
    if (!read_governor(cpu, now, sizeof now)) return;
    errno = 0;
    const bool written = write_governor(cpu, governor);
    const int error = errno;
    read_governor(cpu, now, sizeof now);
    if (strcmp(now, governor) == 0) return;
    if (all) {
      unmet->add("governor: %s has '%s', not '%s'%s%s", cpu, now, governor, written ? "" : ": ",
                 written ? "" : strerror(error));
    }
    all = false;
  });
  if (all) entry->text("governor", governor);
}

void set_clocks(const Conditions& asked, JsonWriter* entry, Notes* unmet) {
  bool found[kMaxPinned] = {};
  entry->object("clocks_khz");
  for_each_entry(kDevfreq, [&](const char* name) {
    const Conditions::Clock* clock = wanted(asked, name);
    const Limits before = Limits::of(name);
    if (clock == nullptr || !plain(name)) return;
    found[clock - asked.clocks] = true;
    if (!before.known()) return unmet->add("clock: %.60s tells no limits", name);
    const long long hz = clock->hz < 0 ? highest(name, before.high) : clock->hz;
    errno = 0;
    const bool written = Limits{hz, hz}.write(name);
    const int error = errno;
    const Limits now = Limits::of(name);
    if (now.low != hz || now.high != hz) {
      unmet->add("clock: %.60s has the limits %lld to %lld Hz, not %lld%s%s", name, now.low,
                 now.high, hz, written ? "" : ": ", written ? "" : strerror(error));
      return;
    }
    entry->integer(name, hz / 1000);
  });
  entry->end();
  for (int index = 0; index < asked.clock_count; ++index) {
    if (!found[index])
      unmet->add("clock: nothing is called '%s' here", asked.clocks[index].pattern);
  }
}

void restore(char* line) {
  char name[64];
  char first[64];
  char second[64];
  const int words = sscanf(line, "%63s %63s %63s", name, first, second);
  if (words < 2 || !plain(name) || !plain(first)) return;
  if (words == 2) {
    write_governor(name, first);
  } else if (plain(second)) {
    const Limits limits = {strtoll(first, nullptr, 10), strtoll(second, nullptr, 10)};
    if (limits.low >= 0 && limits.high > 0) limits.write(name);
  }
}

}  // namespace

void hold_clocks(const Conditions& asked, JsonWriter* entry, Notes* unmet) {
  if (asked.governor == nullptr && asked.clock_count == 0) return;
  static Saved saved;
  look(asked, &saved);
  if (saved.different && !save(saved.content, saved.size)) {
    unmet->add("clocks: not set: what there is cannot be saved, or another launch has saved it");
    return;
  }
  if (asked.governor != nullptr && !saved.processors) {
    unmet->add("governor: no processor here has one");
  } else if (asked.governor != nullptr) {
    set_governor(asked.governor, entry, unmet);
  }
  if (asked.clock_count > 0) set_clocks(asked, entry, unmet);
}

void restore_clocks() {
  char path[96];
  if (!saved_path(path, sizeof path, "")) return;
  const Fd file(open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status;
  // Only what this user has saved, and only by one who comes first.
  if (!file.open() || fstat(file.get(), &status) != 0 || status.st_uid != geteuid() ||
      flock(file.get(), LOCK_EX) != 0 || fstat(file.get(), &status) != 0 || status.st_nlink == 0) {
    return;
  }
  static char content[kMaxSaved];
  const ssize_t size = pread(file.get(), content, sizeof content - 1, 0);
  content[size > 0 ? size : 0] = 0;
  Process owner;
  BootId boot;
  char* rest = nullptr;
  char* line = strtok_r(content, "\n", &rest);
  const bool known = line && sscanf(line, "%d %llu %39s", &owner.pid, &owner.start, boot.text) == 3;
  if (known && strcmp(boot.text, BootId::current().text) == 0) {
    if (owner.pid != getpid() && owner.alive()) return;
    while ((line = strtok_r(nullptr, "\n", &rest))) restore(line);
  }  // else the device was restarted, and has its own again
  unlink(path);
}

}  // namespace edge
