// Paddle Lite through its C++ light API, on the CPU or on an NPU behind NNAdapter.
//
// The library is linked, so that the dynamic linker loads it before main(): its time is part of
// process_ms, and import_ms is about 0.
#include <dlfcn.h>
#include <link.h>
#include <paddle_api.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <fstream>
#include <iterator>

#include "core/engine.h"

namespace edge {
namespace {

namespace lite = paddle::lite_api;

constexpr const char* kNpu = "npu:";
constexpr const char* kLibrary = "libpaddle_light_api_shared.so";

// The option power_mode, as the API has it.
const std::map<std::string, lite::PowerMode> kPowerModes = {
    {"high", lite::LITE_POWER_HIGH},           {"low", lite::LITE_POWER_LOW},
    {"full", lite::LITE_POWER_FULL},           {"no_bind", lite::LITE_POWER_NO_BIND},
    {"rand_high", lite::LITE_POWER_RAND_HIGH}, {"rand_low", lite::LITE_POWER_RAND_LOW},
};

// The NNAdapter devices of a backend npu:NAME[,NAME...]; none for the CPU.
std::vector<std::string> devices_of(const Job& job) {
  std::vector<std::string> devices;
  if (job.backend == "cpu") return devices;
  if (job.backend.rfind(kNpu, 0) != 0)
    bad_job("this runner has the backends 'cpu' and 'npu:DEVICE', not '" + job.backend + "'");
  std::string rest = job.backend.substr(std::strlen(kNpu)) + ",";
  for (std::size_t comma; (comma = rest.find(',')) != std::string::npos; rest.erase(0, comma + 1)) {
    if (comma == 0) bad_job("'" + job.backend + "' has a device without a name");
    devices.push_back(rest.substr(0, comma));
  }
  return devices;
}

// The version of opt in a .nb file's header: two bytes of the format's version, then this.
std::string opt_version(const std::string& path) {
  char header[18] = {};
  std::ifstream file(path, std::ios::binary);
  if (!file) bad_job("reading the artifact: " + path + " cannot be opened");
  if (!file.read(header, sizeof header)) engine_failed(path + " is no .nb file");
  return std::string(header + 2, strnlen(header + 2, 16));
}

std::size_t elements(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const auto side : shape) {
    if (side < 0) engine_failed("an output has a negative size");
    count *= static_cast<std::size_t>(side);
  }
  return count;
}

// The file of Paddle Lite's library, as the dynamic linker loaded it.
std::string library_path() {
  std::string path;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        if (std::strstr(info->dlpi_name, kLibrary) == nullptr) return 0;
        *static_cast<std::string*>(found) = info->dlpi_name;
        return 1;
      },
      &path);
  return path;
}

