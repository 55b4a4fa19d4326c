#include "core/contract.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace edge {
namespace {

using nlohmann::json;

constexpr int kProtocol = 1;
constexpr int kInputSpecVersion = 1;
constexpr const char* kRunnerVersion = "3";
constexpr std::size_t kShortText = 200;
constexpr std::size_t kLongText = 8000;
constexpr std::size_t kMaxJobBytes = 1 << 20;
constexpr int kMaxDepth = 20;
constexpr std::int64_t kMaxSide = 1 << 24;
constexpr std::size_t kMaxChanges = 100;
constexpr double kDay = 86400.0;

// --- job.json ---

const json& member(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) throw bad_job(std::string("no '") + key + "'");
  return *found;
}

LaunchError not_valid(const char* key, const json& value) {
  std::string shown = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (shown.size() > kShortText) shown = shown.substr(0, kShortText) + "...";
  return bad_job(std::string("'") + key + "' cannot be " + shown);
}

std::int64_t as_integer(const char* key, const json& value, std::int64_t low, std::int64_t high) {
  if (!value.is_number_integer()) throw not_valid(key, value);
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX)
    throw not_valid(key, value);
  const auto number = value.get<std::int64_t>();
  if (number < low || number > high) throw not_valid(key, value);
  return number;
}

double as_number(const char* key, const json& value, double low, double high) {
  if (!value.is_number()) throw not_valid(key, value);
  const auto number = value.get<double>();
  if (!(number >= low && number <= high)) throw not_valid(key, value);
  return number;
}

std::string as_text(const char* key, const json& value) {
  if (!value.is_string()) throw not_valid(key, value);
  auto text = value.get<std::string>();
  if (text.find('\0') != std::string::npos) throw not_valid(key, value);
  return text;
}

const json& as_array(const char* key, const json& value) {
  if (!value.is_array()) throw not_valid(key, value);
  return value;
}

const json& as_object(const char* key, const json& value) {
  if (!value.is_object()) throw not_valid(key, value);
  return value;
}

std::size_t count(const json& object, const char* key, std::int64_t low) {
  return static_cast<std::size_t>(as_integer(key, member(object, key), low, 100000));
}

double seconds(const json& object, const char* key) {
  return as_number(key, member(object, key), 0.0, kDay);
}

std::string file_name(const char* key, const json& value) {
  auto name = as_text(key, value);
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    throw bad_job("'" + name + "' is not in the launch's folder");
  return name;
}

std::vector<std::int64_t> as_shape(const char* key, const json& value) {
  std::vector<std::int64_t> shape;
  for (const auto& side : as_array(key, value))
    shape.push_back(as_integer(key, side, 1, kMaxSide));
  return shape;
}

InputSpec input_spec(const json& value) {
  as_object("inputs", value);
  InputSpec spec;
  spec.name = as_text("name", member(value, "name"));
  const auto dtype = as_text("dtype", value.value("dtype", json("float32")));
  if (dtype == "float32")
    spec.dtype = DType::float32;
  else if (dtype == "int64")
    spec.dtype = DType::int64;
  else if (dtype == "int32")
    spec.dtype = DType::int32;
  else
    throw not_valid("dtype", dtype);
  spec.shape = as_shape("shape", member(value, "shape"));
  // Wide enough for anything that is no mistake, and no integer of it overflows.
  const double bound = spec.dtype == DType::float32 ? 1e300
                       : spec.dtype == DType::int64 ? 9.2e18
                                                    : 2147483647.0;
  spec.low = as_number("low", value.value("low", json(0.0)), -bound, bound);
  spec.high = as_number("high", value.value("high", json(1.0)), -bound, bound);
  return spec;
}

// The inputs with the shapes of a change: every input is named, and nothing else.
std::vector<InputSpec> changed(std::vector<InputSpec> inputs, const json& shapes) {
  constexpr const char* key = "shape_changes";
  if (as_object(key, shapes).size() != inputs.size()) throw not_valid(key, shapes);
  for (auto& spec : inputs) {
    const auto found = shapes.find(spec.name);
    if (found == shapes.end()) throw not_valid(key, shapes);
    spec.shape = as_shape(key, *found);
  }
  return inputs;
}

