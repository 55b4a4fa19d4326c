// Several callers at once, everything at once, or requests by a schedule: the job's `traffic`, as
// docs/runner-contract.md describes it. Each caller is a thread with a predictor of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/engine.h"

namespace edge {

// When requests of a Poisson process arrive, in nanoseconds, the first one at 0.
std::vector<std::int64_t> arrivals(double rate, std::size_t requests, std::uint64_t seed);

// Which processors an instance and its caller have; all of them where there is but one.
std::vector<int> share_of(const std::vector<int>& processors, std::size_t instances,
                          std::size_t instance);

// One caller's outputs for a check seed.
using Answer =
    std::function<void(std::size_t caller, std::uint64_t seed, const std::vector<Output>& outputs)>;

// Warm up, take the samples and return outputs, all with the job's traffic. `first` is loaded, and
// has made the first inference; `traffic` is the job's. Events are written by the thread that calls
// this.
void measure_traffic(Engine& first, const Job& job, const Traffic& traffic, const Answer& answer);

}  // namespace edge
