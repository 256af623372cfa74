#include "results.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace demo {
namespace {

const std::vector<Result> results{{"fp32", {0.5, 0.25, 1}, 4000000, 2}, {"int8", {0.375, 0.125, 0.96}, 1000499, 0.5}};

TEST(FormatTable, HasALineForEachResultAndComparesItWithTheFirst) {
  const std::string table = format_table(results);
  EXPECT_EQ(table.substr(0, table.find("\n\n")),
            "variant   word accuracy phoneme error rate  agreement       weights  median/word  speed-up\n"
            "fp32             0.5000             0.2500    100.0 %       4000 kB     2.000 ms     1.00x\n"
            "int8             0.3750             0.1250     96.0 %       1000 kB     0.500 ms     4.00x");
}

TEST(ToJson, WritesWhatTheTableShows) {
  EXPECT_EQ(to_json(results)[1], nlohmann::json::parse(R"({"job": "g2p", "variant": "int8", "word_accuracy": 0.375,
      "phoneme_error_rate": 0.125, "agreement": 0.96, "weight_bytes": 1000499, "ms_per_word": 0.5})"));
}

}  // namespace
}  // namespace demo
