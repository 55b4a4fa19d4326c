#include "core/measure.h"

#include <cmath>

namespace edge {

Warmed warm_up(Engine& engine, const WarmupPolicy& policy) {
  std::vector<std::int64_t> samples;
  samples.reserve(policy.max_samples);  // nothing is allocated between two inferences
  double fast = 0.0;
  double slow = 0.0;
  std::size_t streak = 0;
  const auto begun = now_ns();
  while (true) {
    const double elapsed = static_cast<double>(now_ns() - begun) / 1e9;
    if (streak >= policy.window && samples.size() >= policy.min_samples &&
        elapsed >= policy.min_seconds)
      return {std::move(samples), "steady"};
    if (samples.size() >= policy.max_samples) return {std::move(samples), "max_samples"};
    if (elapsed >= policy.max_seconds) return {std::move(samples), "max_seconds"};
    const auto before = now_ns();
    engine.run();
    const auto ns = now_ns() - before;
    const auto taken = static_cast<double>(ns);
    if (samples.empty()) fast = slow = taken;
    fast += 0.1 * (taken - fast);
    slow += 0.005 * (taken - slow);
    streak = std::fabs(fast - slow) <= policy.tolerance * slow ? streak + 1 : 0;
    samples.push_back(ns);
  }
}

std::vector<std::int64_t> sample(Engine& engine, const Sampling& limits) {
  std::vector<std::int64_t> samples;
  samples.reserve(limits.max_samples);
  const auto least_ns = static_cast<std::int64_t>(limits.min_seconds * 1e9);
  const auto most_ns = static_cast<std::int64_t>(limits.max_seconds * 1e9);
  const auto begun = now_ns();
  auto after = begun;
  while (samples.size() < limits.max_samples && after - begun < most_ns) {
    if (samples.size() >= limits.min_samples && after - begun >= least_ns) break;
    const auto before = now_ns();
    engine.run();
    after = now_ns();
    samples.push_back(after - before);
  }
  return samples;
}

}  // namespace edge
