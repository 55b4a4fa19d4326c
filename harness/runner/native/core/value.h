// Reads JSON strictly: what is missing, of another type or out of bounds ends the launch.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/fail.h"

namespace edge {

// A value of a document, which must outlive it.
class Value {
 public:
  Value operator[](const char* key) const;  // of an object, which must have it
  std::optional<Value> find(const char* key) const;
  void allow_only(std::initializer_list<const char*> keys) const;

  std::int64_t integer(std::int64_t low, std::int64_t high) const;
  double number(double low, double high) const;
  bool boolean() const;
  std::string text() const;
  std::vector<Value> items() const;                            // of a list
  std::vector<std::pair<std::string, Value>> members() const;  // of an object
  bool is_null() const { return json_->is_null(); }

  [[noreturn]] void refuse() const;

 private:
  friend class Document;
  Value(const nlohmann::json* json, std::string key, const std::string* path, Fault fault)
      : json_(json), key_(std::move(key)), path_(path), fault_(fault) {}
  Value child(const nlohmann::json& json, std::string key) const {
    return {&json, std::move(key), path_, fault_};
  }

  const nlohmann::json* json_;
  std::string key_;          // the nearest
  const std::string* path_;  // of the file
  Fault fault_;              // whose it is if something is wrong
};

// A JSON file of at most 1 MiB.
class Document {
 public:
  Document(const std::string& path, Fault fault);
  Value root() const { return {&json_, "", &path_, fault_}; }

 private:
  std::string path_;
  Fault fault_;
  nlohmann::json json_;
};

}  // namespace edge
