// events.jsonl: one JSON object a line, each written with one call as it happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/engine.h"
#include "core/measure.h"

namespace edge {

// Opens the file, once, before all others are called.
void open_events(const char* path);

void tell_hello(const Facts& facts, double process_ms, double import_ms);
void tell_loaded(double read_ms, std::uint64_t read_bytes, const char* page_cache, double init_ms,
                 const Facts& facts);
void tell_first(double ms);
void tell_warmup(const Warmed& warmed);
void tell_samples(const Sampled& sampled);
void tell_search(const Searched& searched);
void tell_caller(std::size_t caller, const CallerSamples& samples, std::optional<double> cpu_ms);
void tell_memory(std::uint64_t vmhwm_bytes, std::optional<std::uint64_t> runtime_bytes);
void tell_layers(const std::vector<Layer>& layers);
void tell_shape(const std::vector<InputSpec>& inputs, double set_ms, double first_ms,
                const std::vector<std::int64_t>& ns);
void tell_outputs(std::optional<std::size_t> change, std::optional<std::size_t> caller,
                  std::uint64_t seed, std::size_t index, const Output& output, const char* sha256,
                  const std::string& file);
void tell_done();

}  // namespace edge
