// job.json in, events.jsonl out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/engine.h"
#include "core/kernel.h"
#include "core/measure.h"

namespace edge {

// Read a job and refuse what no runner of this core can do. Throws BadJob, whatever the file is.
Job read_job(const std::string& path);

// events.jsonl: one JSON object a line, each written with one call as it happens.
class Events {
 public:
  explicit Events(const char* path);

  void hello(const Facts& facts, double process_ms, double import_ms) const;
  void environment(const char* phase, const Environment& seen) const;
  void loaded(double read_ms, std::uint64_t read_bytes, const char* page_cache,
              double init_ms, const Facts& facts) const;
  void first(double ms) const;
  void warmup(const std::vector<std::int64_t>& ns, const char* reason) const;
  void samples(const Sampled& sampled) const;
  void memory(std::uint64_t vmhwm_bytes, std::optional<std::uint64_t> runtime_bytes) const;
  void layers(const std::vector<Layer>& layers) const;
  void shape(const std::vector<InputSpec>& inputs, double set_ms, double first_ms,
             const std::vector<std::int64_t>& ns) const;
  void outputs(std::optional<std::size_t> change, std::uint64_t seed, std::size_t index,
               const Output& output, const std::string& sha256, const std::string& file) const;
  void done() const;
  void error(const std::string& kind, const std::string& message) const;

 private:
  void write(const std::string& line) const;
  int descriptor_;
};

}  // namespace edge
