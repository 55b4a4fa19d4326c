// Writes a JSON object on one line: the events of both programs. With C's library alone.
#pragma once

#include <stddef.h>

namespace edge {

constexpr size_t kShortText = 200;  // the contract's bounds, in bytes
constexpr size_t kLongText = 8000;

// The outermost object is open from the beginning. Within a list, keys are null.
class JsonWriter {
 public:
  JsonWriter();
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;
  ~JsonWriter();

  // Of a longer text the end is kept. What is no UTF-8 is replaced.
  void text(const char* key, const char* value, size_t limit = kShortText);
  void integer(const char* key, long long value);
  // What is not finite, or too large for its decimals, becomes null.
  void number(const char* key, double value, int decimals = 6);
  void boolean(const char* key, bool value);
  void object(const char* key);
  void list(const char* key);
  void end();  // of the innermost object or list

  // Closes all that is open; returns the line with its line feed.
  const char* line();
  size_t size() const { return size_; }
  // Whether there was memory for all of it.
  bool whole() const { return whole_; }

 private:
  static constexpr int kDepth = 8;

  void begin_value(const char* key);
  void open(const char* key, char bracket, char closing);
  void append(const char* text, size_t size);
  void append_quoted(const char* text, size_t limit);

  char* data_ = nullptr;
  size_t size_ = 0;
  size_t room_ = 0;
  bool whole_ = true;
  bool first_ = true;  // of the innermost object or list
  char closing_[kDepth] = {};
  int depth_ = 0;
};

}  // namespace edge
