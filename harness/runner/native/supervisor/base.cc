#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void fail(int status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("edge-supervisor: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(status);
}

void Fd::close() {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

void Text::add(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(data_ + size_, sizeof data_ - size_, format, arguments);
  va_end(arguments);
  if (length < 0 || static_cast<size_t>(length) >= sizeof data_ - size_) {
    data_[size_] = 0;
    whole_ = false;
  } else {
    size_ += static_cast<size_t>(length);
  }
}

void Text::add_quoted(const char* text) {
  add("\"");
  for (int count = 0; *text && count < 200; ++text, ++count) {
    const unsigned char byte = static_cast<unsigned char>(*text);
    if (byte == '"' || byte == '\\') {
      add("\\%c", byte);
    } else {
      add("%c", byte < 0x20 || byte > 0x7e ? '?' : byte);
    }
  }
  add("\"");
}

bool write_all(int descriptor, const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = write(descriptor, at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

bool copy_range(int source, int target, off_t from, off_t to) {
  char chunk[16384];
  while (from < to) {
    const size_t left = static_cast<size_t>(to - from);
    const ssize_t got = pread(source, chunk, left < sizeof chunk ? left : sizeof chunk, from);
    if (got <= 0 || !write_all(target, chunk, static_cast<size_t>(got))) return false;
    from += got;
  }
  return true;
}

void read_text(const char* path, char* text, size_t size) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  size_t length = 0;
  while (file.open() && length + 1 < size) {
    const ssize_t got = read(file.get(), text + length, size - 1 - length);
    if (got <= 0) break;
    length += static_cast<size_t>(got);
  }
  text[length] = 0;
}

void make_folder(const char* path) {
  char part[PATH_MAX];
  snprintf(part, sizeof part, "%s", path);
  for (char* at = part + 1; *at; ++at) {
    if (*at != '/') continue;
    *at = 0;
    mkdir(part, 0755);
    *at = '/';
  }
  if (mkdir(part, 0755) != 0 && errno != EEXIST) {
    fail(kCannotPrepare, "%s: %s", path, strerror(errno));
  }
}

double monotonic_s() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}
