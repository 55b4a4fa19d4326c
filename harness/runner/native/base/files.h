// Files: descriptors that close themselves, and what is read or written whole.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

namespace edge {

class Fd {
 public:
  explicit Fd(int number = -1) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  Fd& operator=(Fd&& other) noexcept {
    close();
    number_ = other.number_;
    other.number_ = -1;
    return *this;
  }
  ~Fd() { close(); }

  int get() const { return number_; }
  bool open() const { return number_ >= 0; }
  void close();

 private:
  int number_;
};

bool write_all(int descriptor, const void* data, size_t size);
// Copies bytes [from, to) of a file; false where either end fails.
bool copy_range(int source, int target, off_t from, off_t to);
// Reads the beginning of a file as a string; an empty one where it cannot be read.
void read_text(const char* path, char* text, size_t size);
// Makes a folder and those above it; one that is there is fine. False with errno where it is not.
bool make_folder(const char* path);

}  // namespace edge
