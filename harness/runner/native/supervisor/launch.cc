#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "conditions.h"
#include "lock.h"
#include "log.h"
#include "process.h"
#include "sensors.h"

namespace {

constexpr char kMark[] = "EDGE_HARNESS_LAUNCH=";
// By which the controller's transport ends a command that it gave up, and what it started.
constexpr char kCallMark[] = "EDGE_HARNESS_CALL=";
constexpr double kUnkillable_s = 10;  // what SIGKILL has not ended by then hangs in the kernel
constexpr double kStop_s = kUnkillable_s + 5;
constexpr double kFirstPeak_s = 0.01;
constexpr double kSense_s = 1;
constexpr double kSenseInPass_s = 0.2;  // a memory pass is disturbed anyway
constexpr int kMaxSensed = 2000;  // events of a kind, so that the record stays readable
constexpr int kMaxPss = 10000;
constexpr off_t kRecordRoom = 64 << 10;
constexpr size_t kMaxReadings = 7 << 20;  // bytes of them: the record is read to 8 MiB
constexpr int kGateLook_ms = 1000;

// supervisor.jsonl: what the outside sees. A file of its own, for the runner's may end in half a
// line, is written by any program in any way, and must not be able to swallow this one's end.
class Record {
 public:
  Record()
      : file_(open("supervisor.jsonl", O_WRONLY | O_CREAT | O_APPEND | O_TRUNC | O_CLOEXEC, 0644)) {
    if (!file_.open()) fail(kCannotPrepare, "supervisor.jsonl: %s", strerror(errno));
    // Room for the last event on a disk that the runner fills; not every file system can. Where
    // there is none, nothing is begun: nobody could tell how it ends.
    if (fallocate(file_.get(), FALLOC_FL_KEEP_SIZE, 0, kRecordRoom) != 0 && errno == ENOSPC) {
      fail(kCannotPrepare, "supervisor.jsonl: %s", strerror(errno));
    }
  }
  void write(const Text& line) {
    if (line.whole()) write_all(file_.get(), line.data(), line.size());
  }
  // What there may be any number of: it is left out where it would crowd out the end.
  void write_reading(const Text& line) {
    readings_ += line.size();
    if (readings_ <= kMaxReadings) write(line);
  }

