#include "supervisor/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "device/command.h"

namespace edge {
namespace {

constexpr off_t kRoom = 64 << 10;
constexpr size_t kMaxReadings = 7 << 20;  // bytes of them: the record is read to 8 MiB

}  // namespace

Record::Record()
    : file_(open("supervisor.jsonl", O_WRONLY | O_CREAT | O_APPEND | O_TRUNC | O_CLOEXEC, 0644)) {
  if (!file_.open() ||
      (fallocate(file_.get(), FALLOC_FL_KEEP_SIZE, 0, kRoom) != 0 && errno == ENOSPC)) {
    fail(kCannotPrepare, "supervisor.jsonl: %s", strerror(errno));
  }
}

void Record::write(Entry* entry) {
  entry->integer("t_ns", monotonic_ns());
  const char* line = entry->line();
  if (entry->whole()) write_all(file_.get(), line, entry->size());
}

void Record::write_reading(Entry* entry) {
  if (readings_ >= kMaxReadings) return;
  write(entry);
  readings_ += entry->size();
}

}  // namespace edge
