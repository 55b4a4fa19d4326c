#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

namespace edge {

void Fd::close() {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
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
    const auto left = static_cast<size_t>(to - from);
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

bool make_folder(const char* path) {
  char part[PATH_MAX];
  snprintf(part, sizeof part, "%s", path);
  for (char* at = part + 1; *at != 0; ++at) {
    if (*at != '/') continue;
    *at = 0;
    mkdir(part, 0755);
    *at = '/';
  }
  return mkdir(part, 0755) == 0 || errno == EEXIST;
}

}  // namespace edge
