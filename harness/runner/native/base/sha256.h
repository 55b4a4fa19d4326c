// SHA-256 (FIPS 180-4).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace edge {

class Sha256 {
 public:
  void add(const void* data, size_t size);
  // The digest in hexadecimal of all that was added; nothing may be added after.
  const char* text();

 private:
  uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint64_t size_ = 0;
  unsigned char begun_[64];  // a block that is not full yet
  char text_[65] = {};
};

}  // namespace edge
