// A launch as its folder, the current one, shows it to who does not supervise it.
#pragma once

#include "base/files.h"

namespace edge {

// What stands of a launch, in the words of the answer.
enum class State {
  kAbsent,    // never begun here
  kWaiting,   // supervised, and not begun: the device is not as it has to be
  kRunning,   // supervised
  kEnded,     // with its last record
  kOrphaned,  // the supervisor is gone without one, the runner lives
  kLost,      // both are gone: killed, or the device restarted
};

const char* name_of(State state);
State state();
// The same, for who holds "alive": never waiting or running.
State state_unsupervised();
// Whether it ended because a controller said so: then it may be begun anew.
bool was_stopped();

// Holds the file "alive"; not open where a supervisor does.
Fd claim();
// Waits until no supervisor holds it; false where that was not within so many seconds.
bool await_end(double seconds);

}  // namespace edge
