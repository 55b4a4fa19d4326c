// RKNN on Rockchip's NPUs (RK3562 to RK3588) through the C API of librknnrt.so.
//
// The library is the job's file "library" (pushed beside the model), or without that the
// device's own librknnrt.so. What is timed is rknn_run: inputs are converted and handed over
// before (rknn_inputs_set), outputs are fetched and made floats after (rknn_outputs_get).
#include <dlfcn.h>
#include <rknn_api.h>

#include <algorithm>
#include <cstring>
#include <sstream>

#include "core/engine.h"

namespace edge {
namespace {

constexpr const char* kBackend = "npu:rknpu";
constexpr const char* kLibrary = "librknnrt.so";
constexpr std::size_t kMostLayers = 5000;  // as the contract has it

const std::map<std::string, rknn_core_mask> kCoreMasks = {
    {"auto", RKNN_NPU_CORE_AUTO}, {"0", RKNN_NPU_CORE_0},     {"1", RKNN_NPU_CORE_1},
    {"2", RKNN_NPU_CORE_2},       {"0_1", RKNN_NPU_CORE_0_1}, {"0_1_2", RKNN_NPU_CORE_0_1_2}};

// The part of the library that is called. A model is a path where its size is 0; without an
// extension, rknn_run returns when it is done.
struct Api {
  decltype(&rknn_init) init;
  decltype(&rknn_destroy) destroy;
  decltype(&rknn_query) query;
  decltype(&rknn_inputs_set) inputs_set;
  decltype(&rknn_run) run;
  decltype(&rknn_outputs_get) outputs_get;
  decltype(&rknn_outputs_release) outputs_release;
  decltype(&rknn_set_core_mask) set_core_mask;
};

Api api;

// The runtime's error codes: the API reference's name, and what to do.
struct ErrorCode {
  int code;
  const char* words;
};
constexpr ErrorCode kErrorCodes[] = {
    {-1,
     "RKNN_ERR_FAIL: the launch's log has the runtime's own words. An 'invalid model version' "
     "there means that the toolkit which built the model is newer than this runtime: give a "
     "librknnrt.so of the toolkit's version"},
    {-2, "RKNN_ERR_TIMEOUT: the NPU did not answer: look into dmesg, and power-cycle the board"},
    {-3,
     "RKNN_ERR_DEVICE_UNAVAILABLE: the NPU cannot be opened: is the kernel's rknpu driver there "
     "(dmesg | grep -i rknpu), and may this user open /dev/dri/renderD* or /dev/rknpu?"},
    {-4, "RKNN_ERR_MALLOC_FAIL: the NPU's memory does not suffice for the model"},
    {-5, "RKNN_ERR_PARAM_INVALID: a parameter that this runtime does not take"},
    {-6, "RKNN_ERR_MODEL_INVALID: the file is no .rknn model, or damaged"},
    {-7, "RKNN_ERR_CTX_INVALID: the runtime has lost its context"},
    {-8, "RKNN_ERR_INPUT_INVALID: the inputs are not the model's"},
    {-9, "RKNN_ERR_OUTPUT_INVALID: the outputs are not the model's"},
    {-10,
     "RKNN_ERR_DEVICE_UNMATCH: the kernel's NPU driver is too old for this runtime (or the "
     "runtime for the driver): update the driver with the board's kernel, or give the "
     "librknnrt.so that belongs to it; /sys/kernel/debug/rknpu/version has the driver's version"},
    {-11, "RKNN_ERR_INCOMPATILE_PRE_COMPILE_MODEL: the model was compiled for another driver"},
    {-12,
     "RKNN_ERR_INCOMPATILE_OPTIMIZATION_LEVEL_VERSION: the model's optimization level is not "
     "for this driver"},
    {-13,
     "RKNN_ERR_TARGET_PLATFORM_UNMATCH: the model was built for another chip: write this "
     "board's own as 'soc' into the device's file"},
};

std::string words_of(int code) {
  for (const auto& known : kErrorCodes)
    if (known.code == code) return known.words;
  return "error " + std::to_string(code);
}

void check(int code, const char* call) {
  if (code < 0) engine_failed(std::string(call) + ": " + words_of(code));
}

std::string text_of(const char* characters, std::size_t most) {
  return {characters, strnlen(characters, most)};
}

std::string text_of(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const auto side : shape) text += (text.empty() ? "" : ", ") + std::to_string(side);
  return "[" + text + "]";
}

// The columns of the runtime's table are found by where their names begin: some are left empty.
std::vector<Layer> parse_layers(const std::string& table) {
  std::vector<Layer> layers;
  std::istringstream lines(table);
  std::string line;
  std::size_t time = std::string::npos;
  std::size_t after = 0;
  std::size_t name = 0;
  while (std::getline(lines, line) && layers.size() < kMostLayers) {
    if (line.compare(0, 2, "ID") == 0 && line.find("Time(us)") != std::string::npos) {
      time = line.find("Time(us)");
      after = line.find_first_not_of(' ', time + std::strlen("Time(us)"));
      name = line.find("FullName");
      continue;
    }
    std::istringstream words(line);
    int id = 0;
    Layer layer{};
    std::string dtype;
    if (time == std::string::npos || line.size() <= time ||
        !(words >> id >> layer.op >> dtype >> layer.unit))
      continue;
    std::istringstream figure(line.substr(time, after - time));
    if (!(figure >> layer.us)) continue;
    if (name < line.size()) std::istringstream(line.substr(name)) >> layer.name;
    layers.push_back(layer);
  }
  return layers;
}

class Rknn : public Engine {
 public:
  Rknn(const Job& job, rknn_core_mask core_mask)
      : model_(job.file("model")), core_mask_(core_mask), profile_(job.profile) {}
  ~Rknn() override {
    release();
    if (context_ != 0) api.destroy(context_);
  }

