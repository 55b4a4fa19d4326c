// SDK DOUBLE, for tests: not Paddle Lite.
//
// A "model" is the 18 bytes of a .nb file's header and then one letter a tensor: f, l, i, u or b
// for an input x0, x1, ... of float32, int64, int32, uint8 or bool, whose output is itself; h makes
// the last output float16, t makes loading fail. With a device, what it was told lies in the model
// cache's folder.
//
// It is built without exceptions, as a published SDK is: what fails prints a line and aborts.
// DOUBLE_VERSION is the version that it reports; with DOUBLE_WITHOUT_NNADAPTER it has no NPUs.
//
// As NNAdapter does, it compiles for a device in the first Run(), which here takes 50 ms, unless it
// finds its model in the cache; it goes by the inputs alone, so that any model of the same letters
// but for an h finds it.
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

#include "paddle_api.h"

namespace paddle {
namespace lite_api {
namespace {

[[noreturn]] void fatal(const char* why) {
  std::fprintf(stderr, "[F  9/28  1:23:45.678 ...lite_sdk_double.cc:1 fatal] %s\n", why);
  std::abort();
}

struct Raw {
  shape_t shape;
  std::vector<int64_t> memory;
  PrecisionType precision = PrecisionType::kFloat;
};

template <typename T>
constexpr PrecisionType precision_of();
template <>
constexpr PrecisionType precision_of<float>() {
  return PrecisionType::kFloat;
}
template <>
constexpr PrecisionType precision_of<int64_t>() {
  return PrecisionType::kInt64;
}
template <>
constexpr PrecisionType precision_of<int32_t>() {
  return PrecisionType::kInt32;
}

template <>
constexpr PrecisionType precision_of<double>() {
  return PrecisionType::kFP64;
}
template <>
constexpr PrecisionType precision_of<int8_t>() {
  return PrecisionType::kInt8;
}
template <>
constexpr PrecisionType precision_of<uint8_t>() {
  return PrecisionType::kUInt8;
}
template <>
constexpr PrecisionType precision_of<bool>() {
  return PrecisionType::kBool;
}

class Double : public PaddlePredictor {
 public:
  explicit Double(const MobileConfig& config) {
    std::ifstream file(config.lite_model_file(), std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(file)), {});
    tensors_ = content.substr(18);
    if (tensors_.find('t') != std::string::npos) fatal("Check failed: double");
    half_ = !tensors_.empty() && tensors_.back() == 'h';
    if (half_) tensors_.pop_back();
    inputs_.resize(tensors_.size());
    outputs_.resize(tensors_.size());
    if (config.nnadapter_device_names().empty()) return;
    compiled_ = false;
    if (config.nnadapter_model_cache_dir().empty()) return;
    cached_ = config.nnadapter_model_cache_dir() + "/" + tensors_ + ".nnc";
    std::ofstream told(config.nnadapter_model_cache_dir() + "/told");
    for (const auto& name : config.nnadapter_device_names()) told << name << "\n";
    told << config.nnadapter_context_properties() << "\n";
  }
  std::unique_ptr<Tensor> GetInput(int i) override {
    return std::unique_ptr<Tensor>(new Tensor(&inputs_.at(i)));
  }
  std::unique_ptr<const Tensor> GetOutput(int i) const override {
    return std::unique_ptr<const Tensor>(new Tensor(static_cast<const void*>(&outputs_.at(i))));
  }
  void Run() override {
    if (!compiled_) compile();
    outputs_ = inputs_;
    if (half_) outputs_.back().precision = PrecisionType::kFP16;
  }
  std::string GetVersion() const override { return DOUBLE_VERSION; }
  std::vector<std::string> GetInputNames() override {
    std::vector<std::string> names;
    for (size_t i = 0; i < tensors_.size(); ++i) names.push_back("x" + std::to_string(i));
    return names;
  }
  std::vector<std::string> GetOutputNames() override {
    auto names = GetInputNames();
    for (auto& name : names) name[0] = 'y';
    return names;
  }

 private:
  void compile() {
    compiled_ = true;
    if (!cached_.empty() && std::ifstream(cached_)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (!cached_.empty()) std::ofstream(cached_) << "compiled";
  }

  std::string tensors_;
  std::string cached_;
  bool compiled_ = true;
  bool half_ = false;
  std::vector<Raw> inputs_;
  std::vector<Raw> outputs_;
};

}  // namespace

Tensor::Tensor(void* raw) : raw_tensor_(raw) {}
Tensor::Tensor(const void* raw) : raw_tensor_(const_cast<void*>(raw)) {}
void Tensor::Resize(const shape_t& shape) { static_cast<Raw*>(raw_tensor_)->shape = shape; }
shape_t Tensor::shape() const { return static_cast<Raw*>(raw_tensor_)->shape; }
PrecisionType Tensor::precision() const { return static_cast<Raw*>(raw_tensor_)->precision; }

template <typename T>
const T* Tensor::data() const {
  return reinterpret_cast<const T*>(static_cast<Raw*>(raw_tensor_)->memory.data());
}
template <typename T>
T* Tensor::mutable_data(TargetType) const {
  auto* raw = static_cast<Raw*>(raw_tensor_);
  size_t count = 1;
  for (const auto side : raw->shape) count *= static_cast<size_t>(side);
  raw->memory.resize(count);
  raw->precision = precision_of<T>();
  return reinterpret_cast<T*>(raw->memory.data());
}
template const float* Tensor::data<float>() const;
template const int64_t* Tensor::data<int64_t>() const;
template const int32_t* Tensor::data<int32_t>() const;
template const double* Tensor::data<double>() const;
template const int8_t* Tensor::data<int8_t>() const;
template const uint8_t* Tensor::data<uint8_t>() const;
template const bool* Tensor::data<bool>() const;
template float* Tensor::mutable_data<float>(TargetType) const;
template int64_t* Tensor::mutable_data<int64_t>(TargetType) const;
template int32_t* Tensor::mutable_data<int32_t>(TargetType) const;
template double* Tensor::mutable_data<double>(TargetType) const;
template int8_t* Tensor::mutable_data<int8_t>(TargetType) const;
template uint8_t* Tensor::mutable_data<uint8_t>(TargetType) const;
template bool* Tensor::mutable_data<bool>(TargetType) const;

bool ConfigBase::check_nnadapter_device_name(const std::string& name) {
#ifdef DOUBLE_WITHOUT_NNADAPTER
  std::fprintf(stderr,
               "The invoking of the function 'check_nnadapter_device' is ignored, please "
               "rebuild it with LITE_WITH_NNADAPTER=ON.\n");
  return false;
#else
  if (dlopen(("lib" + name + ".so").c_str(), RTLD_NOW) == nullptr) fatal("no driver");
  return name == "double_npu" || name == "other_npu";
#endif
}

template <>
std::shared_ptr<PaddlePredictor> CreatePaddlePredictor(const MobileConfig& config) {
  return std::make_shared<Double>(config);
}

}  // namespace lite_api
}  // namespace paddle
