#include "supervisor/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/command.h"
#include "device/process.h"

namespace edge {
namespace {

// The process, before it becomes the runner.
[[noreturn]] void become_runner(const Options& options, const char* folder, int output, int gate) {
  setsid();
  char go = 0;
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

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

bool RunnerProcess::start(const Options& options, const char* folder, int lock) {
  int output[2];
  int gate[2];
  if (pipe2(output, O_CLOEXEC) != 0 || pipe2(gate, O_CLOEXEC) != 0) return false;
  output_ = Fd(output[0]);
  gate_ = Fd(gate[1]);
  fcntl(output_.get(), F_SETFL, O_NONBLOCK);
  begun_s_ = monotonic_s();
  pid_ = fork();
  if (pid_ == 0) {
    gate_.close();
    fcntl(lock, F_SETFD, 0);
    cgroup_.enter();
    become_runner(options, folder, output[1], gate[0]);
  }
  close(output[1]);
  close(gate[0]);
  return pid_ > 0;
}

void RunnerProcess::let_go() {
  write_all(gate_.get(), "g", 1);
  gate_.close();
}

void RunnerProcess::drain() {
  char chunk[kChunk];
  // Bounded, so that a runner that prints without end does not keep us from its time limit.
  for (int round = 0; round < 16; ++round) {
    const ssize_t got = read(output_.get(), chunk, sizeof chunk);
    if (got == 0) output_.close();  // nobody can print any more
    if (got <= 0) return;
    log_.append(chunk, static_cast<size_t>(got));
  }
}

bool RunnerProcess::reap(BusyLoad* load) {
  int status = 0;
  rusage usage;
  pid_t pid = 0;
  while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
    if (load->reaped(pid, usage)) continue;
    used_s_ += cpu_s(usage);
    if (pid != pid_) continue;
    wall_s_ = monotonic_s() - begun_s_;
    status_ = status;
    usage_ = usage;
    ended_ = reaped_ = true;
  }
  return pid == 0;
}

void RunnerProcess::end() {
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
  wall_s_ = monotonic_s() - begun_s_;
  ended_ = true;  // the kernel may take its time
}

void RunnerProcess::end_descendants(int signalled, BusyLoad* load) {
  const double deadline = monotonic_s() + kUnkillable_s;
  kill(-pid_, SIGKILL);
  cgroup_.kill();
  while (reap(load)) {
    const int children = signal_children(SIGKILL);
    if (reaped_ && children > left_behind_) left_behind_ = children;
    if (monotonic_s() >= deadline) {
      unkillable_ = true;
      break;
    }
    pollfd ready[] = {{signalled, POLLIN, 0}, {output_.get(), POLLIN, 0}};
    poll(ready, 2, 100);
    if (ready[1].revents != 0) drain();
    signalfd_siginfo information;
    while (read(signalled, &information, sizeof information) > 0) {
    }
  }
  drain();
}

void RunnerProcess::add_end(JsonWriter* event) const {
  event->number("wall_s", wall_s_);
  if (!reaped_) return;
  if (WIFSIGNALED(status_)) {
    event->integer("signal", WTERMSIG(status_));
  } else {
    event->integer("status", WEXITSTATUS(status_));
  }
  event->number("user_s", seconds(usage_.ru_utime));
  event->number("system_s", seconds(usage_.ru_stime));
  event->integer("minor_faults", usage_.ru_minflt);
  event->integer("major_faults", usage_.ru_majflt);
}

void RunnerProcess::add_traces(JsonWriter* event) const {
  event->integer("left_behind", left_behind_);
  event->integer("log_bytes", log_.total());
}

}  // namespace edge
