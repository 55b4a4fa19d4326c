// SDK DOUBLE, for tests: not Paddle Lite. The numbers are those of the real header.
#pragma once

namespace paddle {
namespace lite_api {

enum class TargetType : int { kUnk = 0, kHost = 1 };
enum class PrecisionType : int {
  kUnk = 0,
  kFloat = 1,
  kInt8 = 2,
  kInt32 = 3,
  kFP16 = 5,
  kBool = 6,
  kInt64 = 7,
  kUInt8 = 9,
  kFP64 = 10
};
enum PowerMode {
  LITE_POWER_HIGH = 0,
  LITE_POWER_LOW = 1,
  LITE_POWER_FULL = 2,
  LITE_POWER_NO_BIND = 3,
  LITE_POWER_RAND_HIGH = 4,
  LITE_POWER_RAND_LOW = 5,
};

}  // namespace lite_api
}  // namespace paddle
