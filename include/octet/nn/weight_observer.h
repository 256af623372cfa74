#pragma once

#include <octet/observe/observer.h>
#include <octet/observe/qconfig.h>

#include <iosfwd>
#include <memory>
#include <string>
#include <utility>

namespace octet::nn {

/// Where a conversion gets the scale and zero point of a weight from: a new observer that sees the weight, or one that has seen
/// it during quantization-aware training and is asked as it is, so that the converted weight is the one that was trained.
class WeightObserver {
 public:
  /// New observers of a qconfig. Implicit, since that is what post-training quantization has.
  WeightObserver(const QConfig& qconfig) : factory_(qconfig.weight) {}       // NOLINT
  WeightObserver(ObserverFactory factory) : factory_(std::move(factory)) {}  // NOLINT

  explicit WeightObserver(std::shared_ptr<const ObserverBase> trained) : trained_(std::move(trained)) {}

  /// Whether there is any.
  explicit operator bool() const { return trained_ || factory_; }

  const QuantizationTarget& target() const { return trained_ ? trained_->target() : factory_.target(); }
  DType dtype() const { return target().dtype; }

  /// @param values  seen by a new observer
  /// @param where   what error messages call the weight: "encoder.fc: weight"
  /// @throws Error if training has not shown the weight to its observer yet, and as observers do
  QParams qparams_for(const at::Tensor& values, const std::string& where) const;

  friend std::ostream& operator<<(std::ostream& stream, const WeightObserver& observer);

 private:
  ObserverFactory factory_;
  std::shared_ptr<const ObserverBase> trained_;
};

}  // namespace octet::nn
