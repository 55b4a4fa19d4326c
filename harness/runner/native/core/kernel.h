// What the kernel does and says: processors, the page cache, memory, sensors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace edge {

// Sensors; what does not exist or cannot be read is absent.
struct Environment {
  std::optional<double> load1;
  std::optional<std::uint64_t> memory_available_bytes;
  std::map<std::string, std::uint64_t> frequencies_khz;
  std::map<std::string, double> temperatures_c;
};

Environment environment();

// CLOCK_BOOTTIME, in seconds.
double boottime();

// From the process's start, in steps of the kernel's 10 ms, to a reading of `boottime`.
double process_ms(double until);

// The process's peak resident set; ru_maxrss would inherit the parent's.
std::uint64_t vmhwm_bytes();

// Bind the process; throws BadJob unless it then runs on exactly these.
void bind_to_processors(const std::vector<int>& wanted);

// Ask the kernel to drop a file's pages from its cache; dirty ones are written first.
void evict(const std::string& path);

// Read a file from beginning to end; return how many bytes it has.
std::uint64_t read_through(const std::string& path);

// Whether a file is in the page cache: "warm" all of it, "cold" nothing, or "unknown".
const char* page_cache(const std::string& path);

}  // namespace edge
