#include "result_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace demo {

void ResultTable::add(const std::string& variant, const std::vector<nlohmann::json>& values) {
  if (values.size() != columns_.size()) {
    throw std::invalid_argument(
        fmt::format("{}: got {} values for {} columns; give one for each", variant, values.size(), columns_.size()));
  }
  rows_.push_back({variant, values});
}

std::string ResultTable::format() const {
  std::vector<std::vector<std::string>> lines{{"variant"}};
  size_t width = 0;  // of the titles to explain
  for (const Column& column : columns_) {
    lines.front().push_back(column.title);
    if (!column.meaning.empty()) width = std::max(width, column.title.size());
  }
  for (const Row& row : rows_) {
    std::vector<std::string>& line = lines.emplace_back(1, row.variant);
    for (size_t i = 0; i < columns_.size(); ++i) {
      const auto value = row.values[i].get<double>() * columns_[i].scale;
      line.push_back(std::isfinite(value) ? fmt::format(fmt::runtime(columns_[i].format), value) : "-");
    }
  }
  std::string text = align(lines);
  if (width > 0) text += '\n';
  for (const Column& column : columns_) {
    if (!column.meaning.empty()) text += fmt::format("{:<{}}  {}\n", column.title, width, column.meaning);
  }
  return text;
}

nlohmann::json ResultTable::to_json() const {
  nlohmann::json array = nlohmann::json::array();
  for (const Row& row : rows_) {
    nlohmann::json object{{"job", job_}, {"variant", row.variant}};
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (!columns_[i].json_key.empty()) object[columns_[i].json_key] = row.values[i];
    }
    array.push_back(std::move(object));
  }
  return array;
}

std::string align(const std::vector<std::vector<std::string>>& lines) {
  std::vector<size_t> widths;
  for (const auto& line : lines) {
    widths.resize(std::max(widths.size(), line.size()));
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : lines) {
    std::string aligned;
    for (size_t i = 0; i < line.size(); ++i) {
      aligned += i == 0 ? fmt::format("{:<{}}", line[i], widths[i]) : fmt::format("  {:>{}}", line[i], widths[i]);
    }
    text += aligned.substr(0, aligned.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

}  // namespace demo
