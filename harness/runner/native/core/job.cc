#include "core/job.h"

#include <algorithm>
#include <climits>
#include <iterator>

#include "core/value.h"

namespace edge {
namespace {

constexpr std::int64_t kInputSpecVersion = 1;
constexpr std::int64_t kMaxSide = 1 << 24;
constexpr std::int64_t kMaxCount = 100'000;
constexpr std::size_t kMaxChanges = 100;
constexpr double kDay = 86400.0;
constexpr std::int64_t kMaxCallers = 64;

std::size_t count(const Value& value, std::int64_t low) {
  return static_cast<std::size_t>(value.integer(low, kMaxCount));
}

double seconds(const Value& value) { return value.number(0.0, kDay); }

std::string file_name(const Value& value) {
  auto name = value.text();
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    bad_job("'" + name + "' is not in the launch's folder");
  return name;
}

std::vector<std::int64_t> shape_of(const Value& value) {
  std::vector<std::int64_t> shape;
  for (const auto& side : value.items()) shape.push_back(side.integer(1, kMaxSide));
  return shape;
}

InputSpec input_spec(const Value& value) {
  InputSpec spec;
  spec.name = value["name"].text();
  if (const auto dtype = value.find("dtype")) {
    const auto name = dtype->text();
    const auto* const found = std::find_if(std::begin(kDTypes), std::end(kDTypes),
                                           [&](const auto& known) { return known.name == name; });
    if (found == std::end(kDTypes)) dtype->refuse();
    spec.dtype = found->dtype;
  }
  spec.shape = shape_of(value["shape"]);
  const auto& within = info_of(spec.dtype);
  if (const auto low = value.find("low")) spec.low = low->number(within.low, within.high);
  if (const auto high = value.find("high")) spec.high = high->number(within.low, within.high);
  return spec;
}

Traffic traffic_of(const Value& value) {
  Traffic traffic;
  const auto scenario = value["scenario"].text();
  if (scenario == "offline") {
    traffic.scenario = Scenario::kOffline;
  } else if (scenario == "server") {
    traffic.scenario = Scenario::kServer;
  } else if (scenario != "multi") {
    value["scenario"].refuse();
  }
  traffic.callers = static_cast<std::size_t>(value["callers"].integer(1, kMaxCallers));
  traffic.instances = static_cast<std::size_t>(value["instances"].integer(1, kMaxCallers));
  if (traffic.callers != traffic.instances) {
    bad_job(std::to_string(traffic.callers) + " callers of " + std::to_string(traffic.instances) +
            " instances: this runner has one caller for each instance");
  }
  if (traffic.scenario != Scenario::kServer) return traffic;
  traffic.search = value["search"].boolean();
  if (!traffic.search) traffic.rate = value["rate"].number(1e-6, 1e6);
  traffic.requests = count(value["requests"], 1);
  traffic.seed = static_cast<std::uint64_t>(value["seed"].integer(0, INT32_MAX));
  traffic.queue = count(value["queue"], 1);
  if (traffic.search) {
    const auto bound = value["bound"];
    traffic.bound_ms = bound["bound_ms"].number(1e-6, 3.6e6);
    traffic.percentile = static_cast<std::size_t>(bound["percentile"].integer(1, 99));
  }
  return traffic;
}

// The inputs with the shapes of a change: every input is named, and nothing else.
std::vector<InputSpec> changed(std::vector<InputSpec> inputs, const Value& shapes) {
  if (shapes.members().size() != inputs.size()) shapes.refuse();
  for (auto& spec : inputs) {
    const auto shape = shapes.find(spec.name.c_str());
    if (!shape) shapes.refuse();
    spec.shape = shape_of(*shape);
  }
  return inputs;
}

}  // namespace

const std::string& Job::file(const std::string& role) const {
  const auto found = files.find(role);
  if (found == files.end()) bad_job(std::string(EDGE_ENGINE) + " needs the file '" + role + "'");
  return found->second;
}

std::string Job::option(const std::string& name, const std::string& otherwise) const {
  const auto found = options.find(name);
  return found == options.end() ? otherwise : found->second;
}

void refuse_accelerator(const Job& job) {
  if (job.backend != "cpu" || job.model_cache)
    bad_job("this runner has the backend 'cpu' and no model cache");
  allow_options(job, {});
}

void allow_options(const Job& job, const std::vector<std::string>& names) {
  for (const auto& option : job.options) {
    if (std::find(names.begin(), names.end(), option.first) == names.end())
      bad_job("this runner has no option '" + option.first + "'");
  }
}

Job read_job(const std::string& path) {
  const Document document(path, Fault::kBadJob);
  const auto root = document.root();
  const auto protocol = root["protocol"].integer(0, INT_MAX);
  if (protocol < 1 || protocol > kProtocol ||
      root["input_spec_version"].integer(0, INT_MAX) != kInputSpecVersion)
    bad_job(path + ": this runner keeps the protocols 1 and 2 with inputs 1 only");
  const auto engine = root["engine"].text();
  if (engine != EDGE_ENGINE)
    bad_job(path + ": this runner has the engine '" EDGE_ENGINE "', not '" + engine + "'");

  Job job;
  job.backend = root["backend"].text();
  for (const auto& [role, name] : root["files"].members()) job.files[role] = file_name(name);
  job.file("model");
  for (const auto& spec : root["inputs"].items()) job.inputs.push_back(input_spec(spec));
  if (const auto names = root.find("as_float32")) {
    for (const auto& name : names->items()) {
      const auto wanted = name.text();
      for (auto& spec : job.inputs) spec.as_float32 |= spec.name == wanted;
    }
  }
  job.seed = static_cast<std::uint64_t>(root["seed"].integer(0, INT32_MAX));
  for (const auto& seed : root["check_seeds"].items())
    job.check_seeds.push_back(static_cast<std::uint64_t>(seed.integer(0, INT32_MAX)));
  job.threads = static_cast<int>(root["threads"].integer(1, 256));
  if (const auto affinity = root["affinity"]; !affinity.is_null()) {
    job.affinity.emplace();
    for (const auto& processor : affinity.items())
      job.affinity->push_back(static_cast<int>(processor.integer(0, 4095)));
  }
  const auto warmup = root["warmup"];
  job.warmup.min_samples = count(warmup["min_samples"], 0);
  job.warmup.max_samples = count(warmup["max_samples"], 0);
  job.warmup.window = count(warmup["window"], 1);
  job.warmup.min_seconds = seconds(warmup["min_seconds"]);
  job.warmup.max_seconds = seconds(warmup["max_seconds"]);
  job.warmup.tolerance = warmup["tolerance"].number(0.0, 1.0);
  const auto sampling = root["sampling"];
  job.sampling.min_samples = count(sampling["min_samples"], 1);
  job.sampling.max_samples = count(sampling["max_samples"], 1);
  job.sampling.min_seconds = seconds(sampling["min_seconds"]);
  job.sampling.max_seconds = seconds(sampling["max_seconds"]);
  const auto page_cache = root["page_cache"].text();
  if (page_cache != "evict" && page_cache != "warm") root["page_cache"].refuse();
  job.evict = page_cache == "evict";
  if (const auto folder = root["model_cache"]; !folder.is_null()) job.model_cache = folder.text();
  if (const auto sustained = root.find("sustained")) job.sustained = sustained->boolean();
  if (const auto changes = root.find("shape_changes")) {
    if (changes->items().size() > kMaxChanges) changes->refuse();
    for (const auto& shapes : changes->items())
      job.shape_changes.push_back(changed(job.inputs, shapes));
  }
  if (const auto files = root.find("check_files")) {
    for (const auto& name : files->items()) job.check_files.push_back(file_name(name));
    if (!job.check_files.empty() && job.check_files.size() != 1 + job.shape_changes.size())
      files->refuse();
  }
  if (const auto samples = root.find("shape_samples")) job.shape_samples = count(*samples, 1);
  if (const auto profile = root.find("profile")) job.profile = profile->boolean();
  job.time_limit = seconds(root["time_limit"]);
  if (const auto traffic = root.find("traffic"); traffic && !traffic->is_null()) {
    job.traffic = traffic_of(*traffic);
    if (job.sustained || job.profile || !job.shape_changes.empty())
      bad_job("traffic is measured without sustained samples, changes of shape and profiles");
    if (job.affinity && job.affinity->size() % job.traffic->instances != 0) {
      bad_job(std::to_string(job.traffic->instances) + " instances cannot share " +
              std::to_string(job.affinity->size()) + " processors evenly");
    }
  }
  if (const auto options = root.find("options"))
    for (const auto& [key, setting] : options->members()) job.options[key] = setting.text();
  return job;
}

}  // namespace edge
