// What is timed: the engine's run alone, on a monotonic clock.
#pragma once

#include <ctime>

#include <cstdint>
#include <vector>

#include "core/engine.h"

namespace edge {

inline std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

inline double ms_since(std::int64_t begun) { return static_cast<double>(now_ns() - begun) / 1e6; }

struct Warmed {
  std::vector<std::int64_t> ns;
  const char* reason;
};

// Run until two moving averages agree, within the policy's bounds.
Warmed warm_up(Engine& engine, const WarmupPolicy& policy);

struct Sampled {
  std::vector<std::int64_t> ns;
  std::size_t inferences = 0;
  double cpu_ms = 0.0;  // of this process and all its threads
};

// Run until both minima are reached, within both maxima. A sustained launch does not end at the
// most samples: it drops every other one there, and then keeps every second, fourth, ...
Sampled sample(Engine& engine, const Sampling& limits, bool sustained);

}  // namespace edge
