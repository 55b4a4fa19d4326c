// What the launch is to do: the content of job.json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/fail.h"

namespace edge {

constexpr std::int64_t kProtocol = 2;

enum class DType { kFloat32, kFloat16, kFloat64, kInt64, kInt32, kInt8, kUint8, kBool };

// What the contract knows of a dtype: its name, its bytes, and what an input's range is within.
struct DTypeInfo {
  DType dtype;
  const char* name;
  std::size_t size;
  double low, high;
};

constexpr DTypeInfo kDTypes[] = {
    {DType::kFloat32, "float32", 4, -1e300, 1e300},
    {DType::kFloat16, "float16", 2, -65504, 65504},
    {DType::kFloat64, "float64", 8, -1e300, 1e300},
    // Less than the dtype's own, so that no integer of it overflows.
    {DType::kInt64, "int64", 8, -9.2e18, 9.2e18},
    {DType::kInt32, "int32", 4, -2147483647.0, 2147483647.0},
    {DType::kInt8, "int8", 1, -128, 128},
    {DType::kUint8, "uint8", 1, 0, 256},
    {DType::kBool, "bool", 1, 0, 2},
};

inline const DTypeInfo& info_of(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }
inline const char* name_of(DType dtype) { return info_of(dtype).name; }
inline std::size_t size_of(DType dtype) { return info_of(dtype).size; }

struct InputSpec {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
  double low = 0.0;
  double high = 1.0;
  bool as_float32 = false;  // the artifact takes it so: its values are converted
};

struct WarmupPolicy {
  std::size_t min_samples, max_samples, window;
  double min_seconds, max_seconds, tolerance;
};

struct Sampling {
  std::size_t min_samples, max_samples;
  double min_seconds, max_seconds;
};

enum class Scenario { kMulti, kOffline, kServer };

struct Traffic {
  Scenario scenario = Scenario::kMulti;
  std::size_t callers = 1;
  std::size_t instances = 1;
  double rate = 0.0;  // of a server, per second; 0 where it is searched for
  std::size_t requests = 0;
  std::uint64_t seed = 0;
  std::size_t queue = 0;
  double bound_ms = 0.0;
  std::size_t percentile = 0;
  bool search = false;
};

struct Job {
  std::string backend;
  std::map<std::string, std::string> files;
  std::vector<InputSpec> inputs;
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> check_seeds;
  std::vector<std::string> check_files;  // with their inputs: for `inputs`, then each change
  int threads = 1;
  std::optional<std::vector<int>> affinity;
  WarmupPolicy warmup{};
  Sampling sampling{};
  bool sustained = false;
  std::vector<std::vector<InputSpec>> shape_changes;  // the inputs with other shapes
  std::size_t shape_samples = 5;
  bool profile = false;            // the engine measures its operators
  std::optional<Traffic> traffic;  // where it is not called by one caller
  double time_limit = 0.0;         // s
  bool evict = true;
  std::optional<std::string> model_cache;
  std::map<std::string, std::string> options;

  // A file of the launch's folder; BadJob if the job has none for the role.
  const std::string& file(const std::string& role) const;
  std::string option(const std::string& name, const std::string& otherwise) const;
};

// Reads a job, and refuses what no runner of this core can do.
Job read_job(const std::string& path);

// For engines that only have the processor and nothing to set.
void refuse_accelerator(const Job& job);
// BadJob if the job sets an option that is none of these.
void allow_options(const Job& job, const std::vector<std::string>& names);

}  // namespace edge
