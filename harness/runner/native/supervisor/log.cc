#include "supervisor/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "device/command.h"

namespace edge {
namespace {

constexpr long long kHeader = 8;  // the total, in the device's byte order
constexpr long long kRing = 2 * kKept;

long long total_of(int file) {
  long long total = 0;
  return pread(file, &total, sizeof total, 0) == sizeof total ? total : 0;
}

}  // namespace

static_assert(sizeof(long long) == kHeader);

LogWriter::LogWriter() : file_(open("log", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
  static char zeros[kHeader + kRing] = {};
  if (!file_.open() || !write_all(file_.get(), zeros, sizeof zeros)) {
    fail(kCannotPrepare, "log: %s", strerror(errno));
  }
}

void LogWriter::append(const char* data, size_t size) {
  for (size_t done = 0; done < size;) {
    const long long at = total_ % kRing;
    const size_t room = static_cast<size_t>(kRing - at);
    const size_t part = size - done < room ? size - done : room;
    put(data + done, part, kHeader + at);
    done += part;
    total_ += static_cast<long long>(part);
  }
  put(&total_, sizeof total_, 0);
}

void LogWriter::put(const void* data, size_t size, long long at) {
  // The room is there already: only a failing disk fails here, and the launch goes on without.
  const ssize_t written = pwrite(file_.get(), data, size, at);
  static_cast<void>(written);
}

void LogPart::read(long long from) {
  const Fd file(open("log", O_RDONLY | O_CLOEXEC));
  long long total = file.open() ? total_of(file.get()) : 0;
  first = from > total - kKept ? from : total - kKept;
  if (first < 0) first = 0;
  size = 0;
  for (long long at = first; at < total;) {
    const long long place = at % kRing;
    long long part = kRing - place < total - at ? kRing - place : total - at;
    const ssize_t got = pread(file.get(), bytes + size, static_cast<size_t>(part), kHeader + place);
    if (got <= 0) break;
    size += static_cast<size_t>(got);
    at += got;
  }
  // What was, or is being, overwritten since is dropped.
  if (!file.open()) return;
  const long long lost = total_of(file.get()) + kChunk - kRing - first;
  if (lost <= 0) return;
  const size_t drop = static_cast<size_t>(lost) < size ? static_cast<size_t>(lost) : size;
  memmove(bytes, bytes + drop, size - drop);
  size -= drop;
  first += lost;
}

}  // namespace edge