  std::vector<std::string> load() override {
    rknn_context context = 0;
    check(api.init(&context, model_.data(), 0, profile_ ? RKNN_FLAG_COLLECT_PERF_MASK : 0, nullptr),
          "rknn_init");
    context_ = context;
    if (core_mask_ != RKNN_NPU_CORE_AUTO && api.set_core_mask(context_, core_mask_) < 0) {
      bad_job(
          "rknn_set_core_mask: this NPU does not have the cores of the option core_mask: the "
          "RK3588 has three, the RK3576 two, the others one, which takes no mask");
    }
    rknn_input_output_num count{};
    check(api.query(context_, RKNN_QUERY_IN_OUT_NUM, &count, sizeof count), "rknn_query");
    inputs_ = attributes(RKNN_QUERY_INPUT_ATTR, count.n_input);
    outputs_ = attributes(RKNN_QUERY_OUTPUT_ATTR, count.n_output);
    std::vector<std::string> names;
    for (const auto& input : inputs_) names.push_back(name_of(input));
    return names;
  }

  void bind(const std::vector<Input>& inputs) override {
    std::vector<rknn_input> given;
    std::vector<std::vector<std::uint64_t>> converted;
    for (const auto& input : inputs) {
      const auto& wanted = *std::find_if(inputs_.begin(), inputs_.end(), [&](const auto& has) {
        return name_of(has) == input.spec.name;
      });
      const auto shape = contract_shape(wanted);
      if (shape != input.spec.shape) {
        bad_job("input '" + input.spec.name + "' is " + text_of(input.spec.shape) +
                " in the job and " + text_of(shape) + " in the model");
      }
      const void* data = input.data();
      if (is_nhwc(wanted)) {
        converted.push_back(to_nhwc(input));
        data = converted.back().data();
      }
      const auto type = type_of(input.spec.dtype);
      given.push_back({wanted.index, const_cast<void*>(data),
                       static_cast<std::uint32_t>(input.bytes), 0, type, wanted.fmt});
    }
    check(api.inputs_set(context_, static_cast<std::uint32_t>(given.size()), given.data()),
          "rknn_inputs_set");
  }

  void run() override { check(api.run(context_, nullptr), "rknn_run"); }

