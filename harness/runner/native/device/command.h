// A command of the supervisor: its words, and how it fails.
#pragma once

#include <stdlib.h>

namespace edge {

// Exit statuses of the commands; the controller decides by them.
constexpr int kUsage = 64;
constexpr int kBusy = 75;
constexpr int kLeased = 77;
constexpr int kCannotPrepare = 98;

// Says why on stderr, and ends the process.
[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(int status, const char* format, ...);

// The words of the command line, one after the other.
class Words {
 public:
  explicit Words(char** words) : at_(words) {}
  bool more() const { return *at_ != nullptr; }
  const char* next(const char* what) {
    if (!more()) fail(kUsage, "%s is missing", what);
    return *at_++;
  }
  double number(const char* what) {
    const char* word = next(what);
    char* end = nullptr;
    const double value = strtod(word, &end);
    if (end == word || *end != 0 || !(value >= 0 && value <= 1e9)) {
      fail(kUsage, "%s: '%s' is not a number", what, word);
    }
    return value;
  }
  char** rest() const { return at_; }

 private:
  char** at_;
};

}  // namespace edge
