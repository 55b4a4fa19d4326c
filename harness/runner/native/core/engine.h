// What the core and the engines share: the job, tensors, and what an engine has to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace edge {

// The launch cannot go on. `kind` is of the contract: BadJob, EngineMissing, EngineFailed.
class LaunchError : public std::runtime_error {
 public:
  LaunchError(const char* the_kind, const std::string& message)
      : std::runtime_error(message), kind(the_kind) {}
  const char* kind;
};

inline LaunchError bad_job(const std::string& message) { return {"BadJob", message}; }
inline LaunchError engine_failed(const std::string& message) { return {"EngineFailed", message}; }

enum class DType { float32, int64, int32 };

inline const char* name_of(DType dtype) {
  return dtype == DType::float32 ? "float32" : dtype == DType::int64 ? "int64" : "int32";
}
inline std::size_t size_of(DType dtype) { return dtype == DType::int64 ? 8 : 4; }

struct InputSpec {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  double low = 0.0;
  double high = 1.0;
};

// An input with its values, in C order.
struct Input {
  InputSpec spec;
  std::vector<std::uint64_t> storage;  // for its alignment
  std::size_t bytes = 0;

  const void* data() const { return storage.data(); }
  void* data() { return storage.data(); }
};

// An output of the last inference; `data` may be the engine's own memory.
struct Output {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
  const void* data;
  std::size_t bytes;
};

struct WarmupPolicy {
  std::size_t min_samples, max_samples, window;
  double min_seconds, max_seconds, tolerance;
};

struct Sampling {
  std::size_t min_samples, max_samples;
  double min_seconds, max_seconds;
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
  bool evict = true;
  std::optional<std::string> model_cache;
  std::map<std::string, std::string> options;

  // A file of the launch's folder; BadJob if the job has none for the role.
  const std::string& file(const std::string& role) const;
};

// What `hello` says of an engine, or `loaded` where only a predictor knows.
struct Facts {
  std::string version;  // empty where it is not known
  std::map<std::string, std::string> build;
};

// One layer of the model, as the engine ran it.
struct Layer {
  std::string name, op, target;
  double us;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Make the predictor from the artifact's files; return its inputs' names.
  virtual std::vector<std::string> load() = 0;
  // Set all inputs. They live, unchanged, until the next call.
  virtual void bind(const std::vector<Input>& inputs) = 0;
  // One inference; the only thing that is timed.
  virtual void run() = 0;
  // The outputs of the last inference.
  virtual std::vector<Output> fetch() = 0;

  // What only the predictor knows; asked once it is loaded.
  virtual Facts facts() { return {}; }
  // The bytes that the engine holds of the device's memory, by its own account.
  virtual std::optional<std::uint64_t> runtime_bytes() { return std::nullopt; }
  // Where the last inference's time went; nothing unless the job asks for it.
  virtual std::vector<Layer> layers() { return {}; }
};

// --- what the one engine of a runner defines ---

extern const char* const engine_name;

// Load the engine's library and take the settings from a job; refuse what it cannot do. Only the
// first part is timed as the import. `Configured::engine` has not loaded the artifact yet.
void import_engine(const Job& job);
struct Configured {
  std::unique_ptr<Engine> engine;
  Facts facts;
};
Configured configure_engine(const Job& job);

// For engines that only have the processor and nothing to set.
void refuse_accelerator(const Job& job);

}  // namespace edge
