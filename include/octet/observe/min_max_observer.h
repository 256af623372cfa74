#pragma once

#include <octet/observe/uniform_quantization_observer.h>

#include <torch/arg.h>

#include <optional>

namespace octet {

/// Common base of the observers of minima and maxima: the extremes of all that was seen, or a moving average of each input's.
/// With an averaging constant c, the first input's range r is taken as it is and later ones move it by c * (r - range).
class MinMaxObserverBase : public UniformQuantizationObserverBase {
 public:
  at::Tensor forward(const at::Tensor& x) override;
  QParams calculate_qparams() const override;

  /// The lowest minimum and the highest maximum of all processes; for moving averages too, which then is no longer one.
  /// @throws Error, in all processes, if they saw different numbers of channels
  void reduce_over_ranks(RankReduction& reduction) override;

  /// Null where the extremes are kept.
  std::optional<double> averaging_constant() const { return averaging_constant_; }

 protected:
  /// @param group_size  where it is not 0, the channels are groups of so many elements of the last dimension
  MinMaxObserverBase(const std::string& class_name, const UniformQuantizationSettings& settings, Granularity granularity,
                     int64_t ch_axis, std::optional<double> averaging_constant, int64_t group_size = 0);

 private:
  at::Tensor channels_as_rows(const at::Tensor& x) const;
  void widen_or_move_to(const Range& seen);
  int64_t agreed_channels(RankReduction& reduction) const;

  std::optional<double> averaging_constant_;
};

struct MinMaxObserverOptions : UniformQuantizationOptions<MinMaxObserverOptions> {};

/// The lowest and highest value of all inputs. The order of the inputs does not matter.
class MinMaxObserver : public ObserverOf<MinMaxObserver, MinMaxObserverOptions, MinMaxObserverBase> {
 public:
  explicit MinMaxObserver(const Options& options = {});
};

struct MovingAverageMinMaxObserverOptions : UniformQuantizationOptions<MovingAverageMinMaxObserverOptions> {
  /// How far an input moves the range; 0 to 1, where 1 forgets all earlier inputs.
  TORCH_ARG(double, averaging_constant) = 0.01;

 public:
  Arguments arguments() const;
};

/// A moving average of each input's lowest and highest value.
class MovingAverageMinMaxObserver
    : public ObserverOf<MovingAverageMinMaxObserver, MovingAverageMinMaxObserverOptions, MinMaxObserverBase> {
 public:
  explicit MovingAverageMinMaxObserver(const Options& options = {});
};

struct PerChannelMinMaxObserverOptions : UniformQuantizationOptions<PerChannelMinMaxObserverOptions> {
  PerChannelMinMaxObserverOptions() { qscheme(per_channel_affine); }

  /// The dimension whose indices are the channels; negative ones count from the last.
  TORCH_ARG(int64_t, ch_axis) = 0;

 public:
  Arguments arguments() const;
};

/// The lowest and highest value of each channel over all inputs.
class PerChannelMinMaxObserver
    : public ObserverOf<PerChannelMinMaxObserver, PerChannelMinMaxObserverOptions, MinMaxObserverBase> {
 public:
  explicit PerChannelMinMaxObserver(const Options& options = {});
};

struct MovingAveragePerChannelMinMaxObserverOptions : UniformQuantizationOptions<MovingAveragePerChannelMinMaxObserverOptions> {
  MovingAveragePerChannelMinMaxObserverOptions() { qscheme(per_channel_affine); }

  /// How far an input moves the range; 0 to 1, where 1 forgets all earlier inputs.
  TORCH_ARG(double, averaging_constant) = 0.01;

  /// The dimension whose indices are the channels; negative ones count from the last.
  TORCH_ARG(int64_t, ch_axis) = 0;

 public:
  Arguments arguments() const;
};

/// A moving average of the lowest and highest value of each channel.
class MovingAveragePerChannelMinMaxObserver
    : public ObserverOf<MovingAveragePerChannelMinMaxObserver, MovingAveragePerChannelMinMaxObserverOptions, MinMaxObserverBase> {
 public:
  explicit MovingAveragePerChannelMinMaxObserver(const Options& options = {});
};

}  // namespace octet
