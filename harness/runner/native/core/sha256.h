// SHA-256 (FIPS 180-4).
#pragma once

#include <cstddef>
#include <string>

namespace edge {

// The digest of some bytes, in hexadecimal.
std::string sha256(const void* data, std::size_t size);

}  // namespace edge
