// What is timed: the engine's run alone, on a monotonic clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/engine.h"

namespace edge {

// Whether a sequence of times is steady: a fast and a slow moving average of them have agreed for
// long enough.
class Steadiness {
 public:
  explicit Steadiness(const WarmupPolicy& policy) : policy_(policy) {}
  void add(std::int64_t ns);
  bool reached() const { return streak_ >= policy_.window; }

 private:
  const WarmupPolicy& policy_;
  bool begun_ = false;
  double fast_ = 0.0;
  double slow_ = 0.0;
  std::size_t streak_ = 0;
};

// Every sample until there would be more than the most, then every second, fourth, ... of them.
class Thinned {
 public:
  explicit Thinned(std::size_t most);
  void add(std::int64_t ns);
  std::size_t seen() const { return seen_; }
  std::vector<std::int64_t> take() { return std::move(kept_); }

 private:
  std::size_t most_;
  std::size_t every_ = 1;
  std::size_t seen_ = 0;
  std::vector<std::int64_t> kept_;
};

struct Warmed {
  std::vector<std::int64_t> ns;
  const char* reason;
};

// Run until steady, within the policy's bounds.
Warmed warm_up(Engine& engine, const WarmupPolicy& policy);

struct Sampled {
  std::vector<std::int64_t> ns;
  std::size_t inferences = 0;
  double cpu_ms = 0.0;  // of this process and all its threads
};

// One of several callers' inferences.
struct CallerSamples {
  std::vector<std::int64_t> ns, starts_ns;
  std::vector<std::int64_t> scheduled_ns;  // of a server
};

// What a search for a rate tried and found.
struct Searched {
  struct Step {
    double rate;
    std::size_t requests;
    std::int64_t latency_ns;
    bool kept;
  };
  double capacity_per_s = 0.0;
  std::vector<Step> steps;
  double rate = 0.0;  // none
};

// Run until both minima are reached, within both maxima. A sustained launch does not end at the
// most samples: it thins them.
Sampled sample(Engine& engine, const Sampling& limits, bool sustained);

}  // namespace edge
