#include "supervisor/watch.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "device/process.h"
#include "supervisor/sensors.h"

namespace edge {
namespace {

constexpr double kFirstGlance_s = 0.01;
constexpr double kSense_s = 1;
constexpr double kSenseInPass_s = 0.2;  // a memory pass is disturbed anyway
constexpr int kMaxSensed = 2000;        // events of a kind, so that the record stays readable
constexpr int kMaxTold = 2000;
constexpr int kMaxPss = 10'000;
constexpr double kNever = 1e18;

double sense_every(const Options& options) {
  const double wanted = options.pss_every_s > 0 ? kSenseInPass_s : kSense_s;
  const double least = options.limit_s / kMaxSensed;
  return wanted > least ? wanted : least;
}

}  // namespace

Watch::Watch(const Options& options, Record* record)
    : options_(options),
      record_(record),
      sense_every_s_(sense_every(options)),
      oom_kills_(oom_kills()) {
  CPU_ZERO(&allowed_);
}

void Watch::begin(pid_t runner, double begun_s) {
  runner_ = runner;
  begun_s_ = begun_s;
  next_glance_s_ = begun_s + kFirstGlance_s;
  next_sense_s_ = begun_s + sense_every_s_;
  next_pss_s_ = options_.pss_every_s > 0 ? begun_s + options_.pss_every_s : kNever;
}

double Watch::next_s() const {
  const double next = next_sense_s_ < next_pss_s_ ? next_sense_s_ : next_pss_s_;
  return next_glance_s_ < next ? next_glance_s_ : next;
}

void Watch::look(double now_s) {
  if (now_s >= next_sense_s_) {
    next_sense_s_ = now_s + sense_every_s_;
    sense("during", options_.pss_every_s > 0);
  }
  if (now_s >= next_glance_s_) {  // ever more seldom, up to as seldom as the sensors
    const double age_s = now_s - begun_s_;
    next_glance_s_ = now_s + (age_s < sense_every_s_ ? age_s : sense_every_s_);
    glance();
  }
  if (now_s >= next_pss_s_) {
    next_pss_s_ = ++pss_count_ < kMaxPss ? now_s + options_.pss_every_s : kNever;
    add_pss(now_s);
  }
}

void Watch::glance() {
  glanced_s_ = monotonic_s();
  const long long peak = vmhwm_bytes(runner_);
  if (peak > peak_bytes_) peak_bytes_ = peak;
  // Before its first event it may not have bound itself yet.
  if (told_bytes_ > 0) add_allowed_processors(runner_, &allowed_);
}

void Watch::told() {
  glance();
  struct stat status;
  if (stat("events.jsonl", &status) != 0 || status.st_size <= told_bytes_) return;
  if (told_bytes_ == 0) add_allowed_processors(runner_, &allowed_);
  told_bytes_ = status.st_size;
  if (++told_count_ > kMaxTold) return;
  Entry entry("progress");
  entry.integer("bytes", told_bytes_);
  record_->write_reading(&entry);
}

void Watch::add_to(JsonWriter* event) const {
  if (peak_bytes_ >= 0) event->integer("vmhwm_bytes", peak_bytes_);
  if (oom_kills_ >= 0) event->integer("oom_kills", oom_kills() - oom_kills_);
  char list[2000];
  if (list_processors(allowed_, list, sizeof list)) event->text("affinity", list, sizeof list);
}

void Watch::sense(const char* phase, bool all_memory) {
  Entry entry("environment");
  entry.text("phase", phase);
  if (begun_s_ > 0) entry.number("ms", (monotonic_s() - begun_s_) * 1e3, 1);
  add_sensors(&entry, begun_s_ == 0, all_memory);
  record_->write_reading(&entry);
}

void Watch::add_pss(double now_s) {
  glance();
  const long long bytes = pss_bytes(runner_);
  if (bytes < 0) return;
  Entry entry("pss");
  entry.number("ms", (now_s - begun_s_) * 1e3, 1);
  entry.integer("bytes", bytes);
  record_->write_reading(&entry);
}

}  // namespace edge
