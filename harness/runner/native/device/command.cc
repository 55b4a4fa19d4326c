#include "device/command.h"

#include <stdarg.h>
#include <stdio.h>

namespace edge {

void fail(int status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("edge-supervisor: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(status);
}

}  // namespace edge
