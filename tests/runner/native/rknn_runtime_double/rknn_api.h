/*
 * DOUBLE, for tests: not Rockchip's header. It declares, by the names of the RKNPU2 API reference,
 * what the runner uses; librknnrt_double.c implements it.
 */
#ifndef RKNN_API_DOUBLE_H
#define RKNN_API_DOUBLE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __arm__
typedef uint32_t rknn_context;
#else
typedef uint64_t rknn_context;
#endif

#define RKNN_FLAG_COLLECT_PERF_MASK 0x00000008

typedef enum {
  RKNN_QUERY_IN_OUT_NUM = 0,
  RKNN_QUERY_INPUT_ATTR = 1,
  RKNN_QUERY_OUTPUT_ATTR = 2,
  RKNN_QUERY_PERF_DETAIL = 3,
  RKNN_QUERY_SDK_VERSION = 5,
  RKNN_QUERY_MEM_SIZE = 6,
} rknn_query_cmd;

typedef enum {
  RKNN_TENSOR_FLOAT32 = 0,
  RKNN_TENSOR_FLOAT16 = 1,
  RKNN_TENSOR_INT8 = 2,
  RKNN_TENSOR_UINT8 = 3,
  RKNN_TENSOR_INT32 = 6,
  RKNN_TENSOR_INT64 = 8,
  RKNN_TENSOR_BOOL = 9
} rknn_tensor_type;

typedef enum {
  RKNN_TENSOR_NCHW = 0,
  RKNN_TENSOR_NHWC = 1,
  RKNN_TENSOR_UNDEFINED = 3,
} rknn_tensor_format;

typedef enum {
  RKNN_NPU_CORE_AUTO = 0,
  RKNN_NPU_CORE_0 = 1,
  RKNN_NPU_CORE_1 = 2,
  RKNN_NPU_CORE_2 = 4,
  RKNN_NPU_CORE_0_1 = 3,
  RKNN_NPU_CORE_0_1_2 = 7,
} rknn_core_mask;

typedef struct {
  uint32_t n_input, n_output;
} rknn_input_output_num;

typedef struct {
  uint32_t index, n_dims, dims[16];
  char name[256];
  uint32_t n_elems, size;
  rknn_tensor_format fmt;
  rknn_tensor_type type;
} rknn_tensor_attr;

typedef struct {
  uint32_t index;
  void* buf;
  uint32_t size;
  uint8_t pass_through;
  rknn_tensor_type type;
  rknn_tensor_format fmt;
} rknn_input;

typedef struct {
  uint8_t want_float, is_prealloc;
  uint32_t index;
  void* buf;
  uint32_t size;
} rknn_output;

typedef struct {
  char api_version[256], drv_version[256];
} rknn_sdk_version;

typedef struct {
  uint32_t total_weight_size, total_internal_size;
  uint64_t total_dma_allocated_size;
} rknn_mem_size;

typedef struct {
  char* perf_data;
  uint64_t data_len;
} rknn_perf_detail;

typedef struct rknn_init_extend rknn_init_extend;
typedef struct rknn_run_extend rknn_run_extend;
typedef struct rknn_output_extend rknn_output_extend;

int rknn_init(rknn_context* context, void* model, uint32_t size, uint32_t flag,
              rknn_init_extend* extend);
int rknn_destroy(rknn_context context);
int rknn_query(rknn_context context, rknn_query_cmd cmd, void* info, uint32_t size);
int rknn_inputs_set(rknn_context context, uint32_t n_inputs, rknn_input inputs[]);
int rknn_run(rknn_context context, rknn_run_extend* extend);
int rknn_outputs_get(rknn_context context, uint32_t n_outputs, rknn_output outputs[],
                     rknn_output_extend* extend);
int rknn_outputs_release(rknn_context context, uint32_t n_outputs, rknn_output outputs[]);
int rknn_set_core_mask(rknn_context context, rknn_core_mask core_mask);

#ifdef __cplusplus
}
#endif
#endif
