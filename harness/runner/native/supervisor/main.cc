// edge-supervisor: starts a runner on a device, guards it, and hands over what it left. `--help`
// lists its commands; docs/supervisor.md says more.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/command.h"
#include "device/launches.h"
#include "device/lease.h"
#include "device/lock.h"
#include "device/store.h"
#include "supervisor/clocks.h"
#include "supervisor/launch.h"
#include "supervisor/log.h"

namespace edge {
namespace {

constexpr char kHelp[] =
    "edge-supervisor: start a runner on a device, guard it, and hand over what it left\n"
    "\n"
    "  run DIR [OPTION]... -- PROGRAM [ARG]... < job.json\n"
    "                       begin the launch, or join it; then as read\n"
    "    --lock FILE        the device's lock; by default a file on tmpfs\n"
    "    --limit S          end it after so many seconds\n"
    "    --link NAME TARGET link a file into its folder\n"
    "    --affinity N,N     bind it to processors\n"
    "    --env NAME=VALUE   add to its environment\n"
    "    --rlimit NAME=N    one of as, core, cpu, data, fsize, nofile, stack\n"
    "    --lease ID TERM HOLDER\n"
    "                       renew the device's lease; without it nobody may have one\n"
    "    --memory-pass MS   record its proportional set size every so many milliseconds, and\n"
    "                       more often all of the device's memory\n"
    "    --model-cache DIR  make the folder, and record how much is in it before and after\n"
    "    --fresh            empty that folder before\n"
    "    --drop-caches      drop the page cache, programs and libraries included (root)\n"
    "    --governor NAME    set it on every processor, for the launch\n"
    "    --clock PATTERN HZ|max\n"
    "                       hold the clocks that devfreq calls so, of NPU, GPU or memory\n"
    "    --cool C S         begin when no thermal zone is hotter than C degrees Celsius; wait\n"
    "                       at most S seconds, and then do not begin\n"
    "    --zone NAME        a zone's name or type: only this one, or these, count\n"
    "    --quiet SHARE S    begin when other work takes no more than this share of the processors\n"
    "    --battery PERCENT  do not begin with less\n"
    "    --busy N           keep N processors busy meanwhile\n"
    "  read DIR [--from EVENTS,LOG,RECORD] [--wait S]\n"
    "                       wait for its end at most S seconds, and give what came after these "
    "bytes\n"
    "  stop DIR...          end launches\n"
    "  forget DIR...        end launches and remove their folders\n"
    "  living BASE          print the names of the launches in a folder that have not ended\n"
    "  lock [FILE]          print who holds the device's lock; exit status 75 where somebody "
    "does\n";

constexpr char kAnswer[] =
    "\n"
    "run and read answer with a line, \"edge-supervisor 1 STATE BEGUN EVENTS LOG_FIRST LOG "
    "RECORD\",\n"
    "and then as many bytes of events.jsonl, of what the runner printed, and of supervisor.jsonl.\n"
    "BEGUN is 1 where this command began the launch; LOG_FIRST is the number of the first byte\n"
    "printed that is still there. run, stop, forget and living restore the governors and "
    "clocks\n"
    "that a killed supervisor has left changed.\n";

constexpr off_t kMaxEvents =
    (16 << 20) + 1;  // the contract's bound; one more shows that it is broken
constexpr off_t kMaxRecord = 8 << 20;
constexpr size_t kMaxJob = 4 << 20;

struct Reading {
  long long events = 0;
  long long log = 0;
  long long record = 0;
  double wait_s = 0;
};

// Changes into a folder; returns its path without links, by which its processes are marked.
const char* enter(const char* path) {
  static char folder[PATH_MAX];
  return chdir(path) == 0 && getcwd(folder, sizeof folder) ? folder : nullptr;
}

int remove_entry(const char* path, const struct stat*, int, struct FTW* place) {
  if (place->level > 0 && strcmp(path, "./alive") != 0) remove(path);
  return 0;
}

// Empties the current folder but for "alive", which this process holds.
void empty_folder() { nftw(".", remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); }

// Makes a model cache's folder, and empties it where it is to be filled anew.
void prepare_cache(const char* path, bool fresh) {
  if (!make_folder(path)) fail(kCannotPrepare, "%s: %s", path, strerror(errno));
  const Fd here(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (chdir(path) != 0) fail(kCannotPrepare, "%s: %s", path, strerror(errno));
  if (fresh) empty_folder();
  if (fchdir(here.get()) != 0) fail(kCannotPrepare, "%s", strerror(errno));
}

void save_job() {
  const Fd job(open("job.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  char chunk[16384];
  size_t size = 0;
  ssize_t got;
  while ((got = read(STDIN_FILENO, chunk, sizeof chunk)) > 0) {
    size += static_cast<size_t>(got);
    if (size > kMaxJob) fail(kCannotPrepare, "job.json is larger than %zu bytes", kMaxJob);
    if (!job.open() || !write_all(job.get(), chunk, static_cast<size_t>(got))) break;
  }
  if (got != 0) fail(kCannotPrepare, "job.json: %s", strerror(errno));
}

void answer(const Reading& reading, bool begun) {
  // First the state, then the sizes: where it has ended, nothing is added after.
  const State now = state();
  const Fd events(open("events.jsonl", O_RDONLY | O_CLOEXEC));
  const Fd record(open("supervisor.jsonl", O_RDONLY | O_CLOEXEC));
  static LogPart log;
  log.read(reading.log);
  const auto end = [](const Fd& file, long long from, off_t most) {
    const off_t size = file.open() ? lseek(file.get(), 0, SEEK_END) : 0;
    const off_t bounded = size < most ? size : most;
    return bounded > from ? bounded : static_cast<off_t>(from);
  };
  const off_t events_end = end(events, reading.events, kMaxEvents);
  const off_t record_end = end(record, reading.record, kMaxRecord);
  char header[160];
  const int size =
      snprintf(header, sizeof header, "edge-supervisor 1 %s %d %lld %lld %zu %lld\n", name_of(now),
               begun ? 1 : 0, static_cast<long long>(events_end) - reading.events, log.first,
               log.size, static_cast<long long>(record_end) - reading.record);
  if (!write_all(STDOUT_FILENO, header, static_cast<size_t>(size)) ||
      !copy_range(events.get(), STDOUT_FILENO, reading.events, events_end) ||
      !write_all(STDOUT_FILENO, log.bytes, log.size) ||
      !copy_range(record.get(), STDOUT_FILENO, reading.record, record_end)) {
    fail(1, "the answer could not be written: %s", strerror(errno));
  }
}

bool take_reading(const char* option, Words* words, Reading* reading) {
  if (strcmp(option, "--wait") == 0) {
    reading->wait_s = words->number(option);
  } else if (strcmp(option, "--from") == 0) {
    const char* word = words->next(option);
    if (sscanf(word, "%lld,%lld,%lld", &reading->events, &reading->log, &reading->record) != 3 ||
        reading->events < 0 || reading->log < 0 || reading->record < 0) {
      fail(kUsage, "--from: '%s' is not EVENTS,LOG,RECORD", word);
    }
  } else {
    return false;
  }
  return true;
}

void take_affinity(const char* word, Options* options) {
  CPU_ZERO(&options->affinity);
  options->bound = true;
  for (const char* at = word; *at;) {
    char* end;
    const long cpu = strtol(at, &end, 10);
    if (end == at || cpu < 0 || cpu >= CPU_SETSIZE || (*end && *end != ',')) {
      fail(kUsage, "--affinity: '%s' is not a list of processors", word);
    }
    CPU_SET(static_cast<size_t>(cpu), &options->affinity);
    at = *end ? end + 1 : end;
  }
}

void take_limit(const char* word, Options* options) {
  static const struct {
    const char* name;
    int resource;
  } known[] = {{"as", RLIMIT_AS},      {"core", RLIMIT_CORE},   {"cpu", RLIMIT_CPU},
               {"data", RLIMIT_DATA},  {"fsize", RLIMIT_FSIZE}, {"nofile", RLIMIT_NOFILE},
               {"stack", RLIMIT_STACK}};
  for (const auto& limit : known) {
    const size_t length = strlen(limit.name);
    if (strncmp(word, limit.name, length) != 0 || word[length] != '=') continue;
    if (options->limit_count == 16) fail(kUsage, "too many limits");
    char* end;
    const rlim_t value = strtoull(word + length + 1, &end, 10);
    if (end == word + length + 1 || *end) break;
    options->limits[options->limit_count++] = {limit.resource, {value, value}};
    return;
  }
  fail(kUsage, "--rlimit: '%s' is not NAME=NUMBER of a known limit", word);
}

bool take_condition(const char* option, Words* words, Conditions* asked) {
  if (strcmp(option, "--governor") == 0) {
    asked->governor = words->next(option);
  } else if (strcmp(option, "--clock") == 0) {
    if (asked->clock_count == kMaxPinned) fail(kUsage, "too many clocks");
    Conditions::Clock* clock = &asked->clocks[asked->clock_count++];
    clock->pattern = words->next(option);
    const char* hz = words->next(option);
    char* end;
    clock->hz = strcmp(hz, "max") == 0 ? -1 : strtoll(hz, &end, 10);
    if (clock->hz == 0 || clock->hz < -1 || (clock->hz > 0 && *end)) {
      fail(kUsage, "--clock: '%s' is neither a number of Hz nor max", hz);
    }
  } else if (strcmp(option, "--cool") == 0) {
    asked->max_celsius = words->number(option);
    asked->cool_within_s = words->number(option);
  } else if (strcmp(option, "--zone") == 0) {
    if (asked->zone_count == kMaxZones) fail(kUsage, "too many zones");
    asked->zones[asked->zone_count++] = words->next(option);
  } else if (strcmp(option, "--quiet") == 0) {
    asked->max_load = words->number(option);
    asked->quiet_within_s = words->number(option);
  } else if (strcmp(option, "--battery") == 0) {
    asked->min_battery = static_cast<int>(words->number(option));
  } else if (strcmp(option, "--busy") == 0) {
    asked->busy = static_cast<int>(words->number(option));
    if (asked->busy > kMaxBusy) fail(kUsage, "--busy: at most %d", kMaxBusy);
  } else {
    return false;
  }
  return true;
}

int run(Words words) {
  const char* path = words.next("DIR");
  Options options;
  Reading reading;
  Claim lease;
  struct {
    const char* name;
    const char* target;
  } links[64];
  int link_count = 0;
  bool fresh = false;
  while (true) {
    const char* option = words.next("--");
    if (strcmp(option, "--") == 0) break;
    if (take_reading(option, &words, &reading)) continue;
    if (strcmp(option, "--lock") == 0) {
      options.lock = words.next(option);
    } else if (strcmp(option, "--lease") == 0) {
      lease = take_claim(&words);
    } else if (strcmp(option, "--limit") == 0) {
      options.limit_s = words.number(option);
    } else if (strcmp(option, "--memory-pass") == 0) {
      options.pss_every_s = words.number(option) / 1e3;
    } else if (strcmp(option, "--model-cache") == 0) {
      options.model_cache = words.next(option);
    } else if (strcmp(option, "--fresh") == 0) {
      fresh = true;
    } else if (strcmp(option, "--drop-caches") == 0) {
      options.drop_caches = true;
    } else if (strcmp(option, "--affinity") == 0) {
      take_affinity(words.next(option), &options);
    } else if (strcmp(option, "--rlimit") == 0) {
      take_limit(words.next(option), &options);
    } else if (take_condition(option, &words, &options.conditions)) {
      continue;
    } else if (strcmp(option, "--env") == 0) {
      if (options.environment_count == 64) fail(kUsage, "too many variables");
      options.environment[options.environment_count++] = words.next(option);
    } else if (strcmp(option, "--link") == 0) {
      if (link_count == 64) fail(kUsage, "too many links");
      links[link_count].name = words.next(option);
      links[link_count++].target = words.next(option);
    } else {
      fail(kUsage, "unknown option '%s'", option);
    }
  }
  options.program = words.rest();
  if (!options.program[0]) fail(kUsage, "PROGRAM is missing");
  if (!options.lock) options.lock = default_lock();

  for (int inherited = 3; inherited < 256; ++inherited) close(inherited);
  const char* folder = make_folder(path) ? enter(path) : nullptr;
  if (folder == nullptr) fail(kCannotPrepare, "%s: %s", path, strerror(errno));
  bool begun = false;
  if (Fd alive = claim();
      alive.open() && (state_unsupervised() != State::kEnded || was_stopped())) {
    end_orphans(folder);  // of an earlier beginning, whose supervisor is gone
    restore_clocks();
    empty_folder();
    require_lease(options.lock, lease, options.conditions.wait_s() + options.limit_s);
    Fd lock = take_lock(options.lock);
    if (!lock.open()) {
      char holder[400];
      read_holder(options.lock, holder, sizeof holder);
      unlink("alive");
      rmdir(folder);
      fail(kBusy, "the device is in use: %s", holder);
    }
    save_job();
    for (int index = 0; index < link_count; ++index) {
      if (symlink(links[index].target, links[index].name) != 0) {
        fail(kCannotPrepare, "%s: %s", links[index].name, strerror(errno));
      }
      // What was pushed may be gone: a restarted device had it in memory only.
      if (access(links[index].name, F_OK) != 0) {
        fail(kCannotPrepare, "%s: %s", links[index].target, strerror(errno));
      }
    }
    if (options.model_cache) prepare_cache(options.model_cache, fresh);
    const Fd events(open("events.jsonl", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    begin(options, folder, static_cast<Fd&&>(alive), static_cast<Fd&&>(lock));
    begun = true;
  }
  await_end(reading.wait_s);
  answer(reading, begun);
  return 0;
}

int read_launch(Words words) {
  const char* path = words.next("DIR");
  Reading reading;
  while (words.more()) {
    const char* option = words.next("");
    if (!take_reading(option, &words, &reading)) fail(kUsage, "unknown option '%s'", option);
  }
  if (!enter(path)) {
    printf("edge-supervisor 1 %s 0 0 0 0 0\n", name_of(State::kAbsent));
    return 0;
  }
  await_end(reading.wait_s);
  answer(reading, false);
  return 0;
}

int stop_all(Words words, bool forget) {
  // Paths are the caller's: each is entered from where it stands.
  const Fd here(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (words.more()) {
    const char* path = words.next("DIR");
    const char* folder = enter(path);
    if (folder) {
      stop(folder);
      if (forget) {
        empty_folder();
        unlink("alive");
        rmdir(folder);
      }
    }
    if (fchdir(here.get()) != 0) fail(1, "%s", strerror(errno));
  }
  restore_clocks();
  return 0;
}

int living(Words words) {
  restore_clocks();
  const char* base = words.next("BASE");
  DIR* entries = enter(base) ? opendir(".") : nullptr;
  if (!entries) return 0;
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_name[0] == '.' || chdir(entry->d_name) != 0) continue;
    const State now = state();
    if (now != State::kAbsent && now != State::kEnded && now != State::kLost) puts(entry->d_name);
    if (fchdir(dirfd(entries)) != 0) break;
  }
  closedir(entries);
  return 0;
}

int lock_status(Words words) {
  const char* path = words.more() ? words.next("FILE") : default_lock();
  if (!lock_held(path)) {
    printf("%s: free\n", path);
    return 0;
  }
  char holder[400];
  read_holder(path, holder, sizeof holder);
  printf("%s: held by %s\n", path, holder);
  return kBusy;
}

int command(Words words) {
  const char* name = words.next("a command");
  if (strcmp(name, "run") == 0) return run(words);
  if (strcmp(name, "read") == 0) return read_launch(words);
  if (strcmp(name, "stop") == 0) return stop_all(words, false);
  if (strcmp(name, "forget") == 0) return stop_all(words, true);
  if (strcmp(name, "living") == 0) return living(words);
  if (strcmp(name, "lease") == 0) return lease(words);
  if (strcmp(name, "lock") == 0) return lock_status(words);
  if (strcmp(name, "store") == 0) return store(words);
  if (strcmp(name, "--help") == 0) {
    printf("%s%s%s%s", kHelp, kLeaseHelp, kStoreHelp, kAnswer);
    return 0;
  }
  fail(kUsage, "unknown command '%s'; --help lists them", name);
}

}  // namespace
}  // namespace edge

int main(int, char** arguments) { return edge::command(edge::Words(arguments + 1)); }
