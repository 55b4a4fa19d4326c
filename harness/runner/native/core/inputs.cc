#include "core/inputs.h"

#include <cerrno>
#include <cmath>
#include <cstring>

namespace edge {
namespace {

constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15;
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << (sizeof(std::size_t) > 4 ? 40 : 30);

std::uint64_t finalizer(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

float rounded(double value, float*) { return static_cast<float>(value); }
template <typename Integer>
Integer rounded(double value, Integer*) {
  return static_cast<Integer>(std::floor(value));
}

template <typename T>
void fill(T* values, std::size_t count, std::uint64_t stream, double low, double high) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t bits = finalizer(stream + (i + 1) * kGamma);
    // No multiply-add may be made of this (-ffp-contract=off): it would round once only.
    const double value = low + static_cast<double>(bits >> 40) / 16777216.0 * (high - low);
    values[i] = rounded(value, values);
  }
}

Input empty_input(const InputSpec& spec) {
  std::uint64_t elements = 1;
  for (const auto side : spec.shape) {
    elements *= static_cast<std::uint64_t>(side);  // each side is at most 2**24
    if (elements > kMaxBytes / size_of(spec.dtype))
      bad_job("the input '" + spec.name + "' does not fit in memory");
  }
  const auto count = static_cast<std::size_t>(elements);
  return {spec, std::vector<std::uint64_t>((count * size_of(spec.dtype) + 7) / 8),
          count * size_of(spec.dtype)};
}

Input make_input(const InputSpec& spec, std::uint64_t seed, std::uint64_t index) {
  Input input = empty_input(spec);
  const std::size_t count = input.bytes / size_of(spec.dtype);
  const std::uint64_t stream = finalizer((seed << 32) + index);
  switch (spec.dtype) {
    case DType::kFloat32:
      fill(static_cast<float*>(input.data()), count, stream, spec.low, spec.high);
      break;
    case DType::kInt64:
      fill(static_cast<std::int64_t*>(input.data()), count, stream, spec.low, spec.high);
      break;
    case DType::kInt32:
      fill(static_cast<std::int32_t*>(input.data()), count, stream, spec.low, spec.high);
      break;
  }
  return input;
}

}  // namespace

std::vector<Input> make_inputs(const std::vector<InputSpec>& specs, std::uint64_t seed) {
  std::vector<Input> inputs;
  inputs.reserve(specs.size());
  for (std::size_t index = 0; index < specs.size(); ++index)
    inputs.push_back(make_input(specs[index], seed, index));
  return inputs;
}

CheckInputs::CheckInputs(const Job& job, std::optional<std::size_t> change) {
  if (job.check_files.empty()) return;
  path_ = job.check_files.at(change ? 1 + *change : 0);
  file_.open(path_, std::ios::binary);
  if (!file_) bad_job(path_ + ": " + std::strerror(errno));
}

std::vector<Input> CheckInputs::next(const std::vector<InputSpec>& specs, std::uint64_t seed) {
  if (path_.empty()) return make_inputs(specs, seed);
  std::vector<Input> inputs;
  inputs.reserve(specs.size());
  for (const auto& spec : specs) {
    inputs.push_back(empty_input(spec));
    auto& input = inputs.back();
    const auto size = static_cast<std::streamsize>(input.bytes);
    file_.read(static_cast<char*>(input.data()), size);
    if (file_.gcount() != size) bad_job(path_ + " ends within input '" + spec.name + "'");
  }
  return inputs;
}

void CheckInputs::end() {
  if (!path_.empty() && file_.peek() != std::ifstream::traits_type::eof())
    bad_job(path_ + " has more than the inputs of the check seeds");
}

}  // namespace edge
