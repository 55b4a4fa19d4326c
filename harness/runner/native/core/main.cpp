// The launch: do the job in job.json, from the engine's library to the last output.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "core/contract.h"
#include "core/engine.h"
#include "core/inputs.h"
#include "core/kernel.h"
#include "core/measure.h"
#include "core/sha256.h"

namespace edge {
namespace {

#ifdef __clang__
constexpr const char* kCompiler = __VERSION__;  // with its name
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

constexpr double kHour = 3600.0;

// Blame the engine for what goes wrong inside.
template <typename Work>
auto engine_is(const std::string& doing, Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const LaunchError&) {
    throw;
  } catch (const std::exception& error) {
    throw engine_failed(doing + ": " + error.what());
  }
}

void set_processors(const Job& job) {
  const auto threads = std::to_string(job.threads);
  for (const char* variable : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"})
    setenv(variable, threads.c_str(), 1);
  if (job.affinity) bind_to_processors(*job.affinity);
}

void load(Engine& engine, const Job& job, const Events& events) {
  const auto& model = job.file("model");
  if (job.evict)
    evict(model);
  else
    read_through(model);
  const char* cache = page_cache(model);
  auto before = now_ns();
  const auto read_bytes = read_through(model);
  const double read_ms = ms_since(before);
  double init_ms = 0.0;
  auto names = engine_is("loading the model", [&] {
    before = now_ns();
    auto loaded = engine.load();
    init_ms = ms_since(before);
    return loaded;
  });
  std::vector<std::string> given;
  for (const auto& spec : job.inputs) given.push_back(spec.name);
  const auto list = [](const std::vector<std::string>& all) {
    std::string text;
    for (const auto& name : all) text += (text.empty() ? "'" : ", '") + name + "'";
    return "[" + text + "]";
  };
  if (!std::is_permutation(given.begin(), given.end(), names.begin(), names.end()))
    throw bad_job("the job's inputs are " + list(given) + ", the model's " + list(names));
  events.loaded(read_ms, read_bytes, cache, init_ms, engine.facts());
}

// First inference, warm-up and samples; while one of them runs, nothing is written.
void measure(Engine& engine, const Job& job, const Events& events) {
  const auto inputs = make_inputs(job.inputs, job.seed);
  engine_is("setting the inputs", [&] { engine.bind(inputs); });
  const double first_ms = engine_is("running the first time", [&] {
    const auto before = now_ns();
    engine.run();
    return ms_since(before);
  });
  events.first(first_ms);
  const auto warmed = engine_is("warming up", [&] { return warm_up(engine, job.warmup); });
  events.warmup(warmed.ns, warmed.reason);
  events.samples(engine_is("sampling", [&] { return sample(engine, job.sampling, job.sustained); }));
}

void write_file(const std::string& path, const void* data, std::size_t size) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  const bool written =
      file != nullptr && (size == 0 || std::fwrite(data, size, 1, file) == 1);
  if ((file != nullptr && std::fclose(file) != 0) || !written)
    throw std::runtime_error(path + " cannot be written: " + std::strerror(errno));
}

// `change`: which of the job's changes of shape the inputs are of, if any.
void return_outputs(Engine& engine, const std::vector<InputSpec>& specs, const Job& job,
                    const Events& events, std::optional<std::size_t> change = std::nullopt) {
  const auto prefix = "output-" + (change ? "change-" + std::to_string(*change) + "-" : "");
  CheckInputs checks(job, change);
  for (const auto seed : job.check_seeds) {
    const auto inputs = checks.next(specs, seed);
    const auto outputs = engine_is("running check seed " + std::to_string(seed), [&] {
      engine.bind(inputs);
      engine.run();
      return engine.fetch();
    });
    for (std::size_t index = 0; index < outputs.size(); ++index) {
      const auto& output = outputs[index];
      const auto path = prefix + std::to_string(seed) + "-" + std::to_string(index) + ".bin";
      write_file(path, output.data, output.bytes);
      Sha256 digest;
      digest.add(output.data, output.bytes);
      events.outputs(change, seed, index, output, digest.text(), path);
    }
  }
  checks.end();
}

// Switch to the job's other shapes in turn, time what that costs, and return outputs of each.
void change_shapes(Engine& engine, const Job& job, const Events& events) {
  for (std::size_t change = 0; change < job.shape_changes.size(); ++change) {
    const auto& specs = job.shape_changes[change];
    const auto inputs = make_inputs(specs, job.seed);
    double set_ms = 0.0;
    double first_ms = 0.0;
    const auto sampled = engine_is("change of shape " + std::to_string(change), [&] {
      const auto before = now_ns();
      engine.bind(inputs);
      const auto bound = now_ns();
      engine.run();
      first_ms = ms_since(bound);
      set_ms = static_cast<double>(bound - before) / 1e6;
      return sample(engine, {job.shape_samples, job.shape_samples, 0.0, kHour}, false);
    });
    events.shape(specs, set_ms, first_ms, sampled.ns);
    return_outputs(engine, specs, job, events, change);
  }
}

void launch(const std::string& path, double started_ms, const Events& events) {
  const Job job = read_job(path);
  set_processors(job);
  const auto before = now_ns();
  engine_is("loading the engine", [&] { import_engine(job); });
  const double import_ms = ms_since(before);
  std::signal(SIGTERM, SIG_DFL);  // an engine may have installed its own
  auto [engine, facts] = engine_is("configuring", [&] { return configure_engine(job); });
  facts.build["compiler"] = kCompiler;
  facts.build["target"] = EDGE_TARGET;
  events.hello(facts, started_ms, import_ms);
  events.environment("before", environment());
  load(*engine, job, events);
  measure(*engine, job, events);
  const auto peak = vmhwm_bytes();
  events.environment("after", environment());
  events.memory(peak, engine->runtime_bytes());
  const auto layers = engine_is("asking for the layers", [&] { return engine->layers(); });
  if (!layers.empty()) events.layers(layers);
  change_shapes(*engine, job, events);
  return_outputs(*engine, job.inputs, job, events);
  events.done();
}

int run(const char* path, double started_ms) {
  const Events events("events.jsonl");
  const auto failed = [&](const char* kind, const char* message) {
    std::fprintf(stderr, "%s: %s\n", kind, message);
    events.error(kind, message);
    return 1;
  };
  try {
    launch(path, started_ms, events);
    return 0;
  } catch (const LaunchError& error) {
    return failed(error.kind, error.what());
  } catch (const std::bad_alloc&) {
    return failed("RunnerFailed", "out of memory");
  } catch (const std::exception& error) {
    return failed("RunnerFailed", error.what());
  }
}

}  // namespace
}  // namespace edge

int main(int count, char** arguments) {
  const double first_line = edge::boottime();
  if (count != 2) {
    std::fprintf(stderr, "usage: edge-runner-%s job.json\n", edge::engine_name);
    return 2;
  }
  try {
    return edge::run(arguments[1], edge::process_ms(first_line));
  } catch (const std::exception& error) {  // events.jsonl itself cannot be written
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
