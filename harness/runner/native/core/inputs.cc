#include "core/inputs.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

namespace edge {

std::uint64_t finalizer(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

namespace {

constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15;
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << (sizeof(std::size_t) > 4 ? 40 : 30);

struct Half {
  std::uint16_t bits;
};

double rounded(double value, double*) { return value; }
float rounded(double value, float*) { return static_cast<float>(value); }
// To the nearest, ties to even, as IEEE 754 has it; the value is within a half's range.
Half rounded(double value, Half*) {
  constexpr int kFraction = 10;
  constexpr int kLeastExponent = -14;  // of a normal number
  const double magnitude = std::fabs(value);
  const int exponent =
      magnitude < std::ldexp(1.0, kLeastExponent) ? kLeastExponent : std::ilogb(magnitude);
  // In units of the last place; 1024 of a normal number are the bit that is not stored, and one
  // that is rounded up to 2048 carries into the exponent.
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, kFraction - exponent)));
  const int stored = ((exponent - kLeastExponent) << kFraction) + units;
  return {static_cast<std::uint16_t>(stored | (std::signbit(value) ? 0x8000 : 0))};
}
template <typename Integer>
Integer rounded(double value, Integer*) {
  return static_cast<Integer>(std::floor(value));
}

template <typename T>
void fill(Input& input, std::uint64_t stream) {
  auto* const values = static_cast<T*>(input.data());
  const double low = input.spec.low;
  const double high = input.spec.high;
  for (std::size_t i = 0; i < input.bytes / sizeof(T); ++i) {
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
  const std::uint64_t stream = finalizer((seed << 32) + index);
  switch (spec.dtype) {
    case DType::kFloat32:
      fill<float>(input, stream);
      break;
    case DType::kFloat16:
      fill<Half>(input, stream);
      break;
    case DType::kFloat64:
      fill<double>(input, stream);
      break;
    case DType::kInt64:
      fill<std::int64_t>(input, stream);
      break;
    case DType::kInt32:
      fill<std::int32_t>(input, stream);
      break;
    case DType::kInt8:
      fill<std::int8_t>(input, stream);
      break;
    case DType::kUint8:
    case DType::kBool:  // a byte, 0 or 1
      fill<std::uint8_t>(input, stream);
      break;
  }
  return input;
}

double value_of(Half half) {
  const int exponent = half.bits >> 10 & 0x1F;
  const int fraction = half.bits & 0x3FF;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half.bits & 0x8000 ? -magnitude : magnitude;
}
template <typename T>
T value_of(T value) {
  return value;
}

template <typename T>
void convert(const Input& from, float* to) {
  const auto* const values = static_cast<const T*>(from.data());
  for (std::size_t i = 0; i < from.bytes / sizeof(T); ++i)
    to[i] = static_cast<float>(value_of(values[i]));
}

Input as_taken(Input input) {
  if (!input.spec.as_float32 || input.spec.dtype == DType::kFloat32) return input;
  auto spec = input.spec;
  spec.dtype = DType::kFloat32;
  Input taken = empty_input(spec);
  auto* const to = static_cast<float*>(taken.data());
  switch (input.spec.dtype) {
    case DType::kFloat32:
      break;
    case DType::kFloat16:
      convert<Half>(input, to);
      break;
    case DType::kFloat64:
      convert<double>(input, to);
      break;
    case DType::kInt64:
      convert<std::int64_t>(input, to);
      break;
    case DType::kInt32:
      convert<std::int32_t>(input, to);
      break;
    case DType::kInt8:
      convert<std::int8_t>(input, to);
      break;
    case DType::kUint8:
    case DType::kBool:
      convert<std::uint8_t>(input, to);
      break;
  }
  return taken;
}

}  // namespace

std::vector<Input> make_inputs(const std::vector<InputSpec>& specs, std::uint64_t seed) {
  std::vector<Input> inputs;
  inputs.reserve(specs.size());
  for (std::size_t index = 0; index < specs.size(); ++index)
    inputs.push_back(as_taken(make_input(specs[index], seed, index)));
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
    input = as_taken(std::move(input));
  }
  return inputs;
}

void CheckInputs::end() {
  if (!path_.empty() && file_.peek() != std::ifstream::traits_type::eof())
    bad_job(path_ + " has more than the inputs of the check seeds");
}

}  // namespace edge
