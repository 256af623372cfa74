#include "result_table.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

namespace demo {
namespace {

ResultTable results() {
  ResultTable table("digits", {{"accuracy", "{:.3f}", "accuracy", "share of images that are right"},
                               {"bytes", "{:.0f} kB", "weight_bytes", "", 1e-3},
                               {"SQNR", "{:.1f} dB", "sqnr_db", "noise"},
                               {"speed-up", "{:.2f}x", "", ""}});
  table.add("fp32", {0.5, 4000000, std::numeric_limits<double>::infinity(), 1.0});
  table.add("static_x86", {0.375, 1000499, 40.25, 4.0});
  return table;
}

TEST(ResultTable, AlignsALineForEachVariantAndExplainsItsColumns) {
  EXPECT_EQ(results().format(),
            "variant     accuracy    bytes     SQNR  speed-up\n"
            "fp32           0.500  4000 kB        -     1.00x\n"
            "static_x86     0.375  1000 kB  40.2 dB     4.00x\n"
            "\n"
            "accuracy  share of images that are right\n"
            "SQNR      noise\n");
}

TEST(ResultTable, WritesAnObjectForEachVariant) {
  EXPECT_EQ(nlohmann::json::parse(results().to_json().dump()), nlohmann::json::parse(R"([
      {"job": "digits", "variant": "fp32", "accuracy": 0.5, "weight_bytes": 4000000, "sqnr_db": null},
      {"job": "digits", "variant": "static_x86", "accuracy": 0.375, "weight_bytes": 1000499, "sqnr_db": 40.25}])"));
}

TEST(ResultTable, RefusesALineOfAnotherWidth) {
  ResultTable table = results();
  EXPECT_THROW(table.add("int8", {0.5}), std::invalid_argument);
  EXPECT_EQ(table.to_json().size(), 2u);
}

TEST(Align, PutsTheFirstColumnToTheLeftAndTheOthersToTheRight) {
  EXPECT_EQ(align({{"a", "1", "x"}, {"long", "100"}, {"b", "", "yy"}}), "a       1   x\nlong  100\nb          yy\n");
  EXPECT_EQ(align({}), "");
}

}  // namespace
}  // namespace demo
