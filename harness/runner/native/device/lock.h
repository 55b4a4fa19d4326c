// The device's lock: one launch at a time, whoever's.
#pragma once

#include "base/files.h"

namespace edge {

// A folder that all may write, on tmpfs where there is one; null where there is none.
const char* shared_folder();
// Where the lock is unless a file is named: in that folder.
const char* default_lock();

// Opens a file that every user of the device may write, and makes it where there is none.
Fd open_shared(const char* path);
// Opens and locks the file; not open where it is held for longer than a moment.
Fd take_lock(const char* path);
// Writes who holds it, for people.
void sign_lock(int lock, const char* folder);
// Tells what the holder wrote.
void read_holder(const char* path, char* text, size_t size);
bool lock_held(const char* path);

}  // namespace edge
