#include "core/traffic.h"

#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "core/events.h"
#include "core/inputs.h"
#include "core/measure.h"
#include "core/process.h"

namespace edge {
namespace {

constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15;
constexpr double kStep = 0.95;    // from one rate of a search to the next lower one
constexpr double kBounds = 10.0;  // times the bound, a step takes at least
constexpr double kMostRequests = 20000;
constexpr int kSteps = 64;                  // fewer of them are tried
constexpr double kSearchShare = 0.6;        // of the launch's time limit
constexpr std::size_t kRounds = 3;          // of each check seed, so that callers overlap
constexpr std::int64_t kAhead = 1'000'000;  // of the first arrival, ns

struct Caller {
  std::size_t number;
  Engine* engine;
  std::vector<int> processors;  // none where it is not bound
  CallerSamples samples;

  std::int64_t timed() {
    const auto before = monotonic_ns();
    engine->run();
    const auto after = monotonic_ns();
    samples.starts_ns.push_back(before);
    samples.ns.push_back(after - before);
    return after;
  }
};

// The callers' threads, which do one thing after another together.
class Crew {
 public:
  explicit Crew(std::vector<Caller> callers) : callers_(std::move(callers)) {
    for (auto& caller : callers_) threads_.emplace_back([this, &caller] { attend(caller); });
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew() {
    together(nullptr);
    for (auto& thread : threads_) thread.join();
  }

  std::vector<Caller>& callers() { return callers_; }

  void together(std::function<void(Caller&)> work) {
    std::unique_lock<std::mutex> lock(mutex_);
    work_ = std::move(work);
    busy_ = callers_.size();
    ++round_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void attend(Caller& caller) {
    if (!caller.processors.empty()) bind_to_processors(caller.processors);
    prctl(PR_SET_TIMERSLACK, 1);  // it wakes when it is to, and not 50 us later
    std::size_t done = 0;
    std::function<void(Caller&)> work;
    do {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return round_ != done; });
        done = round_;
        work = work_;
      }
      if (work) work(caller);
      const std::lock_guard<std::mutex> lock(mutex_);
      if (--busy_ == 0) changed_.notify_all();
    } while (work);
  }

