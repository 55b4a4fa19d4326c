// An engine whose every inference is known beforehand: how the harness is itself measured.
//
// Its "model" is a JSON file that says what it does; docs/native-runners.md lists the keys. Each
// output is the input of the same name, as it was set for the last inference.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "base/clock.h"
#include "core/engine.h"
#include "core/value.h"

namespace edge {
namespace {

constexpr double kMaxSpin = 3.6e9;                                // microseconds
constexpr double kMaxWork = 1e13;                                 // steps
constexpr double kMaxMemory = static_cast<double>(SIZE_MAX / 4);  // bytes
constexpr double kMaxFactor = 1e6;

// What one inference takes: the clock's time, or work of a fixed number of steps.
struct Settings {
  std::vector<std::string> inputs = {"x"};
  double spin_us = 0.0;
  double work = 0.0;
  double memory_bytes = 0.0;
  double load_ms = 0.0;
  double first_ms = 0.0;
  double warmup_extra = 0.0;
  double warmup_decay = 1.0;
  double slow_from = std::numeric_limits<double>::infinity();
  double slow_factor = 1.0;
  double throttle_after_s = std::numeric_limits<double>::infinity();
  double throttle_for_s = std::numeric_limits<double>::infinity();
  double throttle_factor = 1.0;
  double fail_at = std::numeric_limits<double>::infinity();
  std::string fail_how;
  bool nan = false;
};

void set(double* value, const Value& object, const char* key, double low, double high) {
  if (const auto found = object.find(key)) *value = found->number(low, high);
}

Settings read_settings(const std::string& path) {
  const Document document(path, Fault::kEngineFailed);
  const auto root = document.root();
  root.allow_only({"inputs", "spin_us", "work", "memory_bytes", "load_ms", "first_ms", "warmup",
                   "slow", "throttle", "fail", "nan"});
  Settings read;
  if (const auto names = root.find("inputs")) {
    read.inputs.clear();
    for (const auto& name : names->items()) read.inputs.push_back(name.text());
  }
  set(&read.spin_us, root, "spin_us", 0, kMaxSpin);
  set(&read.work, root, "work", 0, kMaxWork);
  set(&read.memory_bytes, root, "memory_bytes", 0, kMaxMemory);
  set(&read.load_ms, root, "load_ms", 0, kMaxSpin / 1e3);
  set(&read.first_ms, root, "first_ms", 0, kMaxSpin / 1e3);
  if (const auto warmup = root.find("warmup")) {
    warmup->allow_only({"extra", "decay"});
    set(&read.warmup_extra, *warmup, "extra", 0, kMaxFactor);
    set(&read.warmup_decay, *warmup, "decay", 1e-3, kMaxFactor);
  }
  if (const auto slow = root.find("slow")) {
    slow->allow_only({"from", "factor"});
    set(&read.slow_from, *slow, "from", 0, kMaxWork);
    set(&read.slow_factor, *slow, "factor", 0, kMaxFactor);
  }
  if (const auto throttle = root.find("throttle")) {
    throttle->allow_only({"after_s", "for_s", "factor"});
    set(&read.throttle_after_s, *throttle, "after_s", 0, kMaxSpin);
    set(&read.throttle_for_s, *throttle, "for_s", 0, kMaxSpin);
    set(&read.throttle_factor, *throttle, "factor", 0, kMaxFactor);
  }
  if (const auto fault = root.find("fail")) {
    fault->allow_only({"at", "how"});
    read.fail_at = -1;  // without "at", while loading
    set(&read.fail_at, *fault, "at", 0, kMaxWork);
    const auto how = (*fault)["how"];
    read.fail_how = how.text();
    if (read.fail_how != "crash" && read.fail_how != "hang" && read.fail_how != "error" &&
        read.fail_how != "exit")
      how.refuse();
  }
  if (const auto nan = root.find("nan")) read.nan = nan->boolean();
  if ((read.spin_us > 0) == (read.work > 0))
    engine_failed(path + " must have either 'spin_us' or 'work'");
  return read;
}

void spin(std::int64_t begun, double ns) {
  while (static_cast<double>(monotonic_ns() - begun) < ns) {
  }
}

volatile std::uint64_t sink;

// Each step needs the one before (Marsaglia's xorshift64, 2003): no compiler shortens this.
void work(std::uint64_t steps) {
  std::uint64_t x = 88172645463325252ULL;
  for (std::uint64_t step = 0; step < steps; ++step) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  sink = x;
}

class Calibration : public Engine {
 public:
  explicit Calibration(std::string path) : path_(std::move(path)) {}

