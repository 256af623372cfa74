#include "machine_limits.h"

#include "peak.h"

#include <octet/kernels/isa.h>

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <barrier>
#include <chrono>
#include <limits>
#include <map>
#include <numeric>
#include <thread>

namespace bench {
namespace {

using octet::kernels::Isa;

// Many short turns: on a machine that others use, some of them are not interrupted.
constexpr double kSecondsOfATurn = 0.004;
constexpr int kTurns = 25;

/// The best of several turns, in which all threads call `work`, which returns how much it did, again and again.
template <class Work>
double rate(int threads, const Work& work) {
  double best = 0;
  for (int turn = 0; turn < kTurns; ++turn) {
    std::vector<double> rates(threads);
    std::barrier start(threads);
    const auto run = [&](int thread) {
      work(thread);  // warm
      start.arrive_and_wait();
      double done = 0, seconds = 0;
      const auto begin = std::chrono::steady_clock::now();
      while (seconds < kSecondsOfATurn) {
        done += work(thread);
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      }
      rates[thread] = done / seconds;
    };
    {
      std::vector<std::jthread> others;
      for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
      run(0);
    }
    best = std::max(best, std::accumulate(rates.begin(), rates.end(), 0.0));
  }
  return best;
}

double macs_per_second(int threads) {
  const std::map<Isa, Peak> peaks{
#if defined(__x86_64__)
      {Isa::avx2, peak_avx2},
      {Isa::avx512_vnni, peak_avx512vnni},
#endif
  };
  const auto peak = peaks.find(octet::kernels::selected_isa());
  return peak == peaks.end() ? 0.0 : rate(threads, [&](int) { return peak->second(10'000); });
}

/// @param bytes  that each thread reads
double bytes_per_second(int threads, int64_t bytes) {
  std::vector<std::vector<uint64_t>> buffers(threads, std::vector<uint64_t>(bytes / sizeof(uint64_t), 1));
  return rate(threads, [&](int thread) {
    const std::vector<uint64_t>& buffer = buffers[thread];
    uint64_t sums[8] = {};
    for (size_t i = 0; i + 8 <= buffer.size(); i += 8) {
      for (size_t l = 0; l < 8; ++l) sums[l] += buffer[i + l];
    }
    volatile uint64_t keep = std::accumulate(std::begin(sums), std::end(sums), uint64_t{0});
    static_cast<void>(keep);
    return static_cast<double>(bytes);
  });
}

/// The size of a level of the cache, or what is usual where the system does not tell.
int64_t cache_size(int name, int64_t usual) {
  const int64_t size = sysconf(name);
  return size > 0 ? size : usual;
}

}  // namespace

double Limits::seconds(const Work& work, double bytes_per_weight) const {
  const auto could_hold = [&](const Bandwidth& level) {
    return work.weights * bytes_per_weight <= static_cast<double>(level.capacity);
  };
  const auto level = std::ranges::find_if(bandwidths, could_hold);
  const double rate = (level == bandwidths.end() ? bandwidths.back() : *level).bytes_per_second;
  const double reading = work.weights_read * bytes_per_weight / rate;
  return macs_per_second > 0 ? std::max(reading, work.macs / macs_per_second) : reading;
}

Limits measure_limits(int threads) {
  Limits limits{threads, macs_per_second(threads), {}};
  // Guests see the last level of the whole machine, of which they have a part.
  const int64_t l1 = cache_size(_SC_LEVEL1_DCACHE_SIZE, 32 << 10), l2 = cache_size(_SC_LEVEL2_CACHE_SIZE, 512 << 10);
  const int64_t l3 = std::min<int64_t>(cache_size(_SC_LEVEL3_CACHE_SIZE, 16 << 20), 32 << 20), dram = 256 << 20;
  const auto measure = [&](std::string_view level, int64_t bytes, int64_t capacity) {
    limits.bandwidths.push_back({level, bytes, capacity, bytes_per_second(threads, bytes)});
  };
  measure("L1", l1 / 2, l1 * threads);
  measure("L2", l2 / 2, l2 * threads);
  measure("L3", l3 / 4 / threads, l3);
  measure("DRAM", dram, std::numeric_limits<int64_t>::max());
  return limits;
}

void print_limits() {
  fmt::print("Limits of this machine: exact sums of products of 8-bit integers ({}), and reading, each thread its own part\n\n",
             octet::kernels::name(octet::kernels::selected_isa()));
  const auto cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  for (int threads = 1; threads <= cores; threads *= 2) {
    const Limits limits = measure_limits(threads);
    if (threads == 1) {
      fmt::print("{:>7}{:>10}", "threads", "GMAC/s");
      for (const auto& level : limits.bandwidths)
        fmt::print("{:>21}", fmt::format("{} ({} KiB)", level.level, level.bytes / 1024));
      fmt::print("\n");
    }
    fmt::print("{:>7}{:>10}", threads, limits.macs_per_second > 0 ? fmt::format("{:.1f}", limits.macs_per_second / 1e9) : "-");
    for (const auto& level : limits.bandwidths) fmt::print("{:>21}", fmt::format("{:.1f} GB/s", level.bytes_per_second / 1e9));
    fmt::print("\n");
  }
}

}  // namespace bench