 private:
  Fd file_;
  size_t readings_ = 0;
};

// The runner's process, before it becomes the runner.
[[noreturn]] void become_runner(const Options& options, const char* folder, int output, int gate) {
  setsid();
  char go;
  // Nothing runs that is not on record: without the supervisor's word it ends here.
  if (read(gate, &go, 1) != 1) _exit(126);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  for (int index = 0; index < options.limit_count; ++index) {
    const Options::Limit& limit = options.limits[index];
    if (setrlimit(static_cast<decltype(RLIMIT_CORE)>(limit.resource), &limit.value) != 0) {
      fail(126, "cannot set limit %d: %s", limit.resource, strerror(errno));
    }
  }
  if (options.bound && sched_setaffinity(0, sizeof options.affinity, &options.affinity) != 0) {
    fail(126, "cannot bind to these processors: %s", strerror(errno));
  }
  for (int index = 0; index < options.environment_count; ++index) {
    putenv(const_cast<char*>(options.environment[index]));
  }
  static char mark[sizeof kMark + PATH_MAX];
  snprintf(mark, sizeof mark, "%s%s", kMark, folder);
  putenv(mark);
  // Where memory runs out, the kernel ends the runner, not the device's own services.
  const Fd score(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (score.open()) write_all(score.get(), "1000", 4);
  execvp(options.program[0], options.program);
  fail(127, "%s: %s", options.program[0], strerror(errno));
}

// Removes a variable, also from what /proc shows of this process.
void erase_from_environment(const char* prefix) {
  char** kept = environ;
  for (char** entry = environ; *entry; ++entry) {
    if (strncmp(*entry, prefix, strlen(prefix)) == 0) {
      memset(*entry, 0, strlen(*entry));
    } else {
      *kept++ = *entry;
    }
  }
  *kept = nullptr;
}

class Supervision {
 public:
  Supervision(const Options& options, const char* folder, Fd lock)
      : options_(options), folder_(folder), lock_(static_cast<Fd&&>(lock)) {}

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
    if (options_.drop_caches) dropped_ = drop_page_cache();
    sense("before", true);
    if (!start()) {
      restore_governors();
      return;
    }
    begun.close();
    const Fd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    inotify_add_watch(watch.get(), "events.jsonl", IN_MODIFY);

    const double deadline = begun_ + options_.limit_s;
    double next_peak = begun_ + kFirstPeak_s;
    const bool memory_pass = options_.pss_every_s > 0;
    const double wanted = memory_pass ? kSenseInPass_s : kSense_s;
    const double sense_every =
        wanted > options_.limit_s / kMaxSensed ? wanted : options_.limit_s / kMaxSensed;
    double next_sense = begun_ + wanted;
    double next_pss = memory_pass ? begun_ + options_.pss_every_s : deadline;
    while (!ended_) {
      double next = next_sense < deadline ? next_sense : deadline;
      if (next_pss < next) next = next_pss;
      if (next_peak < next) next = next_peak;
      const double left = next - monotonic_s();
      pollfd ready[] = {
          {signalled.get(), POLLIN, 0}, {output_, POLLIN, 0}, {watch.get(), POLLIN, 0}};
      poll(ready, 3, left > 0 ? static_cast<int>(left * 1000) + 1 : 0);
      if (ready[0].revents) take_signals(signalled.get());
      if (ready[1].revents) {
        drain();
        if (monotonic_s() - peaked_ > kFirstPeak_s) peak();
      }
      if (ready[2].revents) {
        char changes[4096];
        while (read(watch.get(), changes, sizeof changes) > 0) {
        }
        peak();
      }
      const double now = monotonic_s();
      if (now >= deadline && !ended_) end_because("time_limit");
      if (now >= next_sense && !ended_) {
        next_sense = now + sense_every;
        sense("during", memory_pass);
      }
      if (now >= next_peak && !ended_) {  // ever more seldom, up to as seldom as the sensors
        const double age = now - begun_;
        next_peak = now + (age < sense_every ? age : sense_every);
        peak();
      }
      if (now >= next_pss && !ended_) {
        next_pss = ++pss_count_ < kMaxPss ? now + options_.pss_every_s : deadline;
        proportional(now);
      }
    }
    sense("after", true);
    load_.end();
    end_descendants(signalled.get());
    drain();
    finish();
  }

 private:
  const Options& options_;
  const char* folder_;
  Fd lock_;
  Record record_;
  LogWriter log_;
  Cgroup cgroup_;
  BusyLoad load_;
  double busy_before_s_ = -1;  // of the device, without ours
  double used_s_ = 0;  // by the launch, load aside
  pid_t runner_ = 0;
  int output_ = -1;
  double begun_ = 0;
  const char* reason_ = "exited";
  bool ended_ = false;   // or given up
  bool reaped_ = false;  // and its status is known
  int status_ = 0;
  double wall_s_ = 0;
  rusage usage_ = {};
  const long long oom_kills_ = oom_kills();  // before the runner
  long long peak_ = -1;
  double peaked_ = 0;
  int pss_count_ = 0;
  int left_behind_ = 0;
  bool unkillable_ = false;
  bool dropped_ = false;

  // Makes the device what the launch asks for; false where it did not become so in time, or
  // somebody has ended the launch meanwhile.
  bool prepare(int signalled, Fd* begun) {
    const Conditions& asked = options_.conditions;
    Gate gate(asked);
    own(Process());  // from here on it can be stopped
    bool waits = false;
    bool stopped = false;
    while (!gate.open() && !gate.missed()) {
      if (!waits) {
        waits = true;
        Text line;
        line.add("{\"event\":\"waiting\",\"reason\":");
        line.add_quoted(gate.reason());
        line.add("}\n");
        record_.write(line);
        begun->close();
      }
      pollfd ready = {signalled, POLLIN, 0};
      stopped = poll(&ready, 1, kGateLook_ms) > 0;  // without children only SIGTERM comes
      if (stopped) break;
    }
    const double waited_s = gate.waited_s();
    Notes unmet = gate.unmet();
    const bool fit = !stopped && !gate.missed();
    const bool governed = fit && asked.governor && set_governor(asked.governor, &unmet);
    Text line;
    line.add("{\"event\":\"conditions\",\"waited_s\":%.3f", waited_s);
    if (gate.load() >= 0) line.add(",\"background_load\":%.4f", gate.load());
    if (governed) {
      line.add(",\"governor\":");
      line.add_quoted(asked.governor);
    }
    if (gate.missed()) {
      line.add(",\"missed\":");
      line.add_quoted(gate.reason());
    }
    line.add(",\"unmet\":");
    unmet.write(&line);
    line.add("}\n");
    record_.write(line);
    if (!fit) reason_ = stopped ? "stopped" : "conditions";
    return fit;
  }

  bool own(const Process& runner) {
    const Owners owners = {Process::of(getpid()), runner, BootId::current()};
    sign_lock(lock_.get(), folder_);
    return owners.save();
  }

  bool start() {
    int output[2];
    int gate[2];
    if (pipe2(output, O_CLOEXEC) != 0 || pipe2(gate, O_CLOEXEC) != 0) return false;
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    busy_before_s_ = busy_s() - own_cpu_s();
    if (!load_.begin(options_.conditions.busy, cgroup_)) return false;
    begun_ = monotonic_s();
    runner_ = fork();
    if (runner_ < 0) return false;
    if (runner_ == 0) {
      ::close(gate[1]);
      fcntl(lock_.get(), F_SETFD, 0);  // an orphan holds the device's lock
      cgroup_.enter();
      become_runner(options_, folder_, output[1], gate[0]);
    }
    ::close(output[1]);
    ::close(gate[0]);
    output_ = output[0];
    Text line;
    line.add(
        "{\"event\":\"started\",\"protocol\":1,\"supervisor_pid\":%d,\"runner_pid\":%d,\"boot_"
        "id\":",
        getpid(), runner_);
    line.add_quoted(BootId::current().text);
    line.add(",\"lock\":");
    line.add_quoted(options_.lock);
    if (dropped_) line.add(",\"caches_dropped\":true");
    add_model_cache(&line);
    line.add(",\"time\":%lld}\n", static_cast<long long>(time(nullptr)));
    record_.write(line);
    if (own(Process::of(runner_))) write_all(gate[1], "g", 1);
    ::close(gate[1]);
    return true;
  }

  void take_signals(int signalled) {
    signalfd_siginfo information;
    while (read(signalled, &information, sizeof information) == sizeof information) {
      if (information.ssi_signo == SIGTERM) end_because("stopped");
    }
    reap();
  }

  // Returns whether there are children left.
  bool reap() {
    int status;
    rusage usage;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
      if (load_.reaped(pid, usage)) continue;
      used_s_ += cpu_s(usage);
      if (pid != runner_) continue;
      wall_s_ = monotonic_s() - begun_;
      status_ = status;
      usage_ = usage;
      ended_ = reaped_ = true;
    }
    return pid == 0;
  }

