/*
 * A double of Rockchip's librknnrt.so.
 *
 * Its "model" is a text file:
 *   RKNN-DOUBLE rk3588              the chip it is built for; the double is an RK3588
 *   input NAME FORMAT TYPE DIMS...  FORMAT nhwc, nchw or undefined; TYPE 0 float32, 6, 8
 *   output NAME FORMAT DIMS...      output i is 2 * input i + 1, as NCHW
 *   init CODE, run CODE, inputs_set CODE, outputs_get CODE   what these calls return
 *   run_fails_at N                  the Nth rknn_run (from 0) returns -2
 *   nan, cores N, short_output, no_memory, no_version
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rknn_api.h"

#define MOST 4

static struct {
  int open, runs, perf, fetched;
  int init, run, inputs_set, outputs_get, run_fails_at;
  int nan, cores, short_output, no_memory, no_version;
  uint32_t inputs, outputs, flags;
  rknn_tensor_attr input[MOST], output[MOST];
  float *values[MOST]; /* NCHW */
  float *computed[MOST];
} it;

static void dims_of(rknn_tensor_attr *tensor, char *words) {
  tensor->n_elems = 1;
  for (char *word = strtok(words, " \n"); word; word = strtok(NULL, " \n"))
    tensor->n_elems *= tensor->dims[tensor->n_dims++] = (uint32_t)atoi(word);
}

static int format_of(const char *word) {
  return strcmp(word, "nhwc") == 0 ? 1 : strcmp(word, "nchw") == 0 ? 0 : 3;
}

static int read_model(const char *path) {
  char line[512], chip[32] = "", name[256], format[16], rest[256];
  int type, code;
  FILE *file = fopen(path, "r");
  if (!file) return -6;
  if (!fgets(line, sizeof line, file) || sscanf(line, "RKNN-DOUBLE %31s", chip) != 1) {
    puts("E RKNN: [00:00:00.000] parseRKNN: invalid RKNN_MAGIC!");
    fclose(file);
    return -6;
  }
  if (strcmp(chip, "rk3588") != 0) {
    fclose(file);
    return -13;
  }
  while (fgets(line, sizeof line, file)) {
    if (sscanf(line, "input %255s %15s %d %255[^\n]", name, format, &type, rest) == 4) {
      rknn_tensor_attr *tensor = &it.input[it.inputs++];
      strcpy(tensor->name, name);
      tensor->fmt = format_of(format);
      tensor->type = type;
      dims_of(tensor, rest);
    } else if (sscanf(line, "output %255s %15s %255[^\n]", name, format, rest) == 3) {
      rknn_tensor_attr *tensor = &it.output[it.outputs++];
      strcpy(tensor->name, name);
      tensor->fmt = format_of(format);
      dims_of(tensor, rest);
    } else if (sscanf(line, "init %d", &code) == 1) {
      it.init = code;
    } else if (sscanf(line, "run_fails_at %d", &code) == 1) {
      it.run_fails_at = code;
    } else if (sscanf(line, "run %d", &code) == 1) {
      it.run = code;
    } else if (sscanf(line, "inputs_set %d", &code) == 1) {
      it.inputs_set = code;
    } else if (sscanf(line, "outputs_get %d", &code) == 1) {
      it.outputs_get = code;
    } else if (sscanf(line, "cores %d", &code) == 1) {
      it.cores = code;
    }
    it.nan |= strcmp(line, "nan\n") == 0;
    it.short_output |= strcmp(line, "short_output\n") == 0;
    it.no_memory |= strcmp(line, "no_memory\n") == 0;
    it.no_version |= strcmp(line, "no_version\n") == 0;
  }
  fclose(file);
  return it.init;
}

int rknn_init(rknn_context *context, void *model, uint32_t size, uint32_t flag,
              rknn_init_extend *extend) {
  it.cores = 3;
  it.run_fails_at = -1;
  if (size != 0 || extend) return -5; /* this double takes a path only */
  const int code = read_model(model);
  if (code) return code;
  puts("I RKNN: [00:00:00.000] RKNN Driver Information: version: 0.9.double");
  it.flags = flag;
  it.open = 1;
  *context = 0x5eed;
  return 0;
}

int rknn_destroy(rknn_context context) {
  if (context != 0x5eed || !it.open) return -7;
  it.open = 0;
  return 0;
}

