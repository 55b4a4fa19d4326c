// Clocks that a launch holds: the processors' by their governor, those of NPUs, GPUs and memory by
// the limits of devfreq.
#pragma once

#include "base/json.h"
#include "supervisor/conditions.h"

namespace edge {

// Sets what is asked for and reads it back; how it was is saved first, on the tmpfs of the device's
// lock, so that whoever comes after a supervisor that was killed can restore it. Adds to the entry
// what every processor and each clock then has.
void hold_clocks(const Conditions& asked, JsonWriter* entry, Notes* unmet);
// Restores what this supervisor has changed, or one that is gone.
void restore_clocks();

}  // namespace edge