  std::vector<Output> fetch() override {
    get_outputs();
    std::vector<Output> outputs;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const auto& is = outputs_[i];
      const auto name = name_of(is);
      if (is_nhwc(is))
        engine_failed("output '" + name + "' is NHWC: build the model with NCHW outputs");
      if (got_[i].size != is.n_elems * sizeof(float)) {
        engine_failed("output '" + name + "' has " + std::to_string(got_[i].size) +
                      " bytes instead of " + std::to_string(is.n_elems) + " floats");
      }
      outputs.push_back({name, DType::kFloat32, contract_shape(is), got_[i].buf, got_[i].size});
    }
    return outputs;
  }

  Facts facts() override {
    Facts known;
    rknn_sdk_version version{};
    if (api.query(context_, RKNN_QUERY_SDK_VERSION, &version, sizeof version) >= 0) {
      known.version = text_of(version.api_version, sizeof version.api_version);
      known.build["driver"] = text_of(version.drv_version, sizeof version.drv_version);
    }
    rknn_mem_size memory{};
    if (api.query(context_, RKNN_QUERY_MEM_SIZE, &memory, sizeof memory) >= 0) {
      known.build["weight_bytes"] = std::to_string(memory.total_weight_size);
      known.build["internal_bytes"] = std::to_string(memory.total_internal_size);
    }
    return known;
  }

  std::optional<std::uint64_t> runtime_bytes() override {
    rknn_mem_size memory{};
    if (api.query(context_, RKNN_QUERY_MEM_SIZE, &memory, sizeof memory) < 0 ||
        memory.total_dma_allocated_size == 0)
      return std::nullopt;
    return memory.total_dma_allocated_size;
  }

  std::vector<Layer> layers() override {
    get_outputs();  // before that, says the reference, the answer is not valid
    rknn_perf_detail detail{};
    check(api.query(context_, RKNN_QUERY_PERF_DETAIL, &detail, sizeof detail), "rknn_query");
    auto layers =
        parse_layers(std::string(detail.perf_data, static_cast<std::size_t>(detail.data_len)));
    if (layers.empty()) engine_failed("the runtime's table of layers was not understood");
    return layers;
  }

 private:
  static std::string name_of(const rknn_tensor_attr& tensor) {
    return text_of(tensor.name, sizeof tensor.name);
  }

  static bool is_nhwc(const rknn_tensor_attr& tensor) {
    return tensor.n_dims == 4 && tensor.fmt == RKNN_TENSOR_NHWC;
  }

  static rknn_tensor_type type_of(DType dtype) {
    switch (dtype) {
      case DType::kFloat32:
        return RKNN_TENSOR_FLOAT32;
      case DType::kFloat16:
        return RKNN_TENSOR_FLOAT16;
      case DType::kInt64:
        return RKNN_TENSOR_INT64;
      case DType::kInt32:
        return RKNN_TENSOR_INT32;
      case DType::kInt8:
        return RKNN_TENSOR_INT8;
      case DType::kUint8:
        return RKNN_TENSOR_UINT8;
      case DType::kBool:
        return RKNN_TENSOR_BOOL;
      case DType::kFloat64:
        break;
    }
    bad_job(std::string("RKNN takes no inputs of ") + edge::name_of(dtype));
  }

  // The shape as the model's source has it: the runtime tells that of an image as NHWC.
  static std::vector<std::int64_t> contract_shape(const rknn_tensor_attr& tensor) {
    std::vector<std::int64_t> shape(tensor.dims, tensor.dims + std::min(tensor.n_dims, 16U));
    if (is_nhwc(tensor)) std::rotate(shape.begin() + 1, shape.end() - 1, shape.end());
    return shape;
  }

