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

namespace {

double cpu_ms() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

}  // namespace

Sampled sample(Engine& engine, const Sampling& limits, bool sustained) {
  Sampled sampled;
  auto& [samples, inferences, used_ms] = sampled;
  std::size_t every = 1;
  samples.reserve(limits.max_samples + 1);
  const auto least_ns = static_cast<std::int64_t>(limits.min_seconds * 1e9);
  const auto most_ns = static_cast<std::int64_t>(limits.max_seconds * 1e9);
  used_ms = -cpu_ms();
  const auto begun = now_ns();
  auto after = begun;
  while ((sustained || inferences < limits.max_samples) && after - begun < most_ns) {
    if (inferences >= limits.min_samples && after - begun >= least_ns) break;
    const auto before = now_ns();
    engine.run();
    after = now_ns();
    if (inferences++ % every != 0) continue;
    samples.push_back(after - before);
    if (!sustained || samples.size() <= limits.max_samples) continue;
    for (std::size_t kept = 0; 2 * kept < samples.size(); ++kept) samples[kept] = samples[2 * kept];
    samples.resize((samples.size() + 1) / 2);
    every *= 2;
  }
  used_ms += cpu_ms();
  return sampled;
}

}  // namespace edge
