#include "device/launches.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>
#include <unistd.h>

#include "device/command.h"
#include "device/process.h"

namespace edge {
namespace {

// Whether the last line of the record begins so.
bool ends_with(const char* beginning) {
  const Fd file(open("supervisor.jsonl", O_RDONLY | O_CLOEXEC));
  char end[4096];
  const off_t size = file.open() ? lseek(file.get(), 0, SEEK_END) : 0;
  const off_t from =
      size > static_cast<off_t>(sizeof end) ? size - static_cast<off_t>(sizeof end) : 0;
  const ssize_t got = pread(file.get(), end, sizeof end, from);
  if (got <= 1 || end[got - 1] != '\n') return false;
  end[got - 1] = 0;
  const char* line = strrchr(end, '\n');
  return strncmp(line != nullptr ? line + 1 : end, beginning, strlen(beginning)) == 0;
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

}  // namespace edge
