// The end of what a runner prints: a file that keeps the last of it, and how much there was.
//
// Byte n of the output lies at kHeader + n % kRing, so that a reader goes on from a byte that it
// had, whatever was printed since. The ring is longer than what is read, so that a writer does
// not overwrite what is being read.
#pragma once

#include "base/files.h"

namespace edge {

constexpr long long kKept = 64 << 10;
constexpr long long kChunk = 16 << 10;  // no more is appended at once

class LogWriter {
 public:
  // Takes all the room it will need, so that a full disk shows before the start.
  LogWriter();
  void append(const char* data, size_t size);
  long long total() const { return total_; }

 private:
  Fd file_;
  long long total_ = 0;

  void put(const void* data, size_t size, long long at);
};

// The bytes of a log from one on; `first` is a later one where that is no longer there.
struct LogPart {
  long long first = 0;
  size_t size = 0;
  char bytes[kKept];

  void read(long long from);
};

}  // namespace edge