int rknn_query(rknn_context context, rknn_query_cmd what, void *answer, uint32_t size) {
  if (context != 0x5eed || !it.open) return -7;
  if (what == RKNN_QUERY_IN_OUT_NUM && size == sizeof(rknn_input_output_num)) {
    *(rknn_input_output_num *)answer = (rknn_input_output_num){it.inputs, it.outputs};
    return 0;
  }
  if ((what == RKNN_QUERY_INPUT_ATTR || what == RKNN_QUERY_OUTPUT_ATTR) && size == sizeof(rknn_tensor_attr)) {
    const uint32_t index = ((rknn_tensor_attr *)answer)->index;
    if (index >= (what == RKNN_QUERY_INPUT_ATTR ? it.inputs : it.outputs)) return -5;
    memcpy(answer, what == RKNN_QUERY_INPUT_ATTR ? &it.input[index] : &it.output[index], size);
    ((rknn_tensor_attr *)answer)->index = index;
    return 0;
  }
  if (what == RKNN_QUERY_PERF_DETAIL && size == sizeof(rknn_perf_detail) &&
      (it.flags & RKNN_FLAG_COLLECT_PERF_MASK) && it.fetched) {
    static char table[] =
        "CPU Current Frequency List:\n    - 1800000\n"
        "----------------------------------------\n"
        "                      Network Layer Information Table\n"
        "----------------------------------------\n"
        "ID   OpType             DataType Target InputShape                               "
        "OutputShape            Cycles(DDR/NPU/Total)    Time(us)     MacUsage(%)          "
        "WorkLoad(0/1/2)      RW(KB)       FullName        \n"
        "----------------------------------------\n"
        "1    InputOperator      FLOAT16  CPU    \\                                        "
        "(1,3,256,256)          0/0/0                    4                                 "
        "0.0%/0.0%/0.0%       0            InputOperator:input\n"
        "2    Conv               FLOAT16  NPU    (1,3,256,256),(3,3,1,1)                  "
        "(1,3,256,256)          60956/131072/131072      390          0.30/0.00/0.00       "
        "100.0%/0.0%/0.0%     384                          \n"
        "Total Operator Elapsed Per Frame Time(us): 394\n";
    *(rknn_perf_detail *)answer = (rknn_perf_detail){table, sizeof table - 1};
    return 0;
  }
  if (what == RKNN_QUERY_SDK_VERSION && size == sizeof(rknn_sdk_version) && !it.no_version) {
    rknn_sdk_version *version = answer;
    strcpy(version->api_version, "9.9.double (0000000@2026-01-01T00:00:00)");
    strcpy(version->drv_version, "0.9.double");
    return 0;
  }
  if (what == RKNN_QUERY_MEM_SIZE && size == sizeof(rknn_mem_size) && !it.no_memory) {
    *(rknn_mem_size *)answer = (rknn_mem_size){.total_weight_size = 1000,
                                               .total_internal_size = 200,
                                               .total_dma_allocated_size = 5000};
    return 0;
  }
  return -5;
}

static float value_of(const void *buffer, int type, uint32_t index) {
  return type == 0   ? ((const float *)buffer)[index]
         : type == 2 ? (float)((const int8_t *)buffer)[index]
         : type == 3 ? (float)((const uint8_t *)buffer)[index]
         : type == 8 ? (float)((const int64_t *)buffer)[index]
                     : (float)((const int32_t *)buffer)[index];
}

int rknn_inputs_set(rknn_context context, uint32_t count, rknn_input *inputs) {
  if (context != 0x5eed || count != it.inputs) return -8;
  for (uint32_t i = 0; i < count; ++i) {
    const rknn_input *input = &inputs[i];
    const rknn_tensor_attr *is = &it.input[input->index];
    const uint32_t width = input->type == 8 ? 8 : input->type == 2 || input->type == 3 ? 1 : 4;
    if (input->pass_through || input->fmt != is->fmt || input->size != is->n_elems * width)
      return -8;
    float *values = realloc(it.values[input->index], is->n_elems * sizeof(float));
    it.values[input->index] = values;
    for (uint32_t n = 0; n < is->n_elems; ++n) {
      uint32_t to = n;
      if (is->fmt == RKNN_TENSOR_NHWC) { /* from NHWC */
        const uint32_t channels = is->dims[3], pixels = is->dims[1] * is->dims[2];
        const uint32_t image = n / (channels * pixels), in = n % (channels * pixels);
        to = (image * channels + in % channels) * pixels + in / channels;
      }
      values[to] = value_of(input->buf, input->type, n);
    }
  }
  return it.inputs_set;
}

int rknn_run(rknn_context context, rknn_run_extend *extend) {
  if (context != 0x5eed || extend) return -7;
  if (it.runs++ == it.run_fails_at) return -2;
  for (uint32_t i = 0; i < it.outputs; ++i) {
    const uint32_t elements = it.output[i].n_elems;
    it.computed[i] = realloc(it.computed[i], elements * sizeof(float));
    for (uint32_t n = 0; n < elements; ++n)
      it.computed[i][n] = it.nan ? NAN : 2 * it.values[i][n] + 1;
  }
  return it.run;
}

int rknn_outputs_get(rknn_context context, uint32_t count, rknn_output *outputs,
                     rknn_output_extend *extend) {
  if (context != 0x5eed || extend || count != it.outputs) return -9;
  for (uint32_t i = 0; i < count && !it.outputs_get; ++i) {
    if (!outputs[i].want_float || outputs[i].is_prealloc) return -9;
    outputs[i].size = it.output[i].n_elems * sizeof(float) - (it.short_output ? 4 : 0);
    outputs[i].buf = malloc(outputs[i].size);
    memcpy(outputs[i].buf, it.computed[outputs[i].index], outputs[i].size);
  }
  it.fetched = 1;
  return it.outputs_get;
}

int rknn_outputs_release(rknn_context context, uint32_t count, rknn_output *outputs) {
  if (context != 0x5eed) return -7;
  for (uint32_t i = 0; i < count; ++i) free(outputs[i].buf);
  return 0;
}

int rknn_set_core_mask(rknn_context context, rknn_core_mask mask) {
  if (context != 0x5eed || it.cores == 1) return -1;
  return mask >> it.cores ? -5 : 0;
}
