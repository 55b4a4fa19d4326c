#include "core/value.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace edge {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxBytes = 1 << 20;
constexpr std::size_t kMaxShown = 200;
constexpr int kMaxDepth = 20;

}  // namespace

Document::Document(const std::string& path, Fault fault) : path_(path), fault_(fault) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(fault, path + ": " + std::strerror(errno));
  std::string content(kMaxBytes + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad()) fail(fault, path + ": cannot be read");
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.size() > kMaxBytes) fail(fault, path + ": larger than 1 MiB");
  // The parser is iterative, but what it makes is destroyed and printed by recursion.
  const auto shallow = [&](int depth, json::parse_event_t, json&) {
    if (depth > kMaxDepth) fail(fault, path + ": nested too deeply");
    return true;
  };
  json_ = json::parse(content, shallow, /*allow_exceptions=*/false);
  if (json_.is_discarded()) fail(fault, path + ": it is no JSON");
  if (!json_.is_object()) fail(fault, path + ": it is no JSON object");
}

void Value::refuse() const {
  // What is no UTF-8 is replaced.
  std::string shown = json_->dump(-1, ' ', true, json::error_handler_t::replace);
  if (shown.size() > kMaxShown) shown = shown.substr(0, kMaxShown) + "...";
  fail(fault_, *path_ + ": '" + key_ + "' cannot be " + shown);
}

Value Value::operator[](const char* key) const {
  auto found = find(key);
  if (!found) fail(fault_, *path_ + ": no '" + key + "'");
  return *found;
}

std::optional<Value> Value::find(const char* key) const {
  if (!json_->is_object()) refuse();
  const auto found = json_->find(key);
  if (found == json_->end()) return std::nullopt;
  return child(*found, key);
}

void Value::allow_only(std::initializer_list<const char*> keys) const {
  for (const auto& [key, value] : members()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      fail(fault_, *path_ + ": " + (key_.empty() ? "" : key_ + ": ") + "'" + key + "' is unknown");
  }
}

std::int64_t Value::integer(std::int64_t low, std::int64_t high) const {
  if (!json_->is_number_integer()) refuse();
  if (json_->is_number_unsigned() && json_->get<std::uint64_t>() > INT64_MAX) refuse();
  const auto number = json_->get<std::int64_t>();
  if (number < low || number > high) refuse();
  return number;
}

double Value::number(double low, double high) const {
  if (!json_->is_number()) refuse();
  const auto number = json_->get<double>();
  if (!(number >= low && number <= high)) refuse();
  return number;
}

bool Value::boolean() const {
  if (!json_->is_boolean()) refuse();
  return json_->get<bool>();
}

std::string Value::text() const {
  if (!json_->is_string()) refuse();
  auto text = json_->get<std::string>();
  if (text.find('\0') != std::string::npos) refuse();
  return text;
}

std::vector<Value> Value::items() const {
  if (!json_->is_array()) refuse();
  std::vector<Value> all;
  all.reserve(json_->size());
  for (const auto& item : *json_) all.push_back(child(item, key_));
  return all;
}

std::vector<std::pair<std::string, Value>> Value::members() const {
  if (!json_->is_object()) refuse();
  std::vector<std::pair<std::string, Value>> all;
  all.reserve(json_->size());
  for (const auto& [key, value] : json_->items()) all.emplace_back(key, child(value, key));
  return all;
}

}  // namespace edge
