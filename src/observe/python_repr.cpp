#include <observe/python_repr.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

namespace octet {
namespace {

constexpr size_t kLineWidth = 80;
constexpr size_t kSummarizeAbove = 1000;
constexpr size_t kEdgeItems = 3;
constexpr size_t kIndent = std::char_traits<char>::length("tensor(");

std::string printed(const char* format, double value) {
  char buffer[400];  // the largest double has 309 digits before the point
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

// The one printf format that torch gives all numbers of a floating tensor.
const char* common_format(const std::vector<double>& values) {
  double smallest = INFINITY;
  double largest = 0;
  bool all_integers = true;
  for (const double value : values) {
    if (!std::isfinite(value) || value == 0) continue;
    smallest = std::min(smallest, std::fabs(value));
    largest = std::max(largest, std::fabs(value));
    all_integers = all_integers && value == std::ceil(value);
  }
  if (largest > 0 && (largest / smallest > 1000 || largest > 1e8 || smallest < 1e-4)) return "%.4e";
  return all_integers ? "%.0f" : "%.4f";
}

struct Column {
  std::vector<std::string> items;
  size_t width = 1;  // that the items are padded to; longer ones stick out
};

Column column_of(const std::vector<double>& values) {
  const std::string format = common_format(values);
  Column column;
  for (const double value : values) {
    std::string item = printed(format.c_str(), value);
    if (format == "%.0f" && std::isfinite(value)) item += '.';
    if (std::isfinite(value) && value != 0) column.width = std::max(column.width, item.size());  // as torch counts
    column.items.push_back(std::move(item));
  }
  return column;
}

Column column_of(const std::vector<int64_t>& values) {
  Column column;
  for (const int64_t value : values) {
    column.items.push_back(python_repr(value));
    column.width = std::max(column.width, column.items.back().size());
  }
  return column;
}

std::string joined(Column column, bool summarized) {
  auto& [items, width] = column;
  for (auto& item : items) item.insert(0, width - std::min(width, item.size()), ' ');
  if (summarized) items.insert(items.begin() + kEdgeItems, " ...");

  const size_t per_line = std::max<size_t>(1, (kLineWidth - kIndent) / (width + 2));
  std::string text = "[";
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += i % per_line == 0 ? ",\n" + std::string(kIndent + 1, ' ') : ", ";
    text += items[i];
  }
  return text + ']';
}

template <class Scalar>
std::vector<Scalar> values_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().cpu().to(c10::CppTypeToScalarType<Scalar>::value).reshape({-1}).contiguous();
  const auto* data = flat.const_data_ptr<Scalar>();
  return {data, data + flat.numel()};
}

}  // namespace

std::string python_repr(double value) {
  if (!std::isfinite(value)) return printed("%f", value);
  char buffer[32];
  const auto magnitude = std::fabs(value);
  const bool fixed = value == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
  const auto format = fixed ? std::chars_format::fixed : std::chars_format::scientific;
  std::string text(buffer, std::to_chars(buffer, std::end(buffer), value, format).ptr);
  return fixed && text.find('.') == std::string::npos ? text + ".0" : text;
}

std::string python_repr(const at::Tensor& tensor) {
  const bool floating = tensor.is_floating_point();
  if (tensor.dim() == 0) return floating ? python_repr(tensor.item<double>()) : python_repr(tensor.item<int64_t>());

  const bool summarized = static_cast<size_t>(tensor.numel()) > kSummarizeAbove;
  const auto summarize = [&](auto values) {
    if (summarized) values.erase(values.begin() + kEdgeItems, values.end() - kEdgeItems);
    return values;
  };
  Column column = floating ? column_of(summarize(values_of<double>(tensor))) : column_of(summarize(values_of<int64_t>(tensor)));

  static const std::map<at::ScalarType, std::string> kNamedDTypes{
      {at::kByte, "uint8"}, {at::kChar, "int8"}, {at::kInt, "int32"}, {at::kHalf, "float16"}, {at::kDouble, "float64"}};
  const auto dtype = kNamedDTypes.find(tensor.scalar_type());
  const std::string suffix = dtype == kNamedDTypes.end() ? "" : ", dtype=torch." + dtype->second;
  return "tensor(" + joined(std::move(column), summarized) + suffix + ')';
}

}  // namespace octet