  std::vector<std::string> load() override {
    const auto begun = monotonic_ns();
    settings_ = read_settings(path_);
    memory_.assign(static_cast<std::size_t>(settings_.memory_bytes), 1);  // touched, all of it
    if (settings_.fail_at < 0) fail();
    spin(begun, settings_.load_ms * 1e6);
    return settings_.inputs;
  }

  void bind(const std::vector<Input>& inputs) override {
    inputs_ = &inputs;
    answered_ = nullptr;
  }

  void run() override {
    const auto begun = monotonic_ns();
    const auto number = static_cast<double>(inferences_++);
    if (number == 0) started_ = begun;
    if (number >= settings_.fail_at) fail();
    answered_ = inputs_;  // copied only when they are fetched: a copy would take its own time
    const double factor = slowness(number, static_cast<double>(begun - started_) / 1e9);
    if (settings_.work > 0) work(static_cast<std::uint64_t>(settings_.work * factor));
    const double least_us =
        settings_.spin_us * factor + (number == 0 ? settings_.first_ms * 1e3 : 0.0);
    spin(begun, least_us * 1e3);
  }

  std::vector<Output> fetch() override {
    if (answered_ == nullptr) engine_failed("no inference since the inputs were set");
    outputs_.clear();
    std::vector<Output> outputs;
    for (const auto& input : *answered_) {
      outputs_.push_back(input.storage);
      if (settings_.nan && input.spec.dtype == DType::kFloat32) {
        auto* values = reinterpret_cast<float*>(outputs_.back().data());
        std::fill_n(values, input.bytes / size_of(DType::kFloat32),
                    std::numeric_limits<float>::quiet_NaN());
      }
      outputs.push_back({input.spec.name, input.spec.dtype, input.spec.shape,
                         outputs_.back().data(), input.bytes});
    }
    return outputs;
  }

 private:
  double slowness(double number, double elapsed_s) const {
    double factor = 1.0 + settings_.warmup_extra * std::exp(-number / settings_.warmup_decay);
    if (number >= settings_.slow_from) factor *= settings_.slow_factor;
    const double throttled_s = elapsed_s - settings_.throttle_after_s;
    if (throttled_s >= 0 && throttled_s < settings_.throttle_for_s)
      factor *= settings_.throttle_factor;
    return factor;
  }

  void fail() const {
    if (settings_.fail_how == "crash") std::raise(SIGSEGV);
    if (settings_.fail_how == "exit") std::_Exit(0);
    if (settings_.fail_how == "error") engine_failed("told to fail");
    while (true) pause();
  }

  std::string path_;
  Settings settings_;
  std::vector<unsigned char> memory_;
  const std::vector<Input>* inputs_ = nullptr;
  const std::vector<Input>* answered_ = nullptr;
  std::vector<std::vector<std::uint64_t>> outputs_;
  std::uint64_t inferences_ = 0;
  std::int64_t started_ = 0;
};

}  // namespace

void import_engine(const Job& job) { refuse_accelerator(job); }

Configured configure_engine(const Job& job) {
  if (job.threads != 1) bad_job(std::to_string(job.threads) + " threads: calibration runs on 1");
  return {std::make_unique<Calibration>(job.file("model")), {"1", {{"threads", "1"}}}};
}

}  // namespace edge
