// An engine whose every inference is known beforehand: how the harness is itself measured.
//
// Its "model" is a JSON file that says what it does; docs/native-runners.md lists the keys. Each
// output is the input of the same name, as it was set for the last inference.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/engine.h"
#include "core/measure.h"

namespace edge {
namespace {

using nlohmann::json;

constexpr double kMaxSpin = 3.6e9;        // microseconds
constexpr double kMaxWork = 1e13;         // steps
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

// Takes keys out of an object; what is left at the end is unknown.
class Reader {
 public:
  Reader(json object, std::string name) : object_(std::move(object)), name_(std::move(name)) {
    if (!object_.is_object()) throw fault("", "is no object");
  }

  void number(const char* key, double& value, double low, double high) {
    const auto found = object_.find(key);
    if (found == object_.end()) return;
    if (!found->is_number()) throw fault(key, "is no number");
    value = found->get<double>();
    if (!(value >= low && value <= high)) throw fault(key, "is out of bounds");
    object_.erase(found);
  }

  json take(const char* key) {
    const auto found = object_.find(key);
    if (found == object_.end()) return nullptr;
    json value = *found;
    object_.erase(found);
    return value;
  }

  void end() const {
    if (!object_.empty()) throw fault(object_.begin().key(), "is unknown");
  }

  std::runtime_error fault(const std::string& key, const char* what) const {
    return std::runtime_error(name_ + (key.empty() ? "" : ": '" + key + "'") + " " + what);
  }

 private:
  json object_;
  std::string name_;
};

Settings settings(const std::string& path) {
  std::ifstream file(path);
  Reader reader(json::parse(file), path);
  Settings read;
  if (const auto names = reader.take("inputs"); !names.is_null())
    read.inputs = names.get<std::vector<std::string>>();
  reader.number("spin_us", read.spin_us, 0, kMaxSpin);
  reader.number("work", read.work, 0, kMaxWork);
  reader.number("memory_bytes", read.memory_bytes, 0, kMaxMemory);
  reader.number("load_ms", read.load_ms, 0, kMaxSpin / 1e3);
  reader.number("first_ms", read.first_ms, 0, kMaxSpin / 1e3);
  if (auto value = reader.take("warmup"); !value.is_null()) {
    Reader part(std::move(value), path + ": warmup");
    part.number("extra", read.warmup_extra, 0, kMaxFactor);
    part.number("decay", read.warmup_decay, 1e-3, kMaxFactor);
    part.end();
  }
  if (auto value = reader.take("slow"); !value.is_null()) {
    Reader part(std::move(value), path + ": slow");
    part.number("from", read.slow_from, 0, kMaxWork);
    part.number("factor", read.slow_factor, 0, kMaxFactor);
    part.end();
  }
  if (auto value = reader.take("throttle"); !value.is_null()) {
    Reader part(std::move(value), path + ": throttle");
    part.number("after_s", read.throttle_after_s, 0, kMaxSpin);
    part.number("for_s", read.throttle_for_s, 0, kMaxSpin);
    part.number("factor", read.throttle_factor, 0, kMaxFactor);
    part.end();
  }
  if (auto value = reader.take("fail"); !value.is_null()) {
    Reader part(std::move(value), path + ": fail");
    read.fail_at = -1;  // without "at", while loading
    part.number("at", read.fail_at, 0, kMaxWork);
    read.fail_how = part.take("how").get<std::string>();
    if (read.fail_how != "crash" && read.fail_how != "hang" && read.fail_how != "error" &&
        read.fail_how != "exit")
      throw part.fault("how", "is none of crash, hang, error, exit");
    part.end();
  }
  if (const auto value = reader.take("nan"); !value.is_null()) read.nan = value.get<bool>();
  reader.end();
  if ((read.spin_us > 0) == (read.work > 0))
    throw reader.fault("", "must have either 'spin_us' or 'work'");
  return read;
}

void spin(std::int64_t begun, double ns) {
  while (static_cast<double>(now_ns() - begun) < ns) {
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
    const auto begun = now_ns();
    settings_ = settings(path_);
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
    const auto begun = now_ns();
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
    if (answered_ == nullptr) throw std::logic_error("no inference since the inputs were set");
    outputs_.clear();
    std::vector<Output> outputs;
    for (const auto& input : *answered_) {
      outputs_.push_back(input.storage);
      if (settings_.nan && input.spec.dtype == DType::float32) {
        auto* values = reinterpret_cast<float*>(outputs_.back().data());
        std::fill(values, values + input.bytes / sizeof(float),
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
    if (settings_.fail_how == "error") throw std::runtime_error("told to fail");
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

const char* const engine_name = "calibration";

void import_engine(const Job& job) { refuse_accelerator(job); }

Configured configure_engine(const Job& job) {
  if (job.threads != 1)
    throw bad_job(std::to_string(job.threads) + " threads: calibration runs on 1");
  return {std::make_unique<Calibration>(job.file("model")), {"1", {{"threads", "1"}}}};
}

}  // namespace edge
