#include "supervisor/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/command.h"
#include "device/launches.h"
#include "device/lock.h"
#include "device/process.h"
#include "supervisor/clocks.h"
#include "supervisor/record.h"
#include "supervisor/runner.h"
#include "supervisor/sensors.h"
#include "supervisor/watch.h"

namespace edge {
namespace {

// By which the controller's transport ends a command that it gave up, and what it started.
constexpr char kCallMark[] = "EDGE_HARNESS_CALL=";
constexpr unsigned long long kFull = 64 << 10;  // bytes: no more than that is left of a full disk

bool disk_full() {
  struct statvfs disk = {};
  return statvfs(".", &disk) == 0 && disk.f_bavail * disk.f_frsize < kFull;
}
constexpr double kStop_s = kUnkillable_s + 5;
constexpr double kSeldomGlance_s = 0.01;  // where the runner prints all the time
constexpr int kGateLook_ms = 1000;

// Removes a variable, also from what /proc shows of this process.
void erase_from_environment(const char* prefix) {
  char** kept = environ;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (strncmp(*entry, prefix, strlen(prefix)) == 0) {
      memset(*entry, 0, strlen(*entry));
    } else {
      *kept++ = *entry;
    }
  }
  *kept = nullptr;
}

// From the device's conditions to the last event, in the supervisor's own process.
class Supervision {
 public:
  Supervision(const Options& options, const char* folder, Fd lock)
      : options_(options),
        folder_(folder),
        lock_(static_cast<Fd&&>(lock)),
        watch_(options, &record_) {}

  // Closes `begun` when the runner is on record, or waits for the device.
  void run(Fd begun) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    const Fd signalled(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    prctl(PR_SET_CHILD_SUBREAPER, 1);  // what leaves the runner's group comes to us
    if (options_.conditions.any() && !prepare(signalled.get(), &begun)) {
      finish();
      return;
    }
    dropped_ = options_.drop_caches && drop_page_cache();
    watch_.before();
    if (!start()) {
      restore_clocks();
      return;
    }
    begun.close();
    follow(signalled.get());
    watch_.after();
    load_.end();
    runner_.end_descendants(signalled.get(), &load_);
    finish();
  }

 private:
  // Makes the device what the launch asks for; false where it did not become so in time, or
  // somebody has ended the launch meanwhile.
  bool prepare(int signalled, Fd* begun) {
    const Conditions& asked = options_.conditions;
    Gate gate(asked);
    own(Process());  // from here on it can be stopped
    bool waits = false;
    bool stopped = false;
    while (!stopped && !gate.open() && !gate.missed()) {
      if (!waits) {
        waits = true;
        Entry entry("waiting");
        entry.text("reason", gate.reason());
        record_.write(&entry);
        begun->close();
      }
      pollfd ready = {signalled, POLLIN, 0};
      stopped = poll(&ready, 1, kGateLook_ms) > 0;  // without children only SIGTERM comes
    }
    Entry entry("conditions");
    entry.number("waited_s", gate.waited_s(), 3);
    if (gate.load() >= 0) entry.number("background_load", gate.load(), 4);
    Notes unmet = gate.unmet();
    const bool fit = !stopped && !gate.missed();
    if (fit) hold_clocks(asked, &entry, &unmet);
    if (gate.missed()) entry.text("missed", gate.reason());
    unmet.write(&entry, "unmet");
    record_.write(&entry);
    if (!fit) reason_ = stopped ? "stopped" : "conditions";
    return fit;
  }

  bool own(const Process& runner) {
    const Owners owners = {Process::of(getpid()), runner, BootId::current()};
    sign_lock(lock_.get(), folder_);
    return owners.save();
  }

  bool start() {
    others_before_s_ = busy_s() - own_cpu_s();
    if (!load_.begin(options_.conditions.busy, runner_.group()) ||
        !runner_.start(options_, folder_, lock_.get())) {
      return false;
    }
    watch_.begin(runner_.pid(), runner_.begun_s());
    Entry entry("started");
    entry.integer("protocol", 1);
    entry.integer("supervisor_pid", getpid());
    entry.integer("runner_pid", runner_.pid());
    entry.text("boot_id", BootId::current().text);
    entry.text("lock", options_.lock);
    if (dropped_) entry.boolean("caches_dropped", true);
    add_model_cache(&entry);
    entry.integer("time", static_cast<long long>(time(nullptr)));
    record_.write(&entry);
    if (own(Process::of(runner_.pid()))) runner_.let_go();
    return true;
  }

