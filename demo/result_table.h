// What a job reports of each variant of its network.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace demo {

/// A number that is known of each variant.
struct Column {
  std::string title;
  std::string format;    ///< how {fmt} prints it, with its unit: "{:.3f} ms"
  std::string json_key;  ///< its name in the result file; empty: it is not in there
  std::string meaning;   ///< a line below the table; empty: the title says it all
  double scale = 1;      ///< the printed number, for a number of 1
};

/// One set of results, to be read by people and by programs.
class ResultTable {
 public:
  ResultTable(std::string job, std::vector<Column> columns) : job_(std::move(job)), columns_(std::move(columns)) {}

  /// @param values  numbers, one for each column; those that are not finite are printed as "-", and null in a file
  void add(const std::string& variant, const std::vector<nlohmann::json>& values);

  /// A line of titles, a line for each variant, and the meaning of the columns.
  std::string format() const;

  /// An array with an object for each variant: {"job": , "variant": , and the columns that have a json_key}.
  nlohmann::json to_json() const;

 private:
  struct Row {
    std::string variant;
    std::vector<nlohmann::json> values;
  };

  std::string job_;
  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

/// Lines of cells with aligned columns: the first to the left, the others to the right.
std::string align(const std::vector<std::vector<std::string>>& lines);

// Columns that several jobs have.
inline const Column kWeightBytes{"weights", "{:.0f} kB", "weight_bytes", "", 1e-3};
inline const Column kMillisecondsPerImage{"median/image", "{:.3f} ms", "ms_per_image", ""};
inline const Column kSqnr{"SQNR", "{:.1f} dB", "sqnr_db", "of the scores: signal of fp32 to the quantization noise"};
inline const Column kSpeedUp{"speed-up", "{:.2f}x", "", ""};

}  // namespace demo
