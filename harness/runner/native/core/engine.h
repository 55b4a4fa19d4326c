// What an engine has to do, and the tensors that it shares with the core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/fail.h"
#include "core/job.h"

namespace edge {

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

// What `hello` says of an engine, or `loaded` where only a predictor knows.
struct Facts {
  std::string version;  // empty where it is not known
  std::map<std::string, std::string> build;
};

// One layer of the model, as the engine ran it.
struct Layer {
  std::string name, op, unit;
  double us;
};

// What fails ends the launch: fail.h.
class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
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
  // Where the last inference's time went; asked only where the job asks for a profile.
  virtual std::vector<Layer> layers() { return {}; }
};

// --- what an engine's runner.cc defines ---

// Load the engine's library and take the settings from a job; refuse what it cannot do. Only the
// first part is timed as the import. `Configured::engine` has not loaded the artifact yet.
void import_engine(const Job& job);
struct Configured {
  std::unique_ptr<Engine> engine;
  Facts facts;
};
Configured configure_engine(const Job& job);

}  // namespace edge
