// Measures Octet on whole networks: for people as a table, for a program that compares libraries as JSON.

#include "cases.h"
#include "layers.h"
#include "machine_limits.h"
#include "timing.h"

#include <ATen/Parallel.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cmath>
#include <iostream>
#include <stdexcept>

namespace bench {
namespace {

using nlohmann::json;

struct Request {
  std::string suite, case_name;
  int threads = 1;
  double budget_ms = 1000;
  bool layers = false;
};

/// Keeps the networks of the last case, since the same is asked for again and again.
class Runner {
 public:
  /// Times the implementations of a case; none of one that is not available, which is said on the standard error.
  /// @param rounds  in which they take turns
  std::vector<Timing> time(const Case& which, int threads, double budget_ms, int rounds) {
    at::set_num_threads(threads);
    if (built_ != &which) build(which);
    std::vector<std::function<void()>> calls;
    for (const Implementation& implementation : implementations_) calls.push_back(implementation.run);
    return time_in_turns(calls, budget_ms, rounds);
  }

  /// Of the last case.
  const std::vector<Implementation>& implementations() const { return implementations_; }

 private:
  void build(const Case& which) {
    implementations_.clear();
    try {
      implementations_ = which.build();
    } catch (const Unavailable& error) {
      fmt::print(stderr, "octet_bench: {} is left out: {}\n", which.name, error.what());
    }
    built_ = &which;
  }

