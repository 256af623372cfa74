#include <octet/workflow/report.h>

#include <algorithm>
#include <array>
#include <ostream>

namespace octet {

namespace {
constexpr std::array<std::string_view, 7> kNames{"quantized", "observed", "kept",    "fused",
                                                 "not swappable", "wrapped", "adjusted"};
}  // namespace

std::string_view name(ModuleStatus status) { return kNames.at(static_cast<size_t>(status)); }

int64_t Report::count(ModuleStatus status) const {
  return std::count_if(rows_.begin(), rows_.end(), [&](const ReportRow& row) { return row.status == status; });
}

const ReportRow* Report::find(std::string_view path) const {
  const auto found = std::find_if(rows_.begin(), rows_.end(), [&](const ReportRow& row) { return row.path == path; });
  return found == rows_.end() ? nullptr : &*found;
}

std::ostream& operator<<(std::ostream& stream, const Report& report) {
  const auto shown_path = [](const ReportRow& row) { return row.path.empty() ? std::string("(model)") : row.path; };
  size_t path_width = 6, type_width = 4;
  for (const ReportRow& row : report.rows_) {
    path_width = std::max(path_width, shown_path(row).size());
    type_width = std::max(type_width, row.type.size());
  }
  const auto line = [&](std::string_view path, std::string_view type, std::string_view status, std::string_view detail) {
    const auto cell = [&](std::string_view text, size_t width) {
      stream << text << std::string(width > text.size() ? width - text.size() : 0, ' ') << "  ";
    };
    cell(path, path_width);
    cell(type, type_width);
    cell(status, name(ModuleStatus::not_swappable).size());
    stream << detail << '\n';
  };
  line("module", "type", "status", "detail");
  for (const ReportRow& row : report.rows_) line(shown_path(row), row.type, name(row.status), row.detail);
  std::string_view separator = "";
  for (size_t status = 0; status < kNames.size(); ++status) {
    if (const int64_t count = report.count(static_cast<ModuleStatus>(status))) {
      stream << separator << count << ' ' << kNames[status];
      separator = ", ";
    }
  }
  return stream << '\n';
}

}  // namespace octet
