#pragma once

#include <octet/observe/observer.h>

#include <torch/arg.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace octet {

/// Common base of the observers that compute no qparams: forward returns its input, whatever it holds.
class PassThroughObserver : public ObserverBase {
 public:
  at::Tensor forward(const at::Tensor& x) override;
  /// @throws Error always
  QParams calculate_qparams() const override;
  bool is_calibrated() const override { return false; }

 protected:
  using ObserverBase::ObserverBase;
};

class PlaceholderObserverOptions {
 public:
  TORCH_ARG(DType, dtype) = float32;
  TORCH_ARG(QScheme, qscheme) = per_tensor_affine;
  /// The integers to use; null: all of the dtype.
  TORCH_ARG(std::optional<int64_t>, quant_min);
  TORCH_ARG(std::optional<int64_t>, quant_max);
  TORCH_ARG(double, eps) = std::numeric_limits<float>::epsilon();
  /// qparams are computed for each input when the converted model runs.
  TORCH_ARG(bool, is_dynamic) = false;
  /// With is_dynamic: one scale and zero point for each row, so that a row's result does not depend on the rest of its batch.
  TORCH_ARG(bool, per_row) = false;
  TORCH_ARG(std::string, custom_op_name);

 public:
  Arguments arguments() const;
};

/// Tells the converted module its dtype and whether it is dynamic, and observes nothing.
class PlaceholderObserver : public ObserverOf<PlaceholderObserver, PlaceholderObserverOptions, PassThroughObserver> {
 public:
  /// @throws Error if per_row is set without is_dynamic
  explicit PlaceholderObserver(const Options& options = {});
  std::string extra_repr() const override;
};

class RecordingObserverOptions {
 public:
  TORCH_ARG(DType, dtype) = quint8;

 public:
  Arguments arguments() const;
};

/// Keeps a copy of every input, for debugging. The one observer whose memory grows with the number of batches.
class RecordingObserver : public ObserverOf<RecordingObserver, RecordingObserverOptions, PassThroughObserver> {
 public:
  explicit RecordingObserver(const Options& options = {});
  at::Tensor forward(const at::Tensor& x) override;

  /// The inputs in their order, cut off from autograd.
  const std::vector<at::Tensor>& get_tensor_value() const { return tensor_val_; }

 private:
  void copy_unregistered_state(const ObserverBase& other) override;

  std::vector<at::Tensor> tensor_val_;
};

class NoopObserverOptions {
 public:
  TORCH_ARG(DType, dtype) = float16;
  TORCH_ARG(std::string, custom_op_name);

 public:
  Arguments arguments() const;
};

/// Stands for a side of a module that stays as it is.
class NoopObserver : public ObserverOf<NoopObserver, NoopObserverOptions, PassThroughObserver> {
 public:
  explicit NoopObserver(const Options& options = {});
};

struct ReuseInputObserverOptions {
  Arguments arguments() const { return {}; }
};

/// Says that the output of a module (a reshape, say) has the qparams of its input.
class ReuseInputObserver : public ObserverOf<ReuseInputObserver, ReuseInputObserverOptions, PassThroughObserver> {
 public:
  explicit ReuseInputObserver(const Options& options = {});
};

}  // namespace octet
