// The launch: do the job in job.json, from the engine's library to the last output.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/sha256.h"
#include "core/engine.h"
#include "core/events.h"
#include "core/inputs.h"
#include "core/measure.h"
#include "core/process.h"
#include "core/traffic.h"

namespace edge {
namespace {

#ifdef __clang__
constexpr const char* kCompiler = __VERSION__;  // with its name
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

constexpr double kHour = 3600.0;

constexpr const char* kHelp =
    "edge-runner-" EDGE_ENGINE ": measure one launch with " EDGE_ENGINE
    "\n\n"
    "usage: edge-runner-" EDGE_ENGINE
    " JOB   do the job of a file such as job.json\n"
    "       edge-runner-" EDGE_ENGINE
    " --help\n\n"
    "It appends to events.jsonl and writes output-*.bin, all in the current folder.\n"
    "Exit status: 0 after `done`, 1 after `error`, 2 for wrong arguments.\n";

void set_processors(const Job& job) {
  const auto threads = std::to_string(job.threads);
  for (const char* variable : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"})
    setenv(variable, threads.c_str(), 1);
  if (job.affinity) bind_to_processors(*job.affinity);
}

void load(Engine& engine, const Job& job) {
  const auto& model = job.file("model");
  if (job.evict) {
    evict(model);
  } else {
    read_through(model);
  }
  const char* cache = page_cache(model);
  auto before = monotonic_ns();
  const auto read_bytes = read_through(model);
  const double read_ms = ms_since(before);
  const Doing doing("loading the model");
  before = monotonic_ns();
  const auto names = engine.load();
  const double init_ms = ms_since(before);
  std::vector<std::string> given;
  for (const auto& spec : job.inputs) given.push_back(spec.name);
  const auto list = [](const std::vector<std::string>& all) {
    std::string text;
    for (const auto& name : all) text += (text.empty() ? "'" : ", '") + name + "'";
    return "[" + text + "]";
  };
  if (!std::is_permutation(given.begin(), given.end(), names.begin(), names.end()))
    bad_job("the job's inputs are " + list(given) + ", the model's " + list(names));
  tell_loaded(read_ms, read_bytes, cache, init_ms, engine.facts());
}

void run_first(Engine& engine, const std::vector<Input>& inputs) {
  {
    const Doing doing("setting the inputs");
    engine.bind(inputs);
  }
  const Doing doing("running the first time");
  const auto before = monotonic_ns();
  engine.run();
  tell_first(ms_since(before));
}

// First inference, warm-up and samples; while one of them runs, nothing is written.
void measure(Engine& engine, const Job& job) {
  const auto inputs = make_inputs(job.inputs, job.seed);
  run_first(engine, inputs);
  {
    const Doing doing("warming up");
    tell_warmup(warm_up(engine, job.warmup));
  }
  const Doing doing("sampling");
  tell_samples(sample(engine, job.sampling, job.sustained));
}

void write_file(const std::string& path, const void* data, std::size_t size) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  const bool written = file != nullptr && (size == 0 || std::fwrite(data, size, 1, file) == 1);
  if ((file != nullptr && std::fclose(file) != 0) || !written)
    fail(Fault::kRunnerFailed, path + " cannot be written: " + std::strerror(errno));
}

// Write a check seed's outputs to files, and say what they are.
void return_output(const std::vector<Output>& outputs, const std::string& prefix,
                   std::optional<std::size_t> change, std::optional<std::size_t> caller,
                   std::uint64_t seed) {
  for (std::size_t index = 0; index < outputs.size(); ++index) {
    const auto& output = outputs[index];
    const auto path = prefix + "-" + std::to_string(seed) + "-" + std::to_string(index) + ".bin";
    write_file(path, output.data, output.bytes);
    Sha256 digest;
    digest.add(output.data, output.bytes);
    tell_outputs(change, caller, seed, index, output, digest.text(), path);
  }
}

// `change`: which of the job's changes of shape the inputs are of, if any.
void return_outputs(Engine& engine, const std::vector<InputSpec>& specs, const Job& job,
                    std::optional<std::size_t> change = std::nullopt) {
  const auto prefix = change ? "output-change-" + std::to_string(*change) : "output";
  CheckInputs checks(job, change);
  for (const auto seed : job.check_seeds) {
    const auto inputs = checks.next(specs, seed);
    const Doing doing("running check seed " + std::to_string(seed));
    engine.bind(inputs);
    engine.run();
    return_output(engine.fetch(), prefix, change, std::nullopt, seed);
  }
  checks.end();
}

// Switch to the job's other shapes in turn, time what that costs, and return outputs of each.
void change_shapes(Engine& engine, const Job& job) {
  for (std::size_t change = 0; change < job.shape_changes.size(); ++change) {
    const auto& specs = job.shape_changes[change];
    const auto inputs = make_inputs(specs, job.seed);
    {
      const Doing doing("change of shape " + std::to_string(change));
      const auto before = monotonic_ns();
      engine.bind(inputs);
      const auto bound = monotonic_ns();
      engine.run();
      const double first_ms = ms_since(bound);
      const double set_ms = static_cast<double>(bound - before) / 1e6;
      const auto sampled =
          sample(engine, {job.shape_samples, job.shape_samples, 0.0, kHour}, false);
      tell_shape(specs, set_ms, first_ms, sampled.ns);
    }
    return_outputs(engine, specs, job, change);
  }
}

// All that follows the artifact's loading, of a job with traffic.
void call_together(Engine& engine, const Job& job, const Traffic& traffic) {
  const auto inputs = make_inputs(job.inputs, job.seed);
  run_first(engine, inputs);
  measure_traffic(engine, job, traffic,
                  [](std::size_t caller, std::uint64_t seed, const std::vector<Output>& outputs) {
                    const auto prefix = "output-caller-" + std::to_string(caller);
                    return_output(outputs, prefix, std::nullopt, caller, seed);
                  });
  tell_done();
}

void launch(const char* path, std::int64_t first_line_ns) {
  const double started_ms = process_ms(first_line_ns);
  const Job job = read_job(path);
  set_processors(job);
  const auto before = monotonic_ns();
  {
    const Doing doing("loading the engine");
    import_engine(job);
  }
  const double import_ms = ms_since(before);
  std::signal(SIGTERM, SIG_DFL);  // an engine may have installed its own
  auto [engine, facts] = [&] {
    const Doing doing("configuring");
    return configure_engine(job);
  }();
  facts.build["compiler"] = kCompiler;
  facts.build["target"] = EDGE_TARGET;
  tell_hello(facts, started_ms, import_ms);
  if (job.traffic && job.affinity)
    bind_to_processors(share_of(*job.affinity, job.traffic->instances, 0));
  load(*engine, job);
  if (job.traffic) {
    call_together(*engine, job, *job.traffic);
    return;
  }
  measure(*engine, job);
  tell_memory(vmhwm_bytes(), engine->runtime_bytes());
  if (job.profile) {
    const Doing doing("asking for the layers");
    const auto layers = engine->layers();
    if (!layers.empty()) tell_layers(layers);
  }
  change_shapes(*engine, job);
  return_outputs(*engine, job.inputs, job);
  tell_done();
}

}  // namespace
}  // namespace edge

int main(int count, char** arguments) {
  const auto first_line_ns = edge::boottime_ns();
  if (count != 2) {
    std::fputs(edge::kHelp, stderr);
    return 2;
  }
  if (std::strcmp(arguments[1], "--help") == 0) {
    std::fputs(edge::kHelp, stdout);
    return 0;
  }
  edge::open_events("events.jsonl");
  std::set_new_handler([] { edge::fail(edge::Fault::kRunnerFailed, "out of memory"); });
  edge::launch(arguments[1], first_line_ns);
  return 0;
}
