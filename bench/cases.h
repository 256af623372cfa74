// What octet_bench measures: suites of cases, each of which several implementations compute. The names are those of the
// benchmark that measures other libraries on this machine, so that the numbers can stand in one table.
#pragma once

#include "work.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// A network, ready to run on the input of its case.
struct Implementation {
  std::string name;  ///< "octet_fp32", which comes first, "octet_int8", ...
  std::function<void()> run;
  double sqnr_db;  ///< of its output against octet_fp32's; infinite for octet_fp32 itself, NaN where there is nothing to compare
  int64_t size_bytes;  ///< of the file that octet::save writes, or what the suite says; 0: not known

  Work work = {};               ///< of a run; none: not said
  double bytes_per_weight = 4;  ///< 1 for int8

  std::shared_ptr<torch::nn::Module> model = nullptr;  ///< whose layers `run` computes; null: not said

  /// Training: the peak of memory beyond that of octet_fp32, as a share of its activations; NaN: not known.
  double extra_memory = std::numeric_limits<double>::quiet_NaN();
};

/// What a case needs is not on this machine; the text says what, and how it comes there.
class Unavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Case {
  std::string name;
  std::function<std::vector<Implementation>()> build;  ///< takes seconds. @throws Unavailable
};

struct Suite {
  std::string name;
  std::vector<Case> cases;
  std::string size_title = "MB";  ///< what size_bytes is, in 10^6 bytes
};

const std::vector<Suite>& suites();

/// Null for what is not known.
const Suite* find_suite(std::string_view name);
const Case* find_case(std::string_view suite, std::string_view name);

/// Linear maps, recurrent networks, and transformers' encoders, dynamically quantized.
Suite linear_suite();
Suite lstm_suite();
Suite transformer_suite();

/// Convolutional networks of images and of a video.
Suite cnn_suite();

/// Training steps of some of them.
Suite qat_suite();

}  // namespace bench
