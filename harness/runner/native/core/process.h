// What the runner asks of the kernel: processors, the page cache, its own start and memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace edge {

// From the process's start, in steps of the kernel's 10 ms, to a reading of CLOCK_BOOTTIME.
double process_ms(std::int64_t until_ns);

// The process's peak resident set; ru_maxrss would inherit the parent's.
std::uint64_t vmhwm_bytes();

// Bind the process; BadJob unless it then runs on exactly these.
void bind_to_processors(const std::vector<int>& wanted);

// Ask the kernel to drop a file's pages from its cache; dirty ones are written first.
void evict(const std::string& path);

// Read a file from beginning to end; return how many bytes it has.
std::uint64_t read_through(const std::string& path);

// Whether a file is in the page cache: "warm" all of it, "cold" nothing, or "unknown".
const char* page_cache(const std::string& path);

}  // namespace edge
