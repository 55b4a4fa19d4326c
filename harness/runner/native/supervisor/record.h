// supervisor.jsonl: what the outside sees. A file of its own, for the runner's may end in half a
// line, is written by any program in any way, and must not be able to swallow this one's end.
#pragma once

#include "base/files.h"
#include "base/json.h"

namespace edge {

// An event of the record, which is written with it.
class Entry : public JsonWriter {
 public:
  explicit Entry(const char* event) { text("event", event); }
};

class Record {
 public:
  // Takes room for the last event on a disk that the runner fills; not every file system can.
  // Where there is none, nothing is begun: nobody could tell how it ends.
  Record();
  void write(Entry* entry);
  // What there may be any number of: it is left out where it would crowd out the end.
  void write_reading(Entry* entry);

 private:
  Fd file_;
  size_t readings_ = 0;
};

}  // namespace edge
