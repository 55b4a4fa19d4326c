// What every part needs: descriptors that close themselves, bounded text, whole files.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Exit statuses of the commands; the controller decides by them.
constexpr int kUsage = 64;
constexpr int kBusy = 75;
constexpr int kLeased = 77;
constexpr int kCannotPrepare = 98;

[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(int status, const char* format, ...);

class Fd {
 public:
  explicit Fd(int number = -1) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { close(); }

  int get() const { return number_; }
  bool open() const { return number_ >= 0; }
  void close();

 private:
  int number_;
};

// Text of at most 64 KiB; what does not fit is left out, and `whole` says so.
class Text {
 public:
  __attribute__((format(printf, 2, 3))) void add(const char* format, ...);
  // A JSON string of at most 200 characters; bytes outside printable ASCII become '?'.
  void add_quoted(const char* text);

  const char* data() const { return data_; }
  size_t size() const { return size_; }
  bool whole() const { return whole_; }

 private:
  char data_[65536] = {};
  size_t size_ = 0;
  bool whole_ = true;
};

bool write_all(int descriptor, const void* data, size_t size);
// Copies bytes [from, to) of a file; false where either end fails.
bool copy_range(int source, int target, off_t from, off_t to);
// Reads the beginning of a file as a string; an empty one where it cannot be read.
void read_text(const char* path, char* text, size_t size);
// Makes a folder and those above it, or fails with kCannotPrepare; one that is there is fine.
void make_folder(const char* path);
// Seconds that no clock setting changes.
double monotonic_s();
