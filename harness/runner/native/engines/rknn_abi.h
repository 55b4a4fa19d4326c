// The part of Rockchip's RKNN runtime (librknnrt.so) that the runner calls, by its binary layout.
//
// Rockchip's own rknn_api.h may not be copied, so these are declarations of our own, of what its
// RKNPU2 API reference describes; enumerations are 32-bit integers in it. The offsets below are
// those of the header's versions 1.5 to 2.3, which agree.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edge::rknn {

#ifdef __arm__
using Context = std::uint32_t;
#else
using Context = std::uint64_t;
#endif

constexpr std::uint32_t kCollectPerf = 0x8;  // a flag of rknn_init

enum Query : std::uint32_t {
  kInOutNum = 0,
  kInputAttr = 1,
  kOutputAttr = 2,
  kPerfDetail = 3,
  kSdkVersion = 5,
  kMemSize = 6,
};

enum Type : std::uint32_t { kFloat32 = 0, kInt32 = 6, kInt64 = 8 };
constexpr std::uint32_t kNhwc = 1;  // a tensor's format

struct InOutNum {
  std::uint32_t inputs;
  std::uint32_t outputs;
};

struct TensorAttr {
  std::uint32_t index;  // to be set before it is queried
  std::uint32_t n_dims;
  std::uint32_t dims[16];
  char name[256];
  std::uint32_t n_elems;
  std::uint32_t size;
  std::uint32_t fmt;
  std::uint32_t type;
  std::uint32_t qnt_type;
  std::int8_t fl;
  std::int32_t zp;
  float scale;
  std::uint32_t w_stride;
  std::uint32_t size_with_stride;
  std::uint8_t pass_through;
  std::uint32_t h_stride;
};

struct Input {
  std::uint32_t index;
  void* buf;
  std::uint32_t size;
  std::uint8_t pass_through;  // 0: the runtime converts from `type` and `fmt`
  std::uint32_t type;
  std::uint32_t fmt;
};

struct Output {
  std::uint8_t want_float;
  std::uint8_t is_prealloc;
  std::uint32_t index;
  void* buf;
  std::uint32_t size;
};

struct SdkVersion {
  char api[256];
  char driver[256];
};

struct MemSize {
  std::uint32_t weight;
  std::uint32_t internal;  // without inputs and outputs
  std::uint64_t dma_allocated;
  std::uint32_t sram_total;
  std::uint32_t sram_free;
  std::uint32_t reserved[10];
};

struct PerfDetail {
  char* text;  // the library's own
  std::uint64_t length;
};

constexpr std::size_t kPointer = sizeof(void*);
static_assert(sizeof(InOutNum) == 8);
static_assert(sizeof(TensorAttr) == 376 && offsetof(TensorAttr, name) == 72 &&
              offsetof(TensorAttr, fmt) == 336 && offsetof(TensorAttr, zp) == 352 &&
              offsetof(TensorAttr, pass_through) == 368);
static_assert(offsetof(Input, buf) == kPointer && offsetof(Input, size) == 2 * kPointer &&
              offsetof(Input, pass_through) == 2 * kPointer + 4 &&
              offsetof(Input, fmt) == 2 * kPointer + 12 && sizeof(Input) == 2 * kPointer + 16);
static_assert(offsetof(Output, index) == 4 && offsetof(Output, buf) == 8 &&
              offsetof(Output, size) == 8 + kPointer && sizeof(Output) == 8 + 2 * kPointer);
static_assert(sizeof(SdkVersion) == 512);
static_assert(sizeof(MemSize) == 64 && offsetof(MemSize, dma_allocated) == 8);
static_assert(sizeof(PerfDetail) == 16 && offsetof(PerfDetail, length) == 8);

// A model is a path where `size` is 0. Without an extension, rknn_run returns when it is done.
struct Api {
  int (*init)(Context*, void* model, std::uint32_t size, std::uint32_t flags, void* extend);
  int (*destroy)(Context);
  int (*query)(Context, std::uint32_t what, void* answer, std::uint32_t size);
  int (*inputs_set)(Context, std::uint32_t count, Input*);
  int (*run)(Context, void* extend);
  int (*outputs_get)(Context, std::uint32_t count, Output*, void* extend);
  int (*outputs_release)(Context, std::uint32_t count, Output*);
  int (*set_core_mask)(Context, std::uint32_t mask);
};

}  // namespace edge::rknn
