#pragma once

#include <octet/observe/fixed_qparams_observer.h>
#include <octet/observe/min_max_observer.h>
#include <octet/observe/observer.h>

#include <torch/arg.h>

#include <memory>
#include <utility>

namespace octet {

/// Common base of the fake quantizers: modules for training that round values to what the integers can hold, and let
/// gradients pass where the value was in range (straight-through).
///
/// Buffers: `fake_quant_enabled` and `observer_enabled` [1], `scale` and `zero_point` [1] or [channels] (parameters, if they are
/// learned); and the child `activation_post_process`, the observer of which scale and zero point come.
///
/// x may be of float32, bfloat16, half or double and on any device; what is returned has its dtype and memory format. Of x, a bit
/// for each element is kept for the gradient (a byte on other devices than the CPU).
class FakeQuantizeBase : public ObserverBase {
 public:
  /// With the observer enabled, lets it see x and takes over its qparams; with fake quantization enabled, returns
  /// (clamp(nearbyint(x * (1 / scale)) + zero_point, quant_min, quant_max) - zero_point) * scale, which is what a converted model
  /// computes with. @throws Error as observers do, and if x has another number of channels than the scale
  at::Tensor forward(const at::Tensor& x) override;

  /// Begins anew with the range that a calibrated observer's qparams span, as if a batch of that range had been seen: training
  /// starts where post-training quantization ended. The other observer may have another dtype or scheme, but not another
  /// granularity. @throws Error if it is not calibrated or of another granularity
  virtual void start_from(const ObserverBase& calibrated);

  void reduce_over_ranks(RankReduction& reduction) override;
  QParams calculate_qparams() const override { return activation_post_process_->calculate_qparams(); }
  bool is_calibrated() const override { return activation_post_process_->is_calibrated(); }
  void reset_min_max_vals() override { activation_post_process_->reset_min_max_vals(); }
  std::string extra_repr() const override;

  void enable_fake_quant(bool enabled = true) { fake_quant_enabled_.fill_(enabled); }
  void disable_fake_quant() { enable_fake_quant(false); }
  void enable_observer(bool enabled = true) { observer_enabled_.fill_(enabled); }
  void disable_observer() { enable_observer(false); }

  const std::shared_ptr<ObserverBase>& activation_post_process() const { return activation_post_process_; }
  const at::Tensor& scale() const { return scale_; }
  const at::Tensor& zero_point() const { return zero_point_; }
  const at::Tensor& fake_quant_enabled() const { return fake_quant_enabled_; }
  const at::Tensor& observer_enabled() const { return observer_enabled_; }

 protected:
  /// What scale and zero_point are registered as. Parameters are both float32, and do not learn until they are told to.
  enum class QParamsAre : uint8_t { buffers, parameters };

  /// @param flag_dtype  of the two switches
  /// @throws Error for an observer that computes no qparams
  FakeQuantizeBase(const std::string& class_name, const ObserverFactory& observer, at::ScalarType flag_dtype = at::kByte,
                   QParamsAre qparams_are = QParamsAre::buffers);

  bool observes() const { return observer_enabled_.item<bool>(); }

  /// What forward() does with the observer enabled. It does not need x's gradient.
  virtual void observe(const at::Tensor& x);

  /// What forward() returns with fake quantization enabled.
  virtual at::Tensor fake_quantize(const at::Tensor& x);

  /// The qparams of what the observer saw.
  virtual QParams observed_qparams() const { return activation_post_process_->calculate_qparams(); }

  /// Copies the observed qparams to scale and zero_point, in place.
  void take_over_qparams();

  /// "fake_quant_enabled=..., observer_enabled=..."
  std::string repr_of_switches() const;
  std::string repr_of_qparams() const;
  std::string repr_of_range() const;

  std::shared_ptr<ObserverBase> activation_post_process_;
  at::Tensor fake_quant_enabled_;
  at::Tensor observer_enabled_;
  at::Tensor scale_;
  at::Tensor zero_point_;
};

/// A factory of observers, as options of a fake quantizer: `FakeQuantize::with_args(MinMaxObserver::with_args(...))`.
/// Python's arguments quant_min, dtype and so on are the observer's own.
class FakeQuantizeOptions {
 public:
  /* implicit */ FakeQuantizeOptions(ObserverFactory observer = MovingAverageMinMaxObserver::with_args())
      : observer_(std::move(observer)) {}

  TORCH_ARG(ObserverFactory, observer);

 public:
  Arguments arguments() const;
};

/// Fake quantization by the qparams of any observer.
class FakeQuantize : public ObserverOf<FakeQuantize, FakeQuantizeOptions, FakeQuantizeBase> {
 public:
  explicit FakeQuantize(const Options& options = {});
};

class FixedQParamsFakeQuantizeOptions {
 public:
  /* implicit */ FixedQParamsFakeQuantizeOptions(ObserverFactory observer) : observer_(std::move(observer)) {}

  TORCH_ARG(ObserverFactory, observer);

 public:
  Arguments arguments() const;
};

/// Fake quantization by the qparams of a FixedQParamsObserver, which it has from the start.
class FixedQParamsFakeQuantize : public ObserverOf<FixedQParamsFakeQuantize, FixedQParamsFakeQuantizeOptions, FakeQuantizeBase> {
 public:
  /// @throws Error for any other observer
  explicit FixedQParamsFakeQuantize(const Options& options);

  /// Does nothing: its range is fixed.
  void start_from(const ObserverBase& /*calibrated*/) override {}
  std::string extra_repr() const override;
};

class FusedMovingAvgObsFakeQuantizeOptions {
 public:
  /* implicit */ FusedMovingAvgObsFakeQuantizeOptions(ObserverFactory observer = MovingAverageMinMaxObserver::with_args(
                                                          MovingAverageMinMaxObserverOptions().quant_min(0).quant_max(255)))
      : observer_(std::move(observer)) {}

  TORCH_ARG(ObserverFactory, observer);

 public:
  Arguments arguments() const;
};

/// A moving average observer and fake quantization by the qparams that LibTorch's at::fused_moving_avg_obs_fake_quant chooses,
/// which computes in double and lets no scale be below 6.1e-5: they may differ from FakeQuantize's in the last bit. On CUDA it is
/// that operator which computes.
class FusedMovingAvgObsFakeQuantize
    : public ObserverOf<FusedMovingAvgObsFakeQuantize, FusedMovingAvgObsFakeQuantizeOptions, FakeQuantizeBase> {
 public:
  /// @throws Error for what that operator can't do: an observer that is no MovingAverageMinMaxObserver or
  ///         MovingAveragePerChannelMinMaxObserver, channels in another dimension than 0, float zero points, and leaving
  ///         non-finite elements out
  explicit FusedMovingAvgObsFakeQuantize(const Options& options = {});
  at::Tensor forward(const at::Tensor& x) override;

  /// Those that forward() computes with, so that a converted model has the scale which was trained. (torch.ao converts with those
  /// of the observer, which for symmetric schemes are 0.4 % off.)
  QParams calculate_qparams() const override { return observed_qparams(); }
  std::string extra_repr() const override;

 protected:
  void observe(const at::Tensor& x) override;
  at::Tensor fake_quantize(const at::Tensor& x) override;
  QParams observed_qparams() const override;

 private:
  const MinMaxObserverBase& average() const;
};

/// For `model->apply(octet::disable_observer)`: switches the module if it is a fake quantizer, else does nothing.
void enable_fake_quant(torch::nn::Module& module);
void disable_fake_quant(torch::nn::Module& module);
void enable_observer(torch::nn::Module& module);
void disable_observer(torch::nn::Module& module);

}  // namespace octet
