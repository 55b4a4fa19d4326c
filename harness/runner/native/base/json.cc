#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace edge {
namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// How many bytes the character at the beginning of a text has; 0 where it is no UTF-8.
size_t utf8_length(const char* text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t length = first < 0x80                    ? 1
                        : first >= 0xC2 && first < 0xE0 ? 2
                        : first >= 0xE0 && first < 0xF0 ? 3
                        : first >= 0xF0 && first < 0xF5 ? 4
                                                        : 0;
  for (size_t at = 1; at < length; ++at) {
    if (!continues(text[at])) return 0;
  }
  const auto second = static_cast<unsigned char>(length > 1 ? text[1] : 0);
  // Encodings that are longer than need be, surrogates, and what is beyond Unicode.
  const bool wrong = (first == 0xE0 && second < 0xA0) || (first == 0xED && second >= 0xA0) ||
                     (first == 0xF0 && second < 0x90) || (first == 0xF4 && second >= 0x90);
  return wrong ? 0 : length;
}

}  // namespace

JsonWriter::JsonWriter() { open(nullptr, '{', '}'); }

JsonWriter::~JsonWriter() { free(data_); }

void JsonWriter::text(const char* key, const char* value, size_t limit) {
  begin_value(key);
  append_quoted(value, limit);
}

void JsonWriter::integer(const char* key, long long value) {
  char digits[24];
  const int length = snprintf(digits, sizeof digits, "%lld", value);
  begin_value(key);
  append(digits, static_cast<size_t>(length));
}

void JsonWriter::number(const char* key, double value, int decimals) {
  begin_value(key);
  double scale = 1;
  for (int place = 0; place < decimals; ++place) scale *= 10;
  const double scaled = (value < 0 ? -value : value) * scale;
  if (!(scaled < 9e18)) {  // nor is NaN
    append("null", 4);
    return;
  }
  // By integers: printf writes the decimal point of a locale that a library may have set.
  const auto rounded = llround(scaled);
  const auto unit = static_cast<long long>(scale);
  char digits[48];
  int length =
      snprintf(digits, sizeof digits, "%s%lld", value < 0 && rounded ? "-" : "", rounded / unit);
  if (decimals > 0) {
    length += snprintf(digits + length, sizeof digits - static_cast<size_t>(length), ".%0*lld",
                       decimals, rounded % unit);
  }
  append(digits, static_cast<size_t>(length));
}

void JsonWriter::boolean(const char* key, bool value) {
  begin_value(key);
  append(value ? "true" : "false", value ? 4 : 5);
}

void JsonWriter::object(const char* key) { open(key, '{', '}'); }

void JsonWriter::list(const char* key) { open(key, '[', ']'); }

void JsonWriter::end() {
  append(&closing_[--depth_], 1);
  first_ = false;
}

const char* JsonWriter::line() {
  while (depth_ > 0) end();
  append("\n", 1);
  return whole_ ? data_ : "";
}

void JsonWriter::begin_value(const char* key) {
  if (!first_) append(",", 1);
  first_ = false;
  if (key == nullptr) return;
  append_quoted(key, kShortText);
  append(":", 1);
}

void JsonWriter::open(const char* key, char bracket, char closing) {
  begin_value(key);
  append(&bracket, 1);
  first_ = true;
  if (depth_ == kDepth) abort();  // a fault of this program
  closing_[depth_++] = closing;
}

void JsonWriter::append(const char* text, size_t size) {
  if (!whole_) return;
  if (size_ + size + 1 > room_) {
    const size_t room = 2 * (size_ + size) + 256;
    char* grown = static_cast<char*>(realloc(data_, room));
    whole_ = grown != nullptr;
    if (!whole_) return;
    data_ = grown;
    room_ = room;
  }
  memcpy(data_ + size_, text, size);
  size_ += size;
  data_[size_] = 0;
}

void JsonWriter::append_quoted(const char* text, size_t limit) {
  static const char kLeftOut[] = "...";
  append("\"", 1);
  const size_t size = strlen(text);
  if (size > limit) {
    append(kLeftOut, sizeof kLeftOut - 1);
    text += size - limit + sizeof kLeftOut - 1;
    while (continues(*text)) ++text;
  }
  while (*text != 0) {
    const size_t length = utf8_length(text);
    if (length == 0) {
      append("\xEF\xBF\xBD", 3);  // U+FFFD
    } else if (*text == '"' || *text == '\\') {
      const char escaped[] = {'\\', *text};
      append(escaped, 2);
    } else if (static_cast<unsigned char>(*text) < 0x20) {
      char escaped[8];
      snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(*text));
      append(escaped, 6);
    } else {
      append(text, length);
    }
    text += length == 0 ? 1 : length;
  }
  append("\"", 1);
}

}  // namespace edge
