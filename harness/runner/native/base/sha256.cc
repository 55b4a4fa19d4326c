#include "base/sha256.h"

#include <string.h>

namespace edge {
namespace {

constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

uint32_t rotated(uint32_t x, int by) { return (x >> by) | (x << (32 - by)); }

void absorb(uint32_t (&state)[8], const unsigned char* block) {
  uint32_t w[64];
  for (int i = 0; i < 16; ++i) {
    w[i] = static_cast<uint32_t>(block[4 * i]) << 24 |
           static_cast<uint32_t>(block[4 * i + 1]) << 16 |
           static_cast<uint32_t>(block[4 * i + 2]) << 8 | block[4 * i + 3];
  }
  for (int i = 16; i < 64; ++i) {
    const auto s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const auto s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (int i = 0; i < 64; ++i) {
    const auto t1 = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) +
                    kRound[i] + w[i];
    const auto t2 =
        (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const uint32_t last[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i) state[i] += last[i];
}

}  // namespace

void Sha256::add(const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  while (size > 0) {
    const size_t filled = size_ % sizeof begun_;
    if (filled == 0 && size >= sizeof begun_) {
      absorb(state_, bytes);
      size_ += sizeof begun_, bytes += sizeof begun_, size -= sizeof begun_;
      continue;
    }
    const size_t room = sizeof begun_ - filled;
    const size_t taken = size < room ? size : room;
    memcpy(begun_ + filled, bytes, taken);
    size_ += taken, bytes += taken, size -= taken;
    if (taken == room) absorb(state_, begun_);
  }
}

const char* Sha256::text() {
  // A one bit, zeros up to the end of a block, and the length in bits.
  const uint64_t bits = size_ * 8;
  unsigned char end[72] = {0x80};
  const size_t padded = 1 + (119 - size_ % 64) % 64;
  for (size_t i = 0; i < 8; ++i) {
    end[padded + i] = static_cast<unsigned char>(bits >> (56 - 8 * i));
  }
  add(end, padded + 8);
  char* at = text_;
  for (const auto word : state_)
    for (int shift = 28; shift >= 0; shift -= 4) *at++ = "0123456789abcdef"[(word >> shift) & 15];
  return text_;
}

}  // namespace edge