  std::vector<Caller> callers_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void(Caller&)> work_;
  std::size_t busy_ = 0;
  std::size_t round_ = 0;
};

void wait_until(std::int64_t due_ns) {
  timespec due{};
  due.tv_sec = static_cast<time_t>(due_ns / 1'000'000'000);
  due.tv_nsec = static_cast<decltype(due.tv_nsec)>(due_ns % 1'000'000'000);
  // What is overdue is not asked of the kernel, which takes tens of microseconds in some guests.
  while (monotonic_ns() < due_ns &&
         clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) == EINTR) {
  }
}

void reserve(Crew& crew, std::size_t most) {
  for (auto& caller : crew.callers()) {
    caller.samples = {};
    caller.samples.ns.reserve(most);  // nothing is allocated between two inferences
    caller.samples.starts_ns.reserve(most);
    caller.samples.scheduled_ns.reserve(most);
  }
}

Warmed warm_together(Crew& crew, const WarmupPolicy& policy) {
  Warmed warmed{{}, nullptr};
  std::atomic<bool> steady{false};
  crew.together([&](Caller& caller) {
    if (caller.number == 0) {
      warmed = warm_up(*caller.engine, policy);
      steady = true;
    }
    while (!steady) caller.engine->run();
  });
  return warmed;
}

// Every caller calls again at once, until each has both minima or one its maximum.
void closed_loop(Crew& crew, const Sampling& limits) {
  reserve(crew, limits.max_samples);
  const auto least_ns = static_cast<std::int64_t>(limits.min_seconds * 1e9);
  const auto most_ns = static_cast<std::int64_t>(limits.max_seconds * 1e9);
  std::atomic<std::size_t> left{crew.callers().size()};
  std::atomic<bool> full{false};
  crew.together([&](Caller& caller) {
    const auto begun = monotonic_ns();
    bool enough = false;
    while (left > 0 && !full) {
      const auto passed = caller.timed() - begun;
      const auto made = caller.samples.ns.size();
      if (!enough && made >= limits.min_samples && passed >= least_ns) {
        enough = true;
        --left;
      }
      if (made >= limits.max_samples || passed >= most_ns) full = true;
    }
  });
}

// The callers work off as many requests as the minima take.
void all_at_once(Crew& crew, const Sampling& limits, double each_ns) {
  const auto in_s = [&](double seconds) {
    return seconds * 1e9 / each_ns * static_cast<double>(crew.callers().size());
  };
  const auto least = std::max(static_cast<double>(limits.min_samples), in_s(limits.min_seconds));
  const auto most = std::min(static_cast<double>(limits.max_samples), in_s(limits.max_seconds));
  const auto wanted = static_cast<std::size_t>(std::max(1.0, std::ceil(std::min(least, most))));
  reserve(crew, wanted);
  std::atomic<std::size_t> next{0};
  crew.together([&](Caller& caller) {
    while (next++ < wanted) caller.timed();
  });
}

// Requests are answered as they arrive: a caller that is free takes the next one and waits for it,
// so that no thread of its own has to keep the schedule. Returns whether all were answered;
// `is_lost` of a latency ends it, as one more than `queue` that wait do.
bool serve(Crew& crew, const std::vector<std::int64_t>& due, std::size_t queue,
           const std::function<bool(std::int64_t)>& is_lost) {
  reserve(crew, due.size());
  const auto begun = monotonic_ns() + kAhead;
  std::atomic<std::size_t> next{0};
  std::atomic<bool> over{false};
  crew.together([&](Caller& caller) {
    while (!over) {
      const auto number = next++;
      if (number >= due.size()) return;
      wait_until(begun + due[number]);
      const bool is_long =
          number + queue < due.size() && begun + due[number + queue] < monotonic_ns();
      if (is_long && !caller.samples.ns.empty()) {  // one tells what it carries
        over = true;
        return;
      }
      caller.samples.scheduled_ns.push_back(begun + due[number]);
      if (is_lost(caller.timed() - (begun + due[number]))) over = true;
    }
  });
  return !over;
}

double capacity_of(const std::vector<Caller>& callers) {
  std::size_t made = 0;
  std::int64_t begun = INT64_MAX;
  std::int64_t ended = 0;
  for (const auto& [number, engine, processors, samples] : callers) {
    made += samples.ns.size();
    begun = std::min(begun, samples.starts_ns.front());
    ended = std::max(ended, samples.starts_ns.back() + samples.ns.back());
  }
  return static_cast<double>(made) * 1e9 / static_cast<double>(ended - begun);
}

std::vector<std::int64_t> latencies_of(const std::vector<Caller>& callers) {
  std::vector<std::int64_t> all;
  for (const auto& caller : callers) {
    const auto& samples = caller.samples;
    for (std::size_t at = 0; at < samples.ns.size(); ++at)
      all.push_back(samples.starts_ns[at] + samples.ns[at] - samples.scheduled_ns[at]);
  }
  std::sort(all.begin(), all.end());
  return all;
}

// The highest rate that keeps the bound: down from what a closed loop carries, by 1, 2, 4, ...
// steps until one keeps it, then halving what lies between.
Searched search(Crew& crew, const Job& job, const Traffic& traffic) {
  const auto bound_ns = static_cast<std::int64_t>(traffic.bound_ms * 1e6);
  // Long against the bound: a short burst above what it carries would be answered within it.
  const double seconds = std::max(job.sampling.min_seconds, kBounds * traffic.bound_ms / 1e3);
  const double ends = monotonic_s() + kSearchShare * job.time_limit;
  auto limits = job.sampling;
  limits.min_samples = 5;
  limits.max_seconds = 5.0;
  closed_loop(crew, limits);
  Searched searched;
  searched.capacity_per_s = capacity_of(crew.callers());
  std::vector<CallerSamples> best;
  const auto keeps = [&](int step) {
    const double rate = searched.capacity_per_s * std::pow(kStep, step);
    const auto long_enough = std::min(kMostRequests, std::ceil(rate * seconds));
    const auto requests = std::max(traffic.requests, static_cast<std::size_t>(long_enough));
    const auto may_miss = requests * (100 - traffic.percentile) / 100;
    const auto due = arrivals(rate, requests, traffic.seed + static_cast<unsigned>(step));
    std::atomic<std::size_t> missed{0};
    const bool whole = serve(crew, due, traffic.queue, [&](std::int64_t latency_ns) {
      return latency_ns > bound_ns && ++missed > may_miss;
    });
    const auto latencies = latencies_of(crew.callers());
    const auto place = (latencies.size() * traffic.percentile + 99) / 100;
    searched.steps.push_back(
        {rate, latencies.size(),
         latencies.empty() ? 0 : latencies[std::max<std::size_t>(place, 1) - 1], whole});
    if (whole) {
      best.clear();
      for (const auto& caller : crew.callers()) best.push_back(caller.samples);
    }
    return whole;
  };
  int fails = 0;
  int holds = 1;
  while (holds < kSteps && monotonic_s() < ends && !keeps(holds)) {
    fails = holds;
    holds *= 2;
  }
  if (best.empty()) return searched;
  while (holds - fails > 1 && monotonic_s() < ends) {
    const int middle = (fails + holds) / 2;
    (keeps(middle) ? holds : fails) = middle;
  }
  for (auto& caller : crew.callers()) caller.samples = best[caller.number];
  // One step below: at the highest rate itself half of all further launches would not keep it.
  searched.rate = searched.capacity_per_s * std::pow(kStep, holds + 1);
  return searched;
}

void sample_traffic(Crew& crew, const Job& job, const Traffic& traffic,
                    std::vector<std::int64_t> warm) {
  const auto used_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  std::optional<Searched> searched;
  switch (traffic.scenario) {
    case Scenario::kMulti:
      closed_loop(crew, job.sampling);
      break;
    case Scenario::kOffline: {
      const auto middle = warm.begin() + static_cast<std::ptrdiff_t>(warm.size() / 2);
      if (!warm.empty()) std::nth_element(warm.begin(), middle, warm.end());
      all_at_once(crew, job.sampling, warm.empty() ? 1e9 : static_cast<double>(*middle));
      break;
    }
    case Scenario::kServer:
      if (traffic.search) {
        searched = search(crew, job, traffic);
      } else {
        serve(crew, arrivals(traffic.rate, traffic.requests, traffic.seed), traffic.queue,
              [](std::int64_t) { return false; });
      }
  }
  const auto cpu_ms = static_cast<double>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - used_ns) / 1e6;
  if (searched) tell_search(*searched);
  std::size_t made = 0;
  for (const auto& caller : crew.callers()) made += caller.samples.ns.size();
  for (const auto& caller : crew.callers()) {
    // Of the process's CPU time its share; of a search other samples were taken, too.
    const auto share = static_cast<double>(caller.samples.ns.size()) /
                       static_cast<double>(std::max<std::size_t>(made, 1));
    tell_caller(caller.number, caller.samples,
                searched ? std::nullopt : std::optional<double>(cpu_ms * share));
  }
}

// Each caller's outputs for every check seed, computed while the others call, too: first those of
// its last timed inference.
void return_together(Crew& crew, const Job& job, const std::vector<std::vector<Input>>& checks,
                     const Answer& answer) {
  std::vector<std::vector<Output>> outputs(crew.callers().size());
  for (std::size_t turn = 0; turn < checks.size(); ++turn) {
    const auto seed_of = [&](const Caller& caller) {
      return (caller.number + turn) % checks.size();
    };
    if (turn > 0) {
      for (auto& caller : crew.callers()) caller.engine->bind(checks[seed_of(caller)]);
    }
    crew.together([&](Caller& caller) {
      const bool again = turn > 0 || caller.samples.ns.empty();
      for (std::size_t round = 0; again && round < kRounds; ++round) caller.engine->run();
      outputs[caller.number] = caller.engine->fetch();
    });
    for (const auto& caller : crew.callers())
      answer(caller.number, job.check_seeds[seed_of(caller)], outputs[caller.number]);
  }
}

}  // namespace

