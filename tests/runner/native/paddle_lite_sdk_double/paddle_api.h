// SDK DOUBLE, for tests: not Paddle Lite. It declares, as the documented light API does, what the
// runner uses; paddle_lite_sdk_double.cc implements it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "paddle_place.h"

namespace paddle {
namespace lite_api {

using shape_t = std::vector<int64_t>;

struct Tensor {
  explicit Tensor(void* raw);
  explicit Tensor(const void* raw);
  void Resize(const shape_t& shape);
  template <typename T>
  const T* data() const;
  template <typename T>
  T* mutable_data(TargetType type = TargetType::kHost) const;
  shape_t shape() const;
  PrecisionType precision() const;

 private:
  void* raw_tensor_;
};

class PaddlePredictor {
 public:
  virtual std::unique_ptr<Tensor> GetInput(int i) = 0;
  virtual std::unique_ptr<const Tensor> GetOutput(int i) const = 0;
  virtual void Run() = 0;
  virtual std::string GetVersion() const = 0;
  virtual std::vector<std::string> GetInputNames() = 0;
  virtual std::vector<std::string> GetOutputNames() = 0;
  virtual ~PaddlePredictor() = default;
};

class ConfigBase {
 public:
  void set_threads(int threads) { threads_ = threads; }
  int threads() const { return threads_; }
  void set_power_mode(PowerMode mode) { mode_ = mode; }
  PowerMode power_mode() const { return mode_; }
  bool check_nnadapter_device_name(const std::string& device_name);
  void set_nnadapter_device_names(const std::vector<std::string>& names) { devices_ = names; }
  const std::vector<std::string>& nnadapter_device_names() const { return devices_; }
  void set_nnadapter_context_properties(const std::string& text) { properties_ = text; }
  const std::string& nnadapter_context_properties() const { return properties_; }
  void set_nnadapter_model_cache_dir(const std::string& folder) { cache_ = folder; }
  const std::string& nnadapter_model_cache_dir() const { return cache_; }

 private:
  int threads_ = 1;
  PowerMode mode_ = LITE_POWER_NO_BIND;
  std::vector<std::string> devices_;
  std::string properties_;
  std::string cache_;
};

class MobileConfig : public ConfigBase {
 public:
  void set_model_from_file(const std::string& path) { model_ = path; }
  const std::string& lite_model_file() const { return model_; }

 private:
  std::string model_;
};

template <typename ConfigT>
std::shared_ptr<PaddlePredictor> CreatePaddlePredictor(const ConfigT&);

}  // namespace lite_api
}  // namespace paddle
