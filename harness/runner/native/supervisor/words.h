// The words of a command line.
#pragma once

#include <stdlib.h>

#include "base.h"

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
    char* end;
    const double value = strtod(word, &end);
    if (end == word || *end || !(value >= 0 && value <= 1e9)) {
      fail(kUsage, "%s: '%s' is not a number", what, word);
    }
    return value;
  }
  char** rest() const { return at_; }

 private:
  char** at_;
};