  // Until the runner has ended, or is ended.
  void follow(int signalled) {
    const Fd told(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    inotify_add_watch(told.get(), "events.jsonl", IN_MODIFY);
    const double deadline = runner_.begun_s() + options_.limit_s;
    while (!runner_.ended()) {
      const double next = watch_.next_s() < deadline ? watch_.next_s() : deadline;
      const double left = next - monotonic_s();
      pollfd ready[] = {
          {signalled, POLLIN, 0}, {runner_.output(), POLLIN, 0}, {told.get(), POLLIN, 0}};
      poll(ready, 3, left > 0 ? static_cast<int>(left * 1000) + 1 : 0);
      if (ready[2].revents != 0) {
        char changes[4096];
        while (read(told.get(), changes, sizeof changes) > 0) {
        }
        watch_.told();
      }
      if (ready[1].revents != 0) {
        runner_.drain();
        if (monotonic_s() - watch_.glanced_s() > kSeldomGlance_s) watch_.glance();
      }
      if (ready[0].revents != 0) take_signals(signalled);
      const double now = monotonic_s();
      if (now >= deadline && !runner_.ended()) end_because("time_limit");
      if (!runner_.ended()) watch_.look(now);
    }
  }

  void take_signals(int signalled) {
    signalfd_siginfo information;
    while (read(signalled, &information, sizeof information) == sizeof information) {
      if (information.ssi_signo == SIGTERM) end_because("stopped");
    }
    runner_.reap(&load_);
  }

  void end_because(const char* reason) {
    reason_ = reason;
    watch_.glance();
    runner_.end();
  }

  void add_model_cache(JsonWriter* event) const {
    if (options_.model_cache == nullptr) return;
    event->integer("model_cache_bytes", folder_bytes(options_.model_cache));
  }

  void finish() {
    const double busy = busy_s();
    Entry entry("exit");
    entry.text("reason", runner_.unkillable() ? "unkillable" : reason_);
    runner_.add_end(&entry);
    if (options_.conditions.busy > 0) entry.number("load_cpu_s", load_.used_s(), 3);
    if (runner_.reaped() && busy >= 0) {
      // The kernel counts all of it in ticks and a process's in nanoseconds: they may cross.
      const double others =
          busy - others_before_s_ - runner_.used_s() - load_.used_s() - own_cpu_s();
      entry.number("other_cpu_s", others > 0 ? others : 0, 3);
    }
    if (disk_full()) entry.boolean("disk_full", true);
    watch_.add_to(&entry);
    add_model_cache(&entry);
    runner_.add_traces(&entry);
    runner_.remove_group();
    restore_clocks();
    lock_.close();  // before the end is told: whoever reads it may begin the next launch
    record_.write(&entry);
  }

  const Options& options_;
  const char* folder_;
  Fd lock_;
  Record record_;
  RunnerProcess runner_;
  Watch watch_;
  BusyLoad load_;
  double others_before_s_ = -1;  // CPU time of the device, without ours
  const char* reason_ = "exited";
  bool dropped_ = false;
};

}  // namespace

void begin(const Options& options, const char* folder, [[maybe_unused]] Fd alive, Fd lock) {
  Supervision supervision(options, folder, static_cast<Fd&&>(lock));
  // Room for what the runner is not let go without.
  if (!Owners().save()) fail(kCannotPrepare, "pid: %s", strerror(errno));
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) fail(kCannotPrepare, "no pipe: %s", strerror(errno));
  const pid_t pid = fork();
  if (pid < 0) fail(kCannotPrepare, "cannot start a process: %s", strerror(errno));
  Fd written(ready[1]);
  const Fd read_from(ready[0]);
  if (pid > 0) {
    written.close();
    char nothing = 0;
    while (read(read_from.get(), &nothing, 1) < 0 && errno == EINTR) {
    }
    return;
  }
  setsid();
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  const int null = open("/dev/null", O_RDWR);
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) dup2(null, stream);
  if (null > STDERR_FILENO) ::close(null);
  erase_from_environment(kCallMark);
  supervision.run(static_cast<Fd&&>(written));
  _exit(0);  // which frees `alive`
}

void stop(const char* folder) {
  const Owners owners = Owners::load();
  const State now = state();
  if ((now == State::kWaiting || now == State::kRunning) && owners.this_boot() &&
      owners.supervisor.alive()) {
    kill(owners.supervisor.pid, SIGTERM);
    if (!await_end(kStop_s)) {  // it hangs, or somebody has stopped it
      kill(owners.supervisor.pid, SIGKILL);
      await_end(1);
    }
  }
  end_orphans(folder);
}

void end_orphans(const char* folder) {
  const State left = state_unsupervised();
  if (left != State::kOrphaned && left != State::kLost) return;
  const Owners owners = Owners::load();
  if (owners.this_boot() && owners.runner.alive()) kill(-owners.runner.pid, SIGKILL);
  char mark[sizeof kMark + PATH_MAX];
  snprintf(mark, sizeof mark, "%s%s", kMark, folder);
  kill_marked(mark);
}

}  // namespace edge
