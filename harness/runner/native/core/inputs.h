// The inputs, seeded or from a file: see docs/runner-contract.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "core/engine.h"

namespace edge {

// SplitMix64's: of a stream's state it makes a number.
std::uint64_t finalizer(std::uint64_t z);

// The same ones on any platform.
std::vector<Input> make_inputs(const std::vector<InputSpec>& specs, std::uint64_t seed);

// The inputs whose outputs are returned, one check seed after another.
class CheckInputs {
 public:
  // `change`: which of the job's changes of shape they are of, if any.
  CheckInputs(const Job& job, std::optional<std::size_t> change);

  std::vector<Input> next(const std::vector<InputSpec>& specs, std::uint64_t seed);
  // BadJob where the file has more than was asked for.
  void end();

 private:
  std::string path_;  // empty where they are made of their seeds
  std::ifstream file_;
};

}  // namespace edge
