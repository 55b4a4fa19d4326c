// The store: files that the controller pushed, each under the SHA-256 of its content.
//
// Only whole content gets its final name. What was not looked up for an hour, and no living launch
// in the folder --launches links to, is removed where room is short, least recently used first.
#pragma once

#include "device/command.h"

namespace edge {

// What put fails with, beside kUsage and kCannotPrepare.
constexpr int kWrongContent = 65;
constexpr int kNoGzip = 69;
constexpr int kNoRoom = 73;  // look too
constexpr int kCutShort = 74;

constexpr char kStoreHelp[] =
    "  store look DIR [--limit MB] [--launches DIR] [HASH SIZE]...\n"
    "                       print which of these files are missing or have another content, and\n"
    "                       make room for them\n"
    "  store put DIR HASH SIZE [--gzip] < content\n"
    "                       take in a file; --gzip: what is read is compressed\n"
    "  store adopt FILE     rename a file within its folder to the hash of its content, and print "
    "it\n";

int store(Words words);

}  // namespace edge
