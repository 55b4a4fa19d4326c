// How the runner fails: nothing is thrown, and no function returns an error that all pass on.
#pragma once

#include <string>

namespace edge {

enum class Fault { kBadJob, kEngineMissing, kEngineFailed, kRunnerFailed };  // the contract's

// Writes the `error` event and ends the process. A message of kEngineFailed begins with what was
// being done with the engine.
[[noreturn]] void fail(Fault fault, const std::string& message);

[[noreturn]] inline void bad_job(const std::string& message) { fail(Fault::kBadJob, message); }
[[noreturn]] inline void engine_failed(const std::string& message) {
  fail(Fault::kEngineFailed, message);
}

// Says what is being done with the engine, as long as it lives; they do not nest.
class Doing {
 public:
  explicit Doing(const std::string& what);
  Doing(const Doing&) = delete;
  Doing& operator=(const Doing&) = delete;
  ~Doing();
};

}  // namespace edge