Job parse(const json& value) {
  if (!value.is_object()) throw bad_job("it is no JSON object");
  for (const char* key : {"protocol", "input_spec_version", "engine", "backend", "files",
                          "inputs", "seed", "check_seeds", "threads", "affinity", "warmup",
                          "sampling", "page_cache", "model_cache"})
    member(value, key);
  if (value["protocol"] != kProtocol || value["input_spec_version"] != kInputSpecVersion)
    throw bad_job("this runner keeps protocol 1 with inputs 1 only");
  const auto engine = as_text("engine", value["engine"]);
  if (engine != engine_name)
    throw bad_job("this runner has the engine '" + std::string(engine_name) + "', not '" +
                  engine + "'");

  Job job;
  job.backend = as_text("backend", value["backend"]);
  for (const auto& [role, name] : as_object("files", value["files"]).items())
    job.files[role] = file_name("files", name);
  job.file("model");
  for (const auto& spec : as_array("inputs", value["inputs"]))
    job.inputs.push_back(input_spec(spec));
  job.seed = static_cast<std::uint64_t>(as_integer("seed", value["seed"], 0, INT32_MAX));
  for (const auto& seed : as_array("check_seeds", value["check_seeds"]))
    job.check_seeds.push_back(
        static_cast<std::uint64_t>(as_integer("check_seeds", seed, 0, INT32_MAX)));
  job.threads = static_cast<int>(as_integer("threads", value["threads"], 1, 256));
  if (const auto& wanted = value["affinity"]; !wanted.is_null()) {
    job.affinity.emplace();
    for (const auto& processor : as_array("affinity", wanted))
      job.affinity->push_back(static_cast<int>(as_integer("affinity", processor, 0, 4095)));
  }
  const auto& warmup = as_object("warmup", value["warmup"]);
  job.warmup.min_samples = count(warmup, "min_samples", 0);
  job.warmup.max_samples = count(warmup, "max_samples", 0);
  job.warmup.window = count(warmup, "window", 1);
  job.warmup.min_seconds = seconds(warmup, "min_seconds");
  job.warmup.max_seconds = seconds(warmup, "max_seconds");
  job.warmup.tolerance = as_number("tolerance", member(warmup, "tolerance"), 0.0, 1.0);
  const auto& sampling = as_object("sampling", value["sampling"]);
  job.sampling.min_samples = count(sampling, "min_samples", 1);
  job.sampling.max_samples = count(sampling, "max_samples", 1);
  job.sampling.min_seconds = seconds(sampling, "min_seconds");
  job.sampling.max_seconds = seconds(sampling, "max_seconds");
  const auto page_cache = as_text("page_cache", value["page_cache"]);
  if (page_cache != "evict" && page_cache != "warm") throw not_valid("page_cache", page_cache);
  job.evict = page_cache == "evict";
  if (const auto& folder = value["model_cache"]; !folder.is_null())
    job.model_cache = as_text("model_cache", folder);
  if (const auto sustained = value.find("sustained"); sustained != value.end()) {
    if (!sustained->is_boolean()) throw not_valid("sustained", *sustained);
    job.sustained = sustained->get<bool>();
  }
  if (const auto changes = value.find("shape_changes"); changes != value.end()) {
    if (as_array("shape_changes", *changes).size() > kMaxChanges)
      throw not_valid("shape_changes", *changes);
    for (const auto& shapes : *changes) job.shape_changes.push_back(changed(job.inputs, shapes));
  }
  if (const auto files = value.find("check_files"); files != value.end())
    for (const auto& name : as_array("check_files", *files))
      job.check_files.push_back(file_name("check_files", name));
  if (!job.check_files.empty() && job.check_files.size() != 1 + job.shape_changes.size())
    throw not_valid("check_files", value["check_files"]);
  if (value.contains("shape_samples")) job.shape_samples = count(value, "shape_samples", 1);
  if (const auto options = value.find("options"); options != value.end())
    for (const auto& [key, setting] : as_object("options", *options).items())
      job.options[key] = as_text("options", setting);
  return job;
}

// --- events.jsonl ---

using Fields = nlohmann::ordered_json;  // keys stay in the contract's order

std::string dump(const Fields& event) {
  // Engines say what they like: what is no UTF-8 is replaced.
  return event.dump(-1, ' ', true, Fields::error_handler_t::replace) + "\n";
}

// Text that fits the contract, the end kept.
std::string bounded(const std::string& text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t start = text.size() - limit + 3;
  while (start < text.size() && (text[start] & 0xC0) == 0x80) ++start;
  return "..." + text.substr(start);
}

void add(Fields& event, const Facts& facts) {
  if (!facts.version.empty()) event["engine_version"] = bounded(facts.version, kShortText);
  if (facts.build.empty()) return;
  Fields build = Fields::object();
  for (const auto& [key, value] : facts.build) build[key] = bounded(value, kShortText);
  event["build"] = build;
}

}  // namespace

const std::string& Job::file(const std::string& role) const {
  const auto found = files.find(role);
  if (found == files.end())
    throw bad_job(std::string(engine_name) + " needs the file '" + role + "'");
  return found->second;
}

void refuse_accelerator(const Job& job) {
  if (job.backend != "cpu" || job.model_cache)
    throw bad_job("this runner has the backend 'cpu' and no model cache");
  if (!job.options.empty())
    throw bad_job("this runner has no option '" + job.options.begin()->first + "'");
}

