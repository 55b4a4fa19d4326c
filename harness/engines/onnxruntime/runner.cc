// ONNX Runtime on the CPU through its C API, inputs and outputs bound: no copy is part of a run.
//
// The library is the job's file "library" (libonnxruntime.so.1.x, pushed beside the model), or
// without that the device's own.
#include <dlfcn.h>
#include <onnxruntime_c_api.h>

#include <algorithm>
#include <iterator>

#include "core/engine.h"

namespace edge {
namespace {

// Everything used here is in this version of the API already: libraries since 1.14 will do.
constexpr std::uint32_t kApiVersion = 14;
constexpr std::uint32_t kNewestVersion = 99;  // that the device's own library may have

const OrtApi* api = nullptr;
const char* version = nullptr;
std::string library_name;

void check(OrtStatus* status) {
  if (status != nullptr) engine_failed(api->GetErrorMessage(status));
}

template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

class OnnxRuntime : public Engine {
 public:
  explicit OnnxRuntime(const Job& job) : model_(job.file("model")) {
    OrtEnv* env = nullptr;
    check(api->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "edge-runner", &env));
    env_.reset(env);
    OrtSessionOptions* options = nullptr;
    check(api->CreateSessionOptions(&options));
    options_.reset(options);
    check(api->SetIntraOpNumThreads(options, job.threads));
    check(api->SetInterOpNumThreads(options, 1));
    check(api->SetSessionExecutionMode(options, ORT_SEQUENTIAL));
    check(api->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL));
    OrtMemoryInfo* memory = nullptr;
    check(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    memory_.reset(memory);
    check(api->GetAllocatorWithDefaultOptions(&allocator_));
  }

  std::vector<std::string> load() override {
    OrtSession* session = nullptr;
    check(api->CreateSession(env_.get(), model_.c_str(), options_.get(), &session));
    session_.reset(session);
    output_names_ = names(api->SessionGetOutputCount, api->SessionGetOutputName);
    return names(api->SessionGetInputCount, api->SessionGetInputName);
  }

  void bind(const std::vector<Input>& inputs) override {
    binding_.reset();
    values_.clear();
    OrtIoBinding* binding = nullptr;
    check(api->CreateIoBinding(session_.get(), &binding));
    binding_.reset(binding);
    for (const auto& input : inputs) {
      OrtValue* value = nullptr;
      check(api->CreateTensorWithDataAsOrtValue(
          memory_.get(), const_cast<void*>(input.data()), input.bytes, input.spec.shape.data(),
          input.spec.shape.size(), type_of(input.spec.dtype), &value));
      values_.emplace_back(value, api->ReleaseValue);
      check(api->BindInput(binding, input.spec.name.c_str(), value));
    }
    for (const auto& name : output_names_)
      check(api->BindOutputToDevice(binding, name.c_str(), memory_.get()));
  }

  void run() override { check(api->RunWithBinding(session_.get(), nullptr, binding_.get())); }

  std::vector<Output> fetch() override {
    OrtValue** values = nullptr;
    std::size_t count = 0;
    check(api->GetBoundOutputValues(binding_.get(), allocator_, &values, &count));
    fetched_.clear();
    for (std::size_t i = 0; i < count; ++i) fetched_.emplace_back(values[i], api->ReleaseValue);
    check(api->AllocatorFree(allocator_, values));
    std::vector<Output> outputs;
    for (std::size_t i = 0; i < count; ++i)
      outputs.push_back(output(output_names_[i], fetched_[i].get()));
    return outputs;
  }

 private:
  static ONNXTensorElementDataType type_of(DType dtype) {
    switch (dtype) {
      case DType::kFloat32:
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
      case DType::kFloat16:
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
      case DType::kFloat64:
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE;
      case DType::kInt64:
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
      case DType::kInt32:
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
      case DType::kInt8:
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8;
      case DType::kUint8:
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
      case DType::kBool:
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
    }
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  }

  template <typename Count, typename Name>
  std::vector<std::string> names(Count count_of, Name name_of) const {
    std::size_t count = 0;
    check(count_of(session_.get(), &count));
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      check(name_of(session_.get(), i, allocator_, &name));
      all.emplace_back(name);
      check(api->AllocatorFree(allocator_, name));
    }
    return all;
  }