[[noreturn]] void no_npu(const std::string& why) {
  // What a library that was built without NNAdapter prints where it is asked for a device.
  constexpr const char* kWithout = "rebuild it with LITE_WITH_NNADAPTER=ON";
  std::ifstream file(library_path(), std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  const bool without = content.find(kWithout) != std::string::npos;
  fail(Fault::kEngineMissing, without ? std::string(kLibrary) +
                                            " was built without NNAdapter, which NPUs need: build "
                                            "the SDK with --with_nnadapter=ON"
                                      : why);
}

// Loads what NNAdapter is about to load: where it is missing, Paddle Lite aborts or crashes.
void look_for(const std::string& library) {
  if (dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) return;
  no_npu("NNAdapter needs " + library + ": " + dlerror());
}

// Whether a version is a release's ("v2.13-rc"), and not the hash of an untagged commit.
bool is_release(const std::string& version) {
  const auto digits = version.find_first_not_of('v');
  return digits <= 1 && std::isdigit(static_cast<unsigned char>(version[digits])) != 0 &&
         version.find('.') != std::string::npos;
}

class PaddleLite : public Engine {
 public:
  explicit PaddleLite(const Job& job) : model_(job.file("model")) {
    config_.set_model_from_file(model_);
    config_.set_threads(job.threads);
    config_.set_power_mode(power_mode(job));
    const auto devices = devices_of(job);
    if (devices.empty()) return;
    look_for("libnnadapter.so");
    for (const auto& device : devices) {
      look_for("lib" + device + ".so");
      if (!config_.check_nnadapter_device_name(device)) {
        no_npu("Paddle Lite does not take the NNAdapter device '" + device +
               "', though its driver was loaded");
      }
    }
    config_.set_nnadapter_device_names(devices);
    const auto properties = job.options.find("context_properties");
    if (properties != job.options.end())
      config_.set_nnadapter_context_properties(properties->second);
    if (job.model_cache) config_.set_nnadapter_model_cache_dir(*job.model_cache);
  }

  Facts settings(const Job& job) const {
    Facts facts;
    facts.build["api"] = "light";
    facts.build["threads"] = std::to_string(config_.threads());
    for (const auto& [name, mode] : kPowerModes)
      if (mode == config_.power_mode()) facts.build["power_mode"] = name;
    if (job.backend != "cpu") {
      facts.build["nnadapter_devices"] = job.backend.substr(std::strlen(kNpu));
      facts.build["context_properties"] = config_.nnadapter_context_properties();
      facts.build["model_cache"] = config_.nnadapter_model_cache_dir();
    }
    return facts;
  }

  std::vector<std::string> load() override {
    const auto built_by = opt_version(model_);
    predictor_ = lite::CreatePaddlePredictor<lite::MobileConfig>(config_);
    if (predictor_ == nullptr) engine_failed("no predictor was made");
    // Models of another release crash it, or return nothing. Of an untagged commit there is only
    // its hash: then the outputs tell.
    const auto version = predictor_->GetVersion();
    if (built_by != version && is_release(version) && is_release(built_by)) {
      engine_failed(model_ + " was made by opt " + built_by + ", and the library is " + version +
                    ": they must be of one version");
    }
    return names_ = predictor_->GetInputNames();
  }

  Facts facts() override { return {predictor_->GetVersion(), {{"opt", opt_version(model_)}}}; }

  void bind(const std::vector<Input>& inputs) override {
    for (const auto& input : inputs) {
      const auto place = std::find(names_.begin(), names_.end(), input.spec.name);
      auto tensor = predictor_->GetInput(static_cast<int>(place - names_.begin()));
      tensor->Resize(input.spec.shape);
      std::memcpy(memory(*tensor, input.spec.dtype), input.data(), input.bytes);
    }
  }

  void run() override { predictor_->Run(); }

  std::vector<Output> fetch() override {
    const auto names = predictor_->GetOutputNames();
    tensors_.clear();
    std::vector<Output> outputs;
    for (std::size_t i = 0; i < names.size(); ++i) {
      tensors_.push_back(predictor_->GetOutput(static_cast<int>(i)));
      const auto& tensor = *tensors_.back();
      Output output{names[i], DType::kFloat32, tensor.shape(), nullptr, 0};
      switch (tensor.precision()) {
        case lite::PrecisionType::kFloat:
          output.data = tensor.data<float>();
          break;
        case lite::PrecisionType::kInt64:
          output.dtype = DType::kInt64;
          output.data = tensor.data<std::int64_t>();
          break;
        case lite::PrecisionType::kInt32:
          output.dtype = DType::kInt32;
          output.data = tensor.data<std::int32_t>();
          break;
        case lite::PrecisionType::kInt8:
          output.dtype = DType::kInt8;
          output.data = tensor.data<std::int8_t>();
          break;
        case lite::PrecisionType::kUInt8:
          output.dtype = DType::kUint8;
          output.data = tensor.data<std::uint8_t>();
          break;
        case lite::PrecisionType::kFP64:
          output.dtype = DType::kFloat64;
          output.data = tensor.data<double>();
          break;
        case lite::PrecisionType::kBool:
          output.dtype = DType::kBool;
          output.data = tensor.data<bool>();
          break;
        default:
          engine_failed("output '" + names[i] + "' is of Paddle Lite's precision " +
                        std::to_string(static_cast<int>(tensor.precision())) +
                        ", which this runner does not fetch");
      }
      output.bytes = elements(output.shape) * size_of(output.dtype);
      outputs.push_back(output);
    }
    return outputs;
  }

 private:
  static lite::PowerMode power_mode(const Job& job) {
    const auto wanted = job.options.find("power_mode");
    if (wanted == job.options.end()) return lite::LITE_POWER_NO_BIND;
    const auto found = kPowerModes.find(wanted->second);
    if (found == kPowerModes.end()) {
      bad_job("power_mode cannot be '" + wanted->second +
              "': high, low, full, no_bind, rand_high or rand_low");
    }
    return found->second;
  }

  static void* memory(lite::Tensor& tensor, DType dtype) {
    switch (dtype) {
      case DType::kFloat32:
        return tensor.mutable_data<float>();
      case DType::kInt64:
        return tensor.mutable_data<std::int64_t>();
      case DType::kInt32:
        return tensor.mutable_data<std::int32_t>();
      case DType::kInt8:
        return tensor.mutable_data<std::int8_t>();
      case DType::kUint8:
        return tensor.mutable_data<std::uint8_t>();
      case DType::kBool:
        return tensor.mutable_data<bool>();
      case DType::kFloat64:
        return tensor.mutable_data<double>();
      case DType::kFloat16:
        break;
    }
    bad_job(std::string("Paddle Lite's API takes no inputs of ") + name_of(dtype));
  }

  std::string model_;
  lite::MobileConfig config_;
  std::shared_ptr<lite::PaddlePredictor> predictor_;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<const lite::Tensor>> tensors_;
};

}  // namespace

void import_engine(const Job& job) {
  allow_options(job, {"power_mode", "context_properties"});
  if (job.backend == "cpu" && (job.model_cache || job.options.count("context_properties") > 0))
    bad_job("the backend 'cpu' has no model cache and no context properties");
  struct stat status{};
  if (job.model_cache && (stat(job.model_cache->c_str(), &status) != 0 || !S_ISDIR(status.st_mode)))
    bad_job("the model cache " + *job.model_cache + " is no folder");
}

Configured configure_engine(const Job& job) {
  auto engine = std::make_unique<PaddleLite>(job);
  auto facts = engine->settings(job);
  return {std::move(engine), std::move(facts)};
}

}  // namespace edge