Job read_job(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw bad_job(path + ": " + std::strerror(errno));
  std::string content(kMaxJobBytes + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad()) throw bad_job(path + ": cannot be read");
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.size() > kMaxJobBytes)
    throw bad_job(path + ": larger than 1 MiB");
  // The parser is iterative, but what it makes is destroyed and printed by recursion.
  const auto shallow = [](int depth, json::parse_event_t, json&) {
    if (depth > kMaxDepth) throw bad_job("nested too deeply");
    return true;
  };
  try {
    return parse(json::parse(content, shallow));
  } catch (const LaunchError& error) {
    throw bad_job(path + ": " + error.what());
  } catch (const json::exception& error) {
    throw bad_job(path + ": " + error.what());
  }
}

Events::Events(const char* path)
    : descriptor_(open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) throw std::runtime_error(std::string(path) + ": " + std::strerror(errno));
}

void Events::write(const std::string& line) const {
  for (std::size_t done = 0; done < line.size();) {
    const auto written = ::write(descriptor_, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      throw std::runtime_error(std::string("events.jsonl: ") + std::strerror(errno));
    done += static_cast<std::size_t>(written);
  }
}

void Events::hello(const Facts& facts, double process_ms, double import_ms) const {
  Fields event = {{"event", "hello"},
                  {"protocol", kProtocol},
                  {"runner", "native"},
                  {"runner_version", kRunnerVersion},
                  {"engine", engine_name},
                  {"pid", getpid()},
                  {"process_ms", process_ms},
                  {"import_ms", import_ms}};
  add(event, facts);
  write(dump(event));
}

void Events::environment(const char* phase, const Environment& seen) const {
  Fields event = {{"event", "environment"},
                  {"phase", phase},
                  {"frequencies_khz", seen.frequencies_khz},
                  {"temperatures_c", Fields::object()}};
  for (const auto& [zone, celsius] : seen.temperatures_c)
    event["temperatures_c"][bounded(zone, kShortText)] = celsius;
  if (seen.load1) event["load1"] = *seen.load1;
  if (seen.memory_available_bytes) event["memory_available_bytes"] = *seen.memory_available_bytes;
  write(dump(event));
}

void Events::loaded(double read_ms, std::uint64_t read_bytes, const char* page_cache,
                    double init_ms, const Facts& facts) const {
  Fields event = {{"event", "loaded"},
                  {"read_ms", read_ms},
                  {"read_bytes", read_bytes},
                  {"page_cache", page_cache},
                  {"init_ms", init_ms}};
  add(event, facts);
  write(dump(event));
}

void Events::first(double ms) const { write(dump({{"event", "first"}, {"ms", ms}})); }

void Events::warmup(const std::vector<std::int64_t>& ns, const char* reason) const {
  write(dump({{"event", "warmup"}, {"ns", ns}, {"reason", reason}}));
}

void Events::samples(const Sampled& sampled) const {
  write(dump({{"event", "samples"},
              {"ns", sampled.ns},
              {"inferences", sampled.inferences},
              {"cpu_ms", sampled.cpu_ms}}));
}

void Events::memory(std::uint64_t vmhwm_bytes, std::optional<std::uint64_t> runtime_bytes) const {
  Fields event = {{"event", "memory"}, {"vmhwm_bytes", vmhwm_bytes}};
  if (runtime_bytes) event["runtime_bytes"] = *runtime_bytes;
  write(dump(event));
}

void Events::layers(const std::vector<Layer>& layers) const {
  Fields event = {{"event", "layers"}, {"layers", Fields::array()}};
  for (const auto& layer : layers)
    event["layers"].push_back({{"name", bounded(layer.name, kShortText)},
                               {"op", bounded(layer.op, kShortText)},
                               {"target", bounded(layer.target, kShortText)},
                               {"us", layer.us}});
  write(dump(event));
}

void Events::shape(const std::vector<InputSpec>& inputs, double set_ms, double first_ms,
                   const std::vector<std::int64_t>& ns) const {
  Fields shapes = Fields::object();
  for (const auto& spec : inputs) shapes[spec.name] = spec.shape;
  write(dump({{"event", "shape"},
              {"shapes", shapes},
              {"set_ms", set_ms},
              {"first_ms", first_ms},
              {"ns", ns}}));
}

void Events::outputs(std::optional<std::size_t> change, std::uint64_t seed, std::size_t index,
                     const Output& output, const std::string& sha256,
                     const std::string& file) const {
  Fields event = {{"event", "outputs"}};
  if (change) event["change"] = *change;
  event["seed"] = seed;
  event["index"] = index;
  event["name"] = bounded(output.name, kShortText);
  event["dtype"] = name_of(output.dtype);
  event["shape"] = output.shape;
  event["sha256"] = sha256;
  event["file"] = file;
  write(dump(event));
}

void Events::done() const { write(dump({{"event", "done"}})); }

void Events::error(const std::string& kind, const std::string& message) const {
  write(dump({{"event", "error"}, {"kind", kind}, {"message", bounded(message, kLongText)}}));
}

}  // namespace edge