  void end_because(const char* reason) {
    reason_ = reason;
    peak();
    kill(-runner_, SIGKILL);
    kill(runner_, SIGKILL);
    wall_s_ = monotonic_s() - begun_;
    ended_ = true;  // as far as this launch goes: the kernel may take its time
  }

  // Every descendant becomes our child when its parents are gone, whatever its group or session.
  void end_descendants(int signalled) {
    const double deadline = monotonic_s() + kUnkillable_s;
    kill(-runner_, SIGKILL);
    cgroup_.kill();
    while (reap()) {
      const int children = signal_children(SIGKILL);
      if (reaped_ && children > left_behind_) left_behind_ = children;
      if (monotonic_s() >= deadline) {
        unkillable_ = true;
        return;
      }
      pollfd ready[] = {{signalled, POLLIN, 0}, {output_, POLLIN, 0}};
      poll(ready, 2, 100);
      if (ready[1].revents) drain();
      signalfd_siginfo information;
      while (read(signalled, &information, sizeof information) > 0) {
      }
    }
  }

  void drain() {
    char chunk[kChunk];
    ssize_t got;
    // Bounded, so that a runner that prints without end does not keep us from its time limit.
    for (int round = 0; round < 16; ++round) {
      got = read(output_, chunk, sizeof chunk);
      if (got > 0) {
        log_.append(chunk, static_cast<size_t>(got));
        continue;
      }
      if (got == 0) {  // nobody can print any more
        ::close(output_);
        output_ = -1;
      }
      return;
    }
  }

  void sense(const char* phase, bool all_memory) {
    Text line;
    add_environment(&line, phase, begun_ > 0 ? (monotonic_s() - begun_) * 1e3 : -1, all_memory);
    record_.write_reading(line);
  }

  // The kernel forgets it when the process ends: it is read whenever the runner has told or
  // printed something, and now and then between.
  void peak() {
    peaked_ = monotonic_s();
    const long long seen = vmhwm_bytes(runner_);
    if (seen > peak_) peak_ = seen;
  }

  void proportional(double now) {
    peak();
    const long long bytes = pss_bytes(runner_);
    if (bytes < 0) return;
    Text line;
    line.add("{\"event\":\"pss\",\"ms\":%.1f,\"bytes\":%lld}\n", (now - begun_) * 1e3, bytes);
    record_.write_reading(line);
  }

  void add_model_cache(Text* line) const {
    if (!options_.model_cache) return;
    line->add(",\"model_cache_bytes\":%lld", folder_bytes(options_.model_cache));
  }