  static Output output(const std::string& name, OrtValue* value) {
    int is_tensor = 0;
    check(api->IsTensor(value, &is_tensor));
    if (is_tensor == 0) engine_failed("output '" + name + "' is no tensor");
    OrtTensorTypeAndShapeInfo* info = nullptr;
    check(api->GetTensorTypeAndShape(value, &info));
    const Owned<OrtTensorTypeAndShapeInfo> owned(info, api->ReleaseTensorTypeAndShapeInfo);
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    check(api->GetTensorElementType(info, &type));
    Output output{name, DType::kFloat32, {}, nullptr, 0};
    const auto* const known =
        std::find_if(std::begin(kDTypes), std::end(kDTypes),
                     [&](const auto& each) { return type_of(each.dtype) == type; });
    if (known == std::end(kDTypes)) {
      engine_failed("output '" + name + "' is of ONNX's type " + std::to_string(type) +
                    ", which the contract does not have");
    }
    output.dtype = known->dtype;
    std::size_t dimensions = 0;
    check(api->GetDimensionsCount(info, &dimensions));
    output.shape.resize(dimensions);
    check(api->GetDimensions(info, output.shape.data(), dimensions));
    std::size_t elements = 0;
    check(api->GetTensorShapeElementCount(info, &elements));
    output.bytes = elements * size_of(output.dtype);
    void* data = nullptr;
    check(api->GetTensorMutableData(value, &data));
    output.data = data;
    return output;
  }

  std::string model_;
  Owned<OrtEnv> env_{nullptr, api->ReleaseEnv};
  Owned<OrtSessionOptions> options_{nullptr, api->ReleaseSessionOptions};
  Owned<OrtMemoryInfo> memory_{nullptr, api->ReleaseMemoryInfo};
  OrtAllocator* allocator_ = nullptr;  // the library's own
  Owned<OrtSession> session_{nullptr, api->ReleaseSession};
  std::vector<std::string> output_names_;
  std::vector<Owned<OrtValue>> values_;
  std::vector<Owned<OrtValue>> fetched_;
  Owned<OrtIoBinding> binding_{nullptr, api->ReleaseIoBinding};
};

// Returns null where there is no such library; one that is there and cannot be loaded is an error.
void* open_library(const std::string& name) {
  library_name = name;
  if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  const std::string why = dlerror();
  if (why == name + ": cannot open shared object file: No such file or directory") return nullptr;
  fail(Fault::kEngineMissing, why);
}

void* open_library(const Job& job) {
  const auto pushed = job.files.find("library");
  std::vector<std::string> names;
  if (pushed != job.files.end()) {
    names = {"./" + pushed->second};
  } else {
    // As ONNX Runtime's own build calls it; then as Debian does, where no name lacks the minor
    // version: of several the newest.
    names = {"libonnxruntime.so.1"};
    for (auto minor = kNewestVersion; minor >= kApiVersion; --minor)
      names.push_back(names[0] + "." + std::to_string(minor));
  }
  for (const auto& name : names)
    if (void* library = open_library(name)) return library;
  fail(Fault::kEngineMissing,
       names[0] + ": no such library; ship one beside the runner (runners add --lib)");
}

}  // namespace

void import_engine(const Job& job) {
  refuse_accelerator(job);
  void* library = open_library(job);
  const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
  if (base == nullptr) fail(Fault::kEngineMissing, dlerror());
  version = base()->GetVersionString();
  api = base()->GetApi(kApiVersion);
  if (api == nullptr) {
    engine_failed(std::string("ONNX Runtime ") + version + " is older than 1." +
                  std::to_string(kApiVersion));
  }
}

Configured configure_engine(const Job& job) {
  return {std::make_unique<OnnxRuntime>(job),
          {version,
           {{"provider", "CPUExecutionProvider"},
            {"graph_optimization", "ORT_ENABLE_ALL"},
            {"library", library_name},
            {"threads", std::to_string(job.threads)}}}};
}

}  // namespace edge
