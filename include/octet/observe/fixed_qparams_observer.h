#pragma once

#include <octet/observe/observer.h>

#include <torch/arg.h>

#include <optional>

namespace octet {

class FixedQParamsObserverOptions {
 public:
  FixedQParamsObserverOptions(double scale, int64_t zero_point) : scale_(scale), zero_point_(zero_point) {}

  /// Positive and finite.
  TORCH_ARG(double, scale);
  /// From quant_min to quant_max.
  TORCH_ARG(int64_t, zero_point);
  TORCH_ARG(DType, dtype) = quint8;
  TORCH_ARG(QScheme, qscheme) = per_tensor_affine;
  /// The integers to use; null: all of the dtype (torch.ao: 0 to 255, for every dtype).
  TORCH_ARG(std::optional<int64_t>, quant_min);
  TORCH_ARG(std::optional<int64_t>, quant_max);

 public:
  Arguments arguments() const;
};

/// Answers with the scale and zero point it was given: for outputs of a known range, such as a sigmoid's.
/// Buffers: `scale` [1], `zero_point` [1] (int32).
class FixedQParamsObserver : public ObserverOf<FixedQParamsObserver, FixedQParamsObserverOptions> {
 public:
  /// @throws Error for a per-channel scheme, a scale that is not positive and finite, a zero point or range that is not within
  ///         the dtype's
  explicit FixedQParamsObserver(const Options& options);

  at::Tensor forward(const at::Tensor& x) override { return x; }
  QParams calculate_qparams() const override;
  bool is_calibrated() const override { return true; }

  const at::Tensor& scale() const { return scale_; }
  const at::Tensor& zero_point() const { return zero_point_; }

 private:
  at::Tensor scale_;
  at::Tensor zero_point_;
};

}  // namespace octet
