#pragma once

#include <octet/observe/observer.h>

#include <limits>
#include <optional>

namespace octet {

/// Whether an observer computes one scale and zero point, or one for each channel.
enum class Granularity : uint8_t { per_tensor, per_channel };

/// What all observers that compute qparams from a range of values can be told. Names and defaults are torch.ao's, save for
/// `ignore_non_finite`.
struct UniformQuantizationSettings {
  DType dtype = quint8;
  QScheme qscheme = per_tensor_affine;
  bool reduce_range = false;
  std::optional<int64_t> quant_min;
  std::optional<int64_t> quant_max;
  double eps = std::numeric_limits<float>::epsilon();
  bool is_dynamic = false;
  bool ignore_non_finite = false;

  Arguments arguments() const;
};

/// The builder of those settings; the options of each observer derive from it.
template <class Derived>
class UniformQuantizationOptions {
 public:
  /// qint8, quint8, qint32, quint4x2 or quint2x4.
  Derived& dtype(DType value) { return set(settings_.dtype, value); }
  DType dtype() const { return settings_.dtype; }

  /// per_tensor_* or per_channel_*, as the observer has it.
  Derived& qscheme(QScheme value) { return set(settings_.qscheme, value); }
  QScheme qscheme() const { return settings_.qscheme; }

  /// Use 7 of 8 bits, as torch.ao does for kernels that saturate. Octet's own never do.
  Derived& reduce_range(bool value) { return set(settings_.reduce_range, value); }
  bool reduce_range() const { return settings_.reduce_range; }
  bool ignores_non_finite() const { return settings_.ignore_non_finite; }

  /// @throws Error if x, which has elements, holds NaN or infinities
  void check_finite(const at::Tensor& x) const;

  /// The lowest and highest integer to use, around 0 and within the dtype; both or none. reduce_range halves them too.
  Derived& quant_min(int64_t value) { return set(settings_.quant_min, value); }
  std::optional<int64_t> quant_min() const { return settings_.quant_min; }
  Derived& quant_max(int64_t value) { return set(settings_.quant_max, value); }
  std::optional<int64_t> quant_max() const { return settings_.quant_max; }

  /// The lowest scale; positive.
  Derived& eps(double value) { return set(settings_.eps, value); }
  double eps() const { return settings_.eps; }

  /// The converted model computes qparams for each input. Only what forgets earlier inputs can stand for that.
  Derived& is_dynamic(bool value) { return set(settings_.is_dynamic, value); }
  bool is_dynamic() const { return settings_.is_dynamic; }

  /// Leave NaN and infinities out instead of throwing an Error.
  Derived& ignore_non_finite(bool value) { return set(settings_.ignore_non_finite, value); }
  bool ignore_non_finite() const { return settings_.ignore_non_finite; }

  const UniformQuantizationSettings& settings() const { return settings_; }
  Arguments arguments() const { return settings_.arguments(); }

 private:
  template <class Field, class Value>
  Derived& set(Field& field, const Value& value) {
    field = value;
    return static_cast<Derived&>(*this);
  }

  UniformQuantizationSettings settings_;
};

/// Common base of the observers that compute qparams from a range of values with choose_qparams.
/// Buffers: `eps` [1], and `min_val`, `max_val`: the range seen so far (a scalar, or [channels]), inf and -inf before that.
class UniformQuantizationObserverBase : public ObserverBase {
 public:
  bool reduce_range() const { return settings_.reduce_range; }
  bool ignores_non_finite() const { return settings_.ignore_non_finite; }

  /// @throws Error if x, which has elements, holds NaN or infinities
  void check_finite(const at::Tensor& x) const;

  const at::Tensor& eps() const { return eps_; }
  const at::Tensor& min_val() const { return min_val_; }
  const at::Tensor& max_val() const { return max_val_; }

  bool is_calibrated() const override;
  void reset_min_max_vals() override;
  std::string extra_repr() const override;

 protected:
  /// @throws Error for settings that contradict each other or the granularity
  UniformQuantizationObserverBase(const std::string& class_name, const UniformQuantizationSettings& settings,
                                  Granularity granularity, int64_t ch_axis = -1, int64_t group_size = 0);

  struct Range {
    at::Tensor min;
    at::Tensor max;
  };

  /// Minimum and maximum of a tensor that has elements, or of each row of a matrix per channel. Where the settings ignore
  /// non-finite elements and there are no others, inf and -inf. @throws Error for non-finite elements otherwise
  Range finite_range(const at::Tensor& x) const;

  /// choose_qparams with this observer's settings. @throws Error if it is not calibrated
  QParams qparams_for(const Range& range) const;

  const UniformQuantizationSettings& settings() const { return settings_; }

 private:
  UniformQuantizationSettings settings_;

 protected:
  at::Tensor eps_;
  at::Tensor min_val_;
  at::Tensor max_val_;
};

}  // namespace octet