  // The runtime takes images as NHWC only.
  static std::vector<std::uint64_t> to_nhwc(const Input& input) {
    std::vector<std::uint64_t> storage(input.storage.size());
    const auto& shape = input.spec.shape;
    const auto batch = static_cast<std::size_t>(shape[0]);
    const auto channels = static_cast<std::size_t>(shape[1]);
    const auto pixels = static_cast<std::size_t>(shape[2] * shape[3]);
    const auto size = size_of(input.spec.dtype);
    const auto* from = static_cast<const char*>(input.data());
    auto* to = reinterpret_cast<char*>(storage.data());
    for (std::size_t n = 0; n < batch; ++n) {
      for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
        for (std::size_t channel = 0; channel < channels; ++channel, to += size)
          std::memcpy(to, from + ((n * channels + channel) * pixels + pixel) * size, size);
      }
    }
    return storage;
  }

  std::vector<rknn_tensor_attr> attributes(rknn_query_cmd what, std::uint32_t count) const {
    std::vector<rknn_tensor_attr> all(count);
    for (std::uint32_t index = 0; index < count; ++index) {
      all[index].index = index;
      check(api.query(context_, what, &all[index], sizeof all[index]), "rknn_query");
    }
    return all;
  }

  void get_outputs() {
    release();
    got_.assign(outputs_.size(), {});
    for (std::uint32_t i = 0; i < got_.size(); ++i) got_[i] = {1, 0, i, nullptr, 0};
    const auto code =
        api.outputs_get(context_, static_cast<std::uint32_t>(got_.size()), got_.data(), nullptr);
    if (code < 0) got_.clear();
    check(code, "rknn_outputs_get");
  }

  void release() {
    if (!got_.empty())
      api.outputs_release(context_, static_cast<std::uint32_t>(got_.size()), got_.data());
    got_.clear();
  }

  std::string model_;
  rknn_core_mask core_mask_;
  bool profile_;
  rknn_context context_ = 0;
  std::vector<rknn_tensor_attr> inputs_;
  std::vector<rknn_tensor_attr> outputs_;
  std::vector<rknn_output> got_;
};

std::string library_of(const Job& job) {
  const auto found = job.files.find("library");
  return found == job.files.end() ? kLibrary : "./" + found->second;
}

void check_job(const Job& job) {
  if (job.backend != kBackend)
    bad_job("RKNN has the backend '" + std::string(kBackend) + "', not '" + job.backend + "'");
  if (job.threads != 1) {
    bad_job(std::to_string(job.threads) +
            " threads: RKNN has none to set; the NPU's cores "
            "are chosen by the option core_mask");
  }
  if (job.model_cache) bad_job("RKNN compiles on the host: it has no model cache");
  allow_options(job, {"core_mask"});
  if (kCoreMasks.count(job.option("core_mask", "auto")) == 0) {
    bad_job("the option core_mask cannot be '" + job.option("core_mask", "") +
            "': auto, 0, 1, 2, 0_1, 0_1_2");
  }
}

}  // namespace

void import_engine(const Job& job) {
  check_job(job);
  const auto path = library_of(job);
  if (path.find("librknnmrt") != std::string::npos) {
    fail(Fault::kEngineMissing,
         path +
             " is the small runtime of RV1103 and RV1106, which this runner does "
             "not support: it has no rknn_inputs_set (docs/rknn.md)");
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    fail(Fault::kEngineMissing, std::string(dlerror()) +
                                    " (Rockchip's runtime comes with the board's "
                                    "system or its SDK: harness runners add ... --lib " +
                                    kLibrary + ")");
  }
  const auto find = [&](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr) {
      fail(Fault::kEngineMissing, path + " has no " + name +
                                      ": it is another library, or an RKNN runtime older "
                                      "than 1.5");
    }
  };
  find("rknn_init", api.init);
  find("rknn_destroy", api.destroy);
  find("rknn_query", api.query);
  find("rknn_inputs_set", api.inputs_set);
  find("rknn_run", api.run);
  find("rknn_outputs_get", api.outputs_get);
  find("rknn_outputs_release", api.outputs_release);
  find("rknn_set_core_mask", api.set_core_mask);
}

Configured configure_engine(const Job& job) {
  const auto core_mask = job.option("core_mask", "auto");
  return {std::make_unique<Rknn>(job, kCoreMasks.at(core_mask)),
          {"", {{"library", library_of(job)}, {"core_mask", core_mask}, {"timed", "rknn_run"}}}};
}

}  // namespace edge
