#include "core/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/files.h"
#include "base/proc.h"
#include "core/fail.h"

namespace edge {
namespace {

constexpr int kMaxProcessors = 4096;

[[noreturn]] void unreadable(const std::string& path) {
  bad_job("reading the artifact: " + path + ": " + std::strerror(errno));
}

Fd open_artifact(const std::string& path) {
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) unreadable(path);
  return file;
}

}  // namespace

double process_ms(std::int64_t until_ns) {
  ProcessStat stat;
  if (!read_stat(getpid(), &stat)) fail(Fault::kRunnerFailed, "/proc/self/stat cannot be read");
  const double started_ms =
      static_cast<double>(stat.start) * 1e3 / static_cast<double>(sysconf(_SC_CLK_TCK));
  return std::max(0.0, static_cast<double>(until_ns) / 1e6 - started_ms);
}

std::uint64_t vmhwm_bytes() {
  const long long peak = sum_of("/proc/self/status", "VmHWM:");
  if (peak < 0) fail(Fault::kRunnerFailed, "/proc/self/status has no VmHWM");
  return static_cast<std::uint64_t>(peak) * 1024;
}

void bind_to_processors(const std::vector<int>& wanted) {
  const std::size_t size = CPU_ALLOC_SIZE(kMaxProcessors);
  cpu_set_t* set = CPU_ALLOC(kMaxProcessors);
  if (set == nullptr) fail(Fault::kRunnerFailed, "out of memory");
  CPU_ZERO_S(size, set);
  for (const int processor : wanted) CPU_SET_S(static_cast<std::size_t>(processor), size, set);
  std::string fault;
  if (sched_setaffinity(0, size, set) != 0) {
    fault = std::strerror(errno);
  } else {
    // The kernel leaves out, without a word, those that are offline or not allowed.
    CPU_ZERO_S(size, set);
    if (sched_getaffinity(0, size, set) != 0) fault = std::strerror(errno);
    for (const int processor : wanted) {
      if (fault.empty() && !CPU_ISSET_S(static_cast<std::size_t>(processor), size, set))
        fault = std::to_string(processor) + " is offline or not allowed";
    }
  }
  CPU_FREE(set);
  if (fault.empty()) return;
  std::string list;
  for (const int processor : wanted) list += (list.empty() ? "" : ", ") + std::to_string(processor);
  bad_job("cannot bind to processors [" + list + "]: " + fault);
}

void evict(const std::string& path) {
  const Fd file = open_artifact(path);
  if (fdatasync(file.get()) != 0) unreadable(path);
  if (const int fault = posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED)) {
    errno = fault;
    unreadable(path);
  }
}

std::uint64_t read_through(const std::string& path) {
  const Fd file = open_artifact(path);
  std::vector<char> buffer(1 << 20);
  std::uint64_t total = 0;
  while (true) {
    const auto count = read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) unreadable(path);
    if (count == 0) return total;
    total += static_cast<std::uint64_t>(count);
  }
}

const char* page_cache(const std::string& path) {
  const Fd file = open_artifact(path);
  struct stat status{};
  if (fstat(file.get(), &status) != 0) unreadable(path);
  // Since Linux 5.2 mincore(2) tells only who owns a file or may write it: to others it says that
  // everything is there.
  const auto user = geteuid();
  if (user != 0 && user != status.st_uid && access(path.c_str(), W_OK) != 0) return "unknown";
  if (status.st_size == 0) return "unknown";
  const auto length = static_cast<std::size_t>(status.st_size);
  void* mapping = mmap(nullptr, length, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (mapping == MAP_FAILED) return "unknown";
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((length + page - 1) / page);
  const int failed = mincore(mapping, length, pages.data());
  munmap(mapping, length);
  if (failed != 0) return "unknown";
  const auto resident = std::count_if(pages.begin(), pages.end(),
                                      [](unsigned char flags) { return (flags & 1) != 0; });
  if (resident == 0) return "cold";
  return static_cast<std::size_t>(resident) == pages.size() ? "warm" : "unknown";
}

}  // namespace edge
