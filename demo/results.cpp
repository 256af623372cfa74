#include "results.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace demo {

std::string format_table(const std::vector<Result>& results) {
  std::string table = fmt::format("{:<9} {:>13} {:>18} {:>10} {:>13} {:>12} {:>9}\n", "variant", "word accuracy",
                                  "phoneme error rate", "agreement", "weights", "median/word", "speed-up");
  for (const Result& result : results) {
    table += fmt::format("{:<9} {:>13.4f} {:>18.4f} {:>8.1f} % {:>10} kB {:>9.3f} ms {:>8.2f}x\n", result.variant,
                         result.score.word_accuracy, result.score.phoneme_error_rate, 100 * result.score.agreement,
                         (result.weight_bytes + 500) / 1000, result.ms_per_word,
                         results.front().ms_per_word / result.ms_per_word);
  }
  return table +
         "\nword accuracy       words pronounced as the dictionary has it in one of its ways, stress included\n"
         "phoneme error rate  edits to the nearest of these ways, as a share of its phonemes\n"
         "agreement           words pronounced as fp32 does\n";
}

nlohmann::json to_json(const std::vector<Result>& results) {
  nlohmann::json array = nlohmann::json::array();
  for (const Result& result : results) {
    array.push_back({{"job", "g2p"},
                     {"variant", result.variant},
                     {"word_accuracy", result.score.word_accuracy},
                     {"phoneme_error_rate", result.score.phoneme_error_rate},
                     {"agreement", result.score.agreement},
                     {"weight_bytes", result.weight_bytes},
                     {"ms_per_word", result.ms_per_word}});
  }
  return array;
}

}  // namespace demo
