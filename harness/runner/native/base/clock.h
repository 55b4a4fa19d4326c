// The kernel's clocks.
#pragma once

#include <stdint.h>
#include <time.h>

namespace edge {

inline int64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// No setting of the time changes it; it rests while the device sleeps.
inline int64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }
inline double monotonic_s() { return static_cast<double>(monotonic_ns()) / 1e9; }
inline double ms_since(int64_t begun) { return static_cast<double>(monotonic_ns() - begun) / 1e6; }
// The same, and it goes on while the device sleeps.
inline int64_t boottime_ns() { return clock_ns(CLOCK_BOOTTIME); }

}  // namespace edge
