// What a launch is begun with.
#pragma once

#include <sched.h>
#include <sys/resource.h>

#include "supervisor/conditions.h"

namespace edge {

struct Options {
  const char* lock = nullptr;  // the device's lock file
  double limit_s = 120;
  double pss_every_s = 0;             // 0: no memory pass
  const char* model_cache = nullptr;  // a folder that is there
  bool drop_caches = false;
  Conditions conditions;
  cpu_set_t affinity;
  bool bound = false;
  const char* environment[64] = {};  // NAME=VALUE
  int environment_count = 0;
  struct Limit {
    int resource;
    rlimit value;
  } limits[16] = {};
  int limit_count = 0;
  char** program = nullptr;  // and its arguments, up to a null
};

}  // namespace edge
