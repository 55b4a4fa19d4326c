// A launch: its start, and its supervision to the end.
//
// All names are relative to the launch's folder, the current folder.
#pragma once

#include "base/files.h"
#include "supervisor/options.h"

namespace edge {

// Starts the launch, supervised by a process of its own that outlives this one. `alive` is held
// by the supervisor alone, `lock` by the runner too.
void begin(const Options& options, const char* folder, Fd alive, Fd lock);
// Ends the launch: through its supervisor, or else as end_orphans.
void stop(const char* folder);
// Kills what a supervisor that is gone has left, by the mark in its environment.
void end_orphans(const char* folder);

}  // namespace edge
