#include "core/events.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"

namespace edge {
namespace {

constexpr const char* kRunnerVersion = "4";

int descriptor = -1;
std::string doing;

const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::kBadJob:
      return "BadJob";
    case Fault::kEngineMissing:
      return "EngineMissing";
    case Fault::kEngineFailed:
      return "EngineFailed";
    case Fault::kRunnerFailed:
      break;
  }
  return "RunnerFailed";
}

// An event; it is written where it ends.
class Event {
 public:
  explicit Event(const char* name) { json.text("event", name); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() {
    json.integer("t_ns", monotonic_ns());
    const char* line = json.line();
    errno = ENOMEM;
    if (json.whole() && write_all(descriptor, line, json.size())) return;
    std::fprintf(stderr, "events.jsonl: %s\n", std::strerror(errno));
    std::_Exit(1);
  }

  void add(const Facts& facts) {
    if (!facts.version.empty()) json.text("engine_version", facts.version.c_str());
    if (facts.build.empty()) return;
    json.object("build");
    for (const auto& [key, value] : facts.build) json.text(key.c_str(), value.c_str());
    json.end();
  }

  template <typename Integers>
  void add(const char* key, const Integers& values) {
    json.list(key);
    for (const auto value : values) json.integer(nullptr, value);
    json.end();
  }

  JsonWriter json;
};

}  // namespace

void fail(Fault fault, const std::string& message) {
  static std::atomic_flag failing = ATOMIC_FLAG_INIT;
  while (failing.test_and_set()) pause();  // another caller's thread ends the process
  const bool engines = fault == Fault::kEngineFailed && !doing.empty();
  const auto whole = engines ? doing + ": " + message : message;
  std::fprintf(stderr, "%s: %s\n", name_of(fault), whole.c_str());
  {
    Event event("error");
    event.json.text("kind", name_of(fault));
    event.json.text("message", whole.c_str(), kLongText);
  }
  // Not exit(): what an engine's library does at the end could crash, and hide this.
  std::fflush(nullptr);
  std::_Exit(1);
}

Doing::Doing(const std::string& what) { doing = what; }

Doing::~Doing() { doing.clear(); }

void open_events(const char* path) {
  descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor >= 0) return;
  std::fprintf(stderr, "%s: %s\n", path, std::strerror(errno));
  std::_Exit(1);
}

void tell_hello(const Facts& facts, double process_ms, double import_ms) {
  Event event("hello");
  event.json.integer("protocol", kProtocol);
  event.json.object("clock");
  event.json.integer("monotonic_ns", monotonic_ns());
  event.json.integer("boottime_ns", boottime_ns());
  event.json.integer("wall_ns", clock_ns(CLOCK_REALTIME));
  event.json.end();
  event.json.text("runner", "native");
  event.json.text("runner_version", kRunnerVersion);
  event.json.text("engine", EDGE_ENGINE);
  event.json.integer("pid", getpid());
  event.json.number("process_ms", process_ms);
  event.json.number("import_ms", import_ms);
  event.add(facts);
}

void tell_loaded(double read_ms, std::uint64_t read_bytes, const char* page_cache, double init_ms,
                 const Facts& facts) {
  Event event("loaded");
  event.json.number("read_ms", read_ms);
  event.json.integer("read_bytes", static_cast<long long>(read_bytes));
  event.json.text("page_cache", page_cache);
  event.json.number("init_ms", init_ms);
  event.add(facts);
}

void tell_first(double ms) { Event("first").json.number("ms", ms); }

void tell_warmup(const Warmed& warmed) {
  Event event("warmup");
  event.add("ns", warmed.ns);
  event.json.text("reason", warmed.reason);
}

void tell_samples(const Sampled& sampled) {
  Event event("samples");
  event.add("ns", sampled.ns);
  event.json.integer("inferences", static_cast<long long>(sampled.inferences));
  event.json.number("cpu_ms", sampled.cpu_ms);
}

void tell_search(const Searched& searched) {
  Event event("search");
  event.json.number("capacity_per_s", searched.capacity_per_s);
  event.json.list("steps");
  for (const auto& step : searched.steps) {
    event.json.object(nullptr);
    event.json.number("rate", step.rate);
    event.json.integer("requests", static_cast<long long>(step.requests));
    if (step.requests > 0) event.json.integer("latency_ns", step.latency_ns);
    event.json.boolean("kept", step.kept);
    event.json.end();
  }
  event.json.end();
  if (searched.rate > 0) event.json.number("rate", searched.rate);
}

void tell_caller(std::size_t caller, const CallerSamples& samples, std::optional<double> cpu_ms) {
  Event event("samples");
  event.json.integer("caller", static_cast<long long>(caller));
  event.add("ns", samples.ns);
  event.add("starts_ns", samples.starts_ns);
  if (!samples.scheduled_ns.empty()) event.add("scheduled_ns", samples.scheduled_ns);
  event.json.integer("inferences", static_cast<long long>(samples.ns.size()));
  if (cpu_ms) event.json.number("cpu_ms", *cpu_ms);
}

void tell_memory(std::uint64_t vmhwm_bytes, std::optional<std::uint64_t> runtime_bytes) {
  Event event("memory");
  event.json.integer("vmhwm_bytes", static_cast<long long>(vmhwm_bytes));
  if (runtime_bytes) event.json.integer("runtime_bytes", static_cast<long long>(*runtime_bytes));
}

void tell_layers(const std::vector<Layer>& layers) {
  Event event("layers");
  event.json.list("layers");
  for (const auto& layer : layers) {
    event.json.object(nullptr);
    event.json.text("name", layer.name.c_str());
    event.json.text("op", layer.op.c_str());
    event.json.text("unit", layer.unit.c_str());
    event.json.number("us", layer.us);
    event.json.end();
  }
  event.json.end();
  event.json.integer("inferences", 1);
}

void tell_shape(const std::vector<InputSpec>& inputs, double set_ms, double first_ms,
                const std::vector<std::int64_t>& ns) {
  Event event("shape");
  event.json.object("shapes");
  for (const auto& spec : inputs) event.add(spec.name.c_str(), spec.shape);
  event.json.end();
  event.json.number("set_ms", set_ms);
  event.json.number("first_ms", first_ms);
  event.add("ns", ns);
}

void tell_outputs(std::optional<std::size_t> change, std::optional<std::size_t> caller,
                  std::uint64_t seed, std::size_t index, const Output& output, const char* sha256,
                  const std::string& file) {
  Event event("outputs");
  if (change) event.json.integer("change", static_cast<long long>(*change));
  if (caller) event.json.integer("caller", static_cast<long long>(*caller));
  event.json.integer("seed", static_cast<long long>(seed));
  event.json.integer("index", static_cast<long long>(index));
  event.json.text("name", output.name.c_str());
  event.json.text("dtype", name_of(output.dtype));
  event.add("shape", output.shape);
  event.json.text("sha256", sha256);
  event.json.text("file", file.c_str());
}

void tell_done() { const Event event("done"); }

}  // namespace edge
