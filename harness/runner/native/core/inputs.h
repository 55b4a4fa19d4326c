// The seeded inputs, the same ones on any platform: see docs/runner-contract.md.
#pragma once

#include <cstdint>
#include <vector>

#include "core/engine.h"

namespace edge {

std::vector<Input> make_inputs(const std::vector<InputSpec>& specs, std::uint64_t seed);

}  // namespace edge
