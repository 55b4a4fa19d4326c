#include "core/kernel.h"

#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "core/engine.h"

namespace edge {
namespace {

constexpr int kMaxProcessors = 4096;
constexpr std::size_t kMaxFrequencies = 256;
constexpr std::size_t kMaxZones = 64;

LaunchError unreadable(const std::string& path) {
  return bad_job("reading the artifact: " + path + ": " + std::strerror(errno));
}

class File {
 public:
  explicit File(const std::string& path) : descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor < 0) throw unreadable(path);
  }
  ~File() { close(descriptor); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const int descriptor;
};

// The beginning of a file of the kernel's; empty if it cannot be read.
std::string text_of(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return "";
  char buffer[4096];
  const auto count = read(descriptor, buffer, sizeof buffer);
  close(descriptor);
  return count > 0 ? std::string(buffer, static_cast<std::size_t>(count)) : "";
}

std::string line_of(const std::string& path) {
  auto text = text_of(path);
  return text.substr(0, text.find('\n'));
}

std::optional<long long> integer(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || errno != 0) return std::nullopt;
  return value;
}

// A line "Name:   123 kB" of a file of /proc, in bytes.
std::optional<std::uint64_t> kilobytes(const std::string& path, const std::string& name) {
  const auto text = "\n" + text_of(path);
  const auto found = text.find("\n" + name + ":");
  if (found == std::string::npos) return std::nullopt;
  return std::strtoull(text.c_str() + found + name.size() + 2, nullptr, 10) * 1024;
}

std::vector<std::string> matching(const char* pattern, std::size_t limit) {
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern, 0, nullptr, &found) == 0)
    paths.assign(found.gl_pathv, found.gl_pathv + std::min(found.gl_pathc, limit));
  globfree(&found);
  return paths;
}

}  // namespace

Environment environment() {
  Environment seen;
  if (const auto load = text_of("/proc/loadavg"); !load.empty())
    seen.load1 = std::strtod(load.c_str(), nullptr);
  seen.memory_available_bytes = kilobytes("/proc/meminfo", "MemAvailable");
  for (const auto& path :
       matching("/sys/devices/system/cpu/cpu[0-9]*/cpufreq", kMaxFrequencies)) {
    const auto value = integer(line_of(path + "/scaling_cur_freq"));
    const auto processor = path.substr(0, path.rfind('/'));
    if (value && *value >= 0)
      seen.frequencies_khz[processor.substr(processor.rfind('/') + 1)] =
          static_cast<std::uint64_t>(*value);
  }
  for (const auto& path : matching("/sys/class/thermal/thermal_zone*", kMaxZones)) {
    const auto value = integer(line_of(path + "/temp"));
    // As the supervisor's is_temperature(): a zone without a sensor may say anything.
    if (value && *value >= -40000 && *value < 125000 && (*value <= -1000 || *value >= 1000))
      seen.temperatures_c[path.substr(path.rfind('/') + 1) + " " + line_of(path + "/type")] =
          static_cast<double>(*value) / 1e3;
  }
  return seen;
}

double boottime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double process_ms(double until) {
  const auto stat = text_of("/proc/self/stat");
  const char* field = std::strrchr(stat.c_str(), ')');  // the name may hold anything
  for (int number = 2; field != nullptr && number < 22; ++number) {
    field = std::strchr(field, ' ');  // field 22 is the start, see proc(5)
    if (field != nullptr) ++field;
  }
  if (field == nullptr) throw std::runtime_error("/proc/self/stat has no field 22");
  const double started =
      std::strtod(field, nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return std::max(0.0, (until - started) * 1e3);
}

std::uint64_t vmhwm_bytes() {
  const auto peak = kilobytes("/proc/self/status", "VmHWM");
  if (!peak) throw std::runtime_error("/proc/self/status has no VmHWM");
  return *peak;
}

void bind_to_processors(const std::vector<int>& wanted) {
  const std::size_t size = CPU_ALLOC_SIZE(kMaxProcessors);
  cpu_set_t* set = CPU_ALLOC(kMaxProcessors);
  if (set == nullptr) throw std::bad_alloc();
  CPU_ZERO_S(size, set);
  for (const int processor : wanted) CPU_SET_S(static_cast<std::size_t>(processor), size, set);
  std::string fault;
  if (sched_setaffinity(0, size, set) != 0) {
    fault = std::strerror(errno);
  } else {
    // The kernel leaves out, without a word, those that are offline or not allowed.
    CPU_ZERO_S(size, set);
    if (sched_getaffinity(0, size, set) != 0) fault = std::strerror(errno);
    for (const int processor : wanted)
      if (fault.empty() && !CPU_ISSET_S(static_cast<std::size_t>(processor), size, set))
        fault = std::to_string(processor) + " is offline or not allowed";
  }
  CPU_FREE(set);
  if (fault.empty()) return;
  std::string list;
  for (const int processor : wanted) list += (list.empty() ? "" : ", ") + std::to_string(processor);
  throw bad_job("cannot bind to processors [" + list + "]: " + fault);
}

void evict(const std::string& path) {
  const File file(path);
  if (fdatasync(file.descriptor) != 0) throw unreadable(path);
  if (const int fault = posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED)) {
    errno = fault;
    throw unreadable(path);
  }
}

std::uint64_t read_through(const std::string& path) {
  const File file(path);
  std::vector<char> buffer(1 << 20);
  std::uint64_t total = 0;
  while (true) {
    const auto count = read(file.descriptor, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw unreadable(path);
    if (count == 0) return total;
    total += static_cast<std::uint64_t>(count);
  }
}

const char* page_cache(const std::string& path) {
  const File file(path);
  struct stat status {};
  if (fstat(file.descriptor, &status) != 0) throw unreadable(path);
  // Since Linux 5.2 mincore(2) tells only who owns a file or may write it: to others it says that
  // everything is there.
  const auto user = geteuid();
  if (user != 0 && user != status.st_uid && access(path.c_str(), W_OK) != 0) return "unknown";
  if (status.st_size == 0) return "unknown";
  const auto length = static_cast<std::size_t>(status.st_size);
  void* mapping = mmap(nullptr, length, PROT_READ, MAP_PRIVATE, file.descriptor, 0);
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