  void finish() {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    const double busy = busy_s();
    Text line;
    line.add("{\"event\":\"exit\",\"reason\":\"%s\",\"wall_s\":%.6f",
             unkillable_ ? "unkillable" : reason_, wall_s_);
    if (reaped_) {
      if (WIFSIGNALED(status_)) {
        line.add(",\"signal\":%d", WTERMSIG(status_));
      } else {
        line.add(",\"status\":%d", WEXITSTATUS(status_));
      }
      line.add(",\"user_s\":%.6f,\"system_s\":%.6f,\"minor_faults\":%ld,\"major_faults\":%ld",
               seconds(usage_.ru_utime), seconds(usage_.ru_stime), usage_.ru_minflt,
               usage_.ru_majflt);
    }
    if (options_.conditions.busy) line.add(",\"load_cpu_s\":%.3f", load_.used_s());
    if (reaped_ && busy >= 0) {
      // The kernel counts all of it in ticks and a process's in nanoseconds: they may cross.
      const double others = busy - busy_before_s_ - used_s_ - load_.used_s() - own_cpu_s();
      line.add(",\"other_cpu_s\":%.3f", others > 0 ? others : 0);
    }
    if (peak_ >= 0) line.add(",\"vmhwm_bytes\":%lld", peak_);
    if (oom_kills_ >= 0) line.add(",\"oom_kills\":%lld", oom_kills() - oom_kills_);
    add_model_cache(&line);
    line.add(",\"left_behind\":%d,\"log_bytes\":%lld}\n", left_behind_, log_.total());
    cgroup_.remove();
    restore_governors();
    lock_.close();  // before the end is told: whoever reads it may begin the next launch
    record_.write(line);
  }
};

// Whether the last line of the record begins so.
bool ends_with(const char* beginning) {
  const Fd file(open("supervisor.jsonl", O_RDONLY | O_CLOEXEC));
  char end[1024];
  const off_t size = file.open() ? lseek(file.get(), 0, SEEK_END) : 0;
  const off_t from =
      size > static_cast<off_t>(sizeof end) ? size - static_cast<off_t>(sizeof end) : 0;
  const ssize_t got = pread(file.get(), end, sizeof end, from);
  if (got <= 1 || end[got - 1] != '\n') return false;
  end[got - 1] = 0;
  const char* line = strrchr(end, '\n');
  return strncmp(line ? line + 1 : end, beginning, strlen(beginning)) == 0;
}

}  // namespace

const char* name_of(State state) {
  switch (state) {
    case State::kAbsent:
      return "absent";
    case State::kWaiting:
      return "waiting";
    case State::kRunning:
      return "running";
    case State::kEnded:
      return "ended";
    case State::kOrphaned:
      return "orphaned";
    case State::kLost:
      return "lost";
  }
  return "";
}

State state() {
  const Fd alive(open("alive", O_RDWR | O_CLOEXEC));
  if (!alive.open()) return State::kAbsent;
  if (flock(alive.get(), LOCK_SH | LOCK_NB) != 0) {
    return ends_with("{\"event\":\"waiting\"") ? State::kWaiting : State::kRunning;
  }
  return state_unsupervised();
}

State state_unsupervised() {
  if (ends_with("{\"event\":\"exit\"")) return State::kEnded;
  if (access("supervisor.jsonl", F_OK) != 0) return State::kAbsent;
  const Owners owners = Owners::load();
  return owners.this_boot() && owners.runner.alive() ? State::kOrphaned : State::kLost;
}

bool was_stopped() { return ends_with("{\"event\":\"exit\",\"reason\":\"stopped\""); }

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
    char nothing;
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

Fd claim() {
  Fd alive(open("alive", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!alive.open()) fail(kCannotPrepare, "alive: %s", strerror(errno));
  if (flock(alive.get(), LOCK_EX | LOCK_NB) != 0) alive.close();
  return alive;
}

bool await_end(double seconds) {
  const Fd alive(open("alive", O_RDWR | O_CLOEXEC));
  if (!alive.open()) return true;
  if (seconds <= 0) return flock(alive.get(), LOCK_SH | LOCK_NB) == 0;
  // A wait without a wake-up in between: nothing disturbs the measurement.
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, nullptr);
  const long ms = static_cast<long>(seconds * 1e3) + 1;
  itimerval timer = {};
  timer.it_value = {ms / 1000, ms % 1000 * 1000};
  timer.it_interval.tv_sec = 1;  // where the first came before the wait began
  setitimer(ITIMER_REAL, &timer, nullptr);
  const bool ended = flock(alive.get(), LOCK_SH) == 0;
  timer = {};
  setitimer(ITIMER_REAL, &timer, nullptr);
  return ended;
}

void stop(const char* folder) {
  const Owners owners = Owners::load();
  const State now = state();
  if ((now == State::kWaiting || now == State::kRunning) && owners.this_boot() && owners.supervisor.alive()) {
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
