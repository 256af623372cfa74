#pragma once

#include <octet/observe/observer.h>

#include <iosfwd>
#include <optional>

namespace octet {

/// How to quantize a module: what observes its activations and what observes its weights.
/// An empty factory leaves that side alone.
struct QConfig {
  ObserverFactory activation;
  ObserverFactory weight;

  friend bool operator==(const QConfig&, const QConfig&) = default;
};

/// torch.ao's old name for a QConfig of dynamic quantization.
using QConfigDynamic = QConfig;

/// Null keeps a module in float.
using QConfigAny = std::optional<QConfig>;

/// "QConfig(activation=..., weight=...)"; "None" for null.
std::ostream& operator<<(std::ostream& stream, const QConfig& qconfig);
std::ostream& operator<<(std::ostream& stream, const QConfigAny& qconfig);

}  // namespace octet
