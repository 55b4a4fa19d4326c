// What the calibration runner does in an inference, and nothing else: a loop that is timed.
//
//   calibration work STEPS SECONDS | calibration spin MICROSECONDS SECONDS
//
// Prints each duration in nanoseconds.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kMost = 100000 };

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static volatile uint64_t sink;

static void work(uint64_t steps) {
  uint64_t x = 88172645463325252ULL;
  for (uint64_t step = 0; step < steps; ++step) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  sink = x;
}

static void spin(int64_t ns) {
  const int64_t begun = now_ns();
  while (now_ns() - begun < ns) {
  }
}

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const int works = strcmp(arguments[1], "work") == 0;
  const int64_t amount = atoll(arguments[2]);
  const double seconds = atof(arguments[3]);
  static int64_t samples[kMost];
  int taken = 0;
  const int64_t begun = now_ns();
  while (taken < kMost && (double)(now_ns() - begun) < seconds * 1e9) {
    const int64_t before = now_ns();
    if (works) {
      work((uint64_t)amount);
    } else {
      spin(amount * 1000);
    }
    samples[taken++] = now_ns() - before;
  }
  for (int index = 0; index < taken; ++index) printf("%lld\n", (long long)samples[index]);
  return 0;
}