  const Case* built_ = nullptr;
  std::vector<Implementation> implementations_;
};

/// Prints a line of JSON for each implementation; nothing for a case that is not known.
void answer(Runner& runner, const Request& request) {
  const Case* const which = find_case(request.suite, request.case_name);
  if (!which) {
    fmt::print(stderr, "octet_bench: there is no case {} in a suite {}\n", request.case_name, request.suite);
    return;
  }
  const auto timings = runner.time(*which, request.threads, request.budget_ms, /*rounds=*/1);
  for (size_t i = 0; i < timings.size(); ++i) {
    const Implementation& implementation = runner.implementations()[i];
    json row{{"suite", request.suite},
             {"case", request.case_name},
             {"impl", implementation.name},
             {"threads", request.threads},
             {"ms_median", timings[i].ms_median},
             {"ms_min", timings[i].ms_min},
             {"size_bytes", implementation.size_bytes}};
    if (std::isfinite(implementation.sqnr_db)) row["sqnr_db"] = implementation.sqnr_db;
    if (std::isfinite(implementation.extra_memory)) row["extra_memory"] = implementation.extra_memory;
    std::cout << row << std::endl;
  }
}

/// Answers requests, a line of JSON each, until the input ends; an empty line ends an answer.
void serve() {
  Runner runner;
  for (std::string line; std::getline(std::cin, line);) {
    const json request = json::parse(line);
    answer(runner, {request.at("suite"), request.at("case"), request.at("threads"), request.at("budget_ms")});
    std::cout << std::endl;
  }
}

std::string cell(bool is_known, const char* format, double value) {
  return is_known ? fmt::format(fmt::runtime(format), value) : "-";
}

std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

void print_rows(const Case& which, const std::vector<Implementation>& implementations, const std::vector<Timing>& timings,
                const Limits& limits) {
  for (size_t i = 0; i < timings.size(); ++i) {
    const Implementation& implementation = implementations[i];
    const double seconds = timings[i].ms_median / 1000;
    const Work& work = implementation.work;
    const double limit = limits.seconds(work, implementation.bytes_per_weight);
    const bool counts = work.macs > 0;
    fmt::print("{:<27}{:<21}{:>10.3f}{:>10.3f}{:>9.2f}x{:>10}{:>10}{:>9}{:>8}{:>7}{:>14}\n", i == 0 ? which.name : "",
               implementation.name, timings[i].ms_median, timings[i].ms_min, timings[0].ms_median / timings[i].ms_median,
               std::isinf(implementation.sqnr_db) ? "exact"
                                                  : cell(!std::isnan(implementation.sqnr_db), "{:.1f}", implementation.sqnr_db),
               cell(implementation.size_bytes > 0, "{:.2f}", static_cast<double>(implementation.size_bytes) / 1e6),
               cell(counts, "{:.1f}", work.macs / seconds / 1e9),
               cell(counts, "{:.1f}", work.weights_read * implementation.bytes_per_weight / seconds / 1e9),
               counts && i > 0 ? percent(limit / seconds) : "-",
               cell(!std::isnan(implementation.extra_memory), "{:.2f}", implementation.extra_memory));
  }
  std::fflush(stdout);
}

/// All cases of the suite, or of all suites.
void print_table(const Request& request) {
  if (!request.suite.empty() && !find_suite(request.suite)) {
    throw std::invalid_argument(fmt::format("there is no suite {}; --help lists them", request.suite));
  }
  fmt::print(
      "{} thread{}; the speed-up is that over octet_fp32; GMAC/s count the products with weights, and GB/s the reading of "
      "these,\n"
      "at every step of a recurrent network; the limit is the share of what this machine can multiply or read (--limits),\n"
      "whichever takes longer; extra memory of training is beyond that of octet_fp32, as a share of its activations\n\n",
      request.threads, request.threads == 1 ? "" : "s");
  const Limits limits = measure_limits(request.threads);
  Runner runner;
  for (const Suite& suite : suites()) {
    if (!request.suite.empty() && suite.name != request.suite) continue;
    fmt::print("{:<27}{:<21}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}{:>8}{:>7}{:>14}\n", "case", "implementation", "median ms",
               "least ms", "speed-up", "SQNR dB", suite.size_title, "GMAC/s", "GB/s", "limit", "extra memory");
    for (const Case& which : suite.cases) {
      const auto timings = runner.time(which, request.threads, request.budget_ms, /*rounds=*/5);
      print_rows(which, runner.implementations(), timings, limits);
      for (const Implementation& implementation : runner.implementations()) {
        if (!request.layers || !implementation.model || implementation.bytes_per_weight != 1) continue;
        fmt::print("\n  layers of {} {}\n", which.name, implementation.name);
        print_layers(implementation, request.budget_ms, limits);
        fmt::print("\n");
      }
    }
  }
}

std::string known_cases() {
  std::string text = "Suites and their cases:";
  for (const Suite& suite : suites()) {
    text += "\n  " + suite.name + ":";
    for (const Case& which : suite.cases) text += " " + which.name;
  }
  return text;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  bench::Request request;
  bool serves = false, shows_limits = false;
  CLI::App app("Measures Octet on whole networks. Prints a table, or with --case or --serve a line of JSON for each result.");
  app.footer(bench::known_cases());
  auto* const serve =
      app.add_flag("--serve", serves, "answer JSON requests {\"suite\", \"case\", \"threads\", \"budget_ms\"} on stdin");
  app.add_flag("--limits", shows_limits, "measure what this machine can do at most, and nothing else")->excludes(serve);
  auto* const suite = app.add_option("--suite", request.suite, "the suite to run; all by default")->excludes(serve);
  auto* const only = app.add_option("--case", request.case_name, "one case of it, with results as JSON")->needs(suite);
  app.add_flag("--layers", request.layers, "with the table, the time of each layer of the quantized networks (suite cnn)")
      ->excludes(serve)
      ->excludes(only);
  app.add_option("--threads", request.threads, "threads of a forward")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--budget-ms", request.budget_ms, "time for each implementation")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    if (serves) {
      bench::serve();
    } else if (shows_limits) {
      bench::print_limits();
    } else if (*only) {
      bench::Runner runner;
      bench::answer(runner, request);
    } else {
      bench::print_table(request);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "octet_bench: {}\n", error.what());
    return 1;
  }
}
