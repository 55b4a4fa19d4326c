#include "core/measure.h"

#include <cmath>

#include "base/clock.h"

namespace edge {

void Steadiness::add(std::int64_t ns) {
  const auto taken = static_cast<double>(ns);
  if (!begun_) fast_ = slow_ = taken;
  begun_ = true;
  fast_ += 0.1 * (taken - fast_);
  slow_ += 0.005 * (taken - slow_);
  streak_ = std::fabs(fast_ - slow_) <= policy_.tolerance * slow_ ? streak_ + 1 : 0;
}

Thinned::Thinned(std::size_t most) : most_(most) {
  kept_.reserve(most + 1);  // nothing is allocated between two inferences
}

void Thinned::add(std::int64_t ns) {
  if (seen_++ % every_ != 0) return;
  kept_.push_back(ns);
  if (kept_.size() <= most_) return;
  for (std::size_t at = 0; 2 * at < kept_.size(); ++at) kept_[at] = kept_[2 * at];
  kept_.resize((kept_.size() + 1) / 2);
  every_ *= 2;
}

Warmed warm_up(Engine& engine, const WarmupPolicy& policy) {
  std::vector<std::int64_t> samples;
  samples.reserve(policy.max_samples);  // nothing is allocated between two inferences
  Steadiness steadiness(policy);
  const auto begun = monotonic_ns();
  while (true) {
    const double elapsed = static_cast<double>(monotonic_ns() - begun) / 1e9;
    if (steadiness.reached() && samples.size() >= policy.min_samples &&
        elapsed >= policy.min_seconds)
      return {std::move(samples), "steady"};
    if (samples.size() >= policy.max_samples) return {std::move(samples), "max_samples"};
    if (elapsed >= policy.max_seconds) return {std::move(samples), "max_seconds"};
    const auto before = monotonic_ns();
    engine.run();
    const auto ns = monotonic_ns() - before;
    steadiness.add(ns);
    samples.push_back(ns);
  }
}

Sampled sample(Engine& engine, const Sampling& limits, bool sustained) {
  Thinned samples(limits.max_samples);
  const auto least_ns = static_cast<std::int64_t>(limits.min_seconds * 1e9);
  const auto most_ns = static_cast<std::int64_t>(limits.max_seconds * 1e9);
  const auto used_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  const auto begun = monotonic_ns();
  auto after = begun;
  while ((sustained || samples.seen() < limits.max_samples) && after - begun < most_ns) {
    if (samples.seen() >= limits.min_samples && after - begun >= least_ns) break;
    const auto before = monotonic_ns();
    engine.run();
    after = monotonic_ns();
    samples.add(after - before);
  }
  const auto cpu_ms = static_cast<double>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - used_ns) / 1e6;
  const auto inferences = samples.seen();
  return {samples.take(), inferences, cpu_ms};
}

}  // namespace edge
