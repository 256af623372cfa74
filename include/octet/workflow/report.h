#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

/// What a workflow did with one module.
enum class ModuleStatus : uint8_t {
  quantized,      ///< it computes with integers (or halves) now
  observed,       ///< it has an observer or fake quantization now
  kept,           ///< it stays as it was, because the workflow was told so or has nothing for its class
  fused,          ///< it became part of one module with others
  not_swappable,  ///< it was meant to be quantized, but its place in the model holds a class that cannot be swapped
  wrapped,        ///< it stands between a QuantStub and a DeQuantStub of its own now
  adjusted,       ///< its float weight or bias was changed
};

std::string_view name(ModuleStatus status);

/// One module of the model.
struct ReportRow {
  std::string path;  ///< "encoder.fc"; empty for the model itself
  std::string type;  ///< "Linear"
  ModuleStatus status;
  std::string detail;  ///< what it became, or why it stayed and what to do about it
};

/// What a workflow did: a row for each module that computes something, in the order of registration. Nothing is left out.
class Report {
 public:
  void add(ReportRow row) { rows_.push_back(std::move(row)); }
  const std::vector<ReportRow>& rows() const { return rows_; }
  int64_t count(ModuleStatus status) const;

  /// The row of that path, or null.
  const ReportRow* find(std::string_view path) const;

  /// A table with a line that counts.
  friend std::ostream& operator<<(std::ostream& stream, const Report& report);

 private:
  std::vector<ReportRow> rows_;
};

}  // namespace octet
