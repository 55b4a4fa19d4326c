// The store: files that the controller pushed, each under the SHA-256 of its content.
//
//   store look DIR [--limit MB] [--launches DIR] [HASH SIZE]...
//                        print which of these files are not there, or have another content, and
//                        make room for them
//   store put DIR HASH SIZE [--gzip] < content
//                        take in a file; what is read is compressed where that is said
//   store adopt FILE     rename a file within its folder to the hash of its content, and print it
//
// Only whole content gets its final name. What was not looked up for an hour, and no living launch
// in the folder --launches links to, is removed where room is short, least recently used first.
#pragma once

#include "words.h"

// What put fails with, beside kUsage and kCannotPrepare.
constexpr int kWrongContent = 65;
constexpr int kNoGzip = 69;
constexpr int kNoRoom = 73;  // look too
constexpr int kCutShort = 74;

int store(Words words);