std::vector<std::int64_t> arrivals(double rate, std::size_t requests, std::uint64_t seed) {
  std::vector<std::int64_t> due(requests, 0);
  double at = 0.0;
  for (std::size_t request = 1; request < requests; ++request) {
    const auto bits = finalizer(seed + request * kGamma) >> 11;
    at -= std::log1p(-static_cast<double>(bits) / 9007199254740992.0) / rate;
    due[request] = static_cast<std::int64_t>(at * 1e9);
  }
  return due;
}

std::vector<int> share_of(const std::vector<int>& processors, std::size_t instances,
                          std::size_t instance) {
  auto sorted = processors;
  std::sort(sorted.begin(), sorted.end());
  const auto each = static_cast<std::ptrdiff_t>(sorted.size() / instances);
  const auto begin = sorted.begin() + static_cast<std::ptrdiff_t>(instance) * each;
  return {begin, begin + each};
}

void measure_traffic(Engine& first, const Job& job, const Traffic& traffic, const Answer& answer) {
  std::vector<std::vector<Input>> checks;
  CheckInputs given(job, std::nullopt);
  for (const auto seed : job.check_seeds) checks.push_back(given.next(job.inputs, seed));
  given.end();
  std::vector<std::vector<Input>> plain;  // where there are no check seeds
  std::vector<std::unique_ptr<Engine>> further;
  std::vector<Caller> callers;
  for (std::size_t number = 0; number < traffic.callers; ++number) {
    const Doing doing("making caller " + std::to_string(number));
    std::vector<int> processors;
    if (job.affinity) processors = share_of(*job.affinity, traffic.instances, number);
    Engine* engine = &first;
    if (number > 0) {
      if (!processors.empty()) bind_to_processors(processors);
      further.push_back(configure_engine(job).engine);
      engine = further.back().get();
      engine->load();
    }
    callers.push_back({number, engine, std::move(processors), {}});
    if (checks.empty()) plain.push_back(make_inputs(job.inputs, job.seed + number));
  }
  if (job.affinity) bind_to_processors(*job.affinity);
  for (auto& caller : callers) {
    caller.engine->bind(checks.empty() ? plain[caller.number]
                                       : checks[caller.number % checks.size()]);
  }
  Crew crew(std::move(callers));
  Warmed warmed = [&] {
    const Doing doing("warming up");
    return warm_together(crew, job.warmup);
  }();
  tell_warmup(warmed);
  {
    const Doing doing("sampling");
    sample_traffic(crew, job, traffic, std::move(warmed.ns));
  }
  tell_memory(vmhwm_bytes(), first.runtime_bytes());
  const Doing doing("running the check seeds");
  return_together(crew, job, checks, answer);
}

}  // namespace edge
