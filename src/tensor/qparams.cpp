#include <octet/tensor/error.h>
#include <octet/tensor/qparams.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

namespace octet {
namespace {

// What x86 makes of a float that no int32 holds: torch.ao's zero points of extreme qint32 ranges go through it.
int32_t to_int32(float value) {
  constexpr auto kLimit = 2147483648.0F;
  return value >= -kLimit && value < kLimit ? static_cast<int32_t>(value) : std::numeric_limits<int32_t>::min();
}

// A difference of int32 that wraps around, as torch.ao's does.
int64_t wrapping_difference(int64_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
}

struct Range {
  float min;
  float max;
};

Range widened_to_zero(Range range) { return {std::min(range.min, 0.0F), std::max(range.max, 0.0F)}; }

float affine_scale(Range range, const QParamsOptions& options) {
  const Range wide = widened_to_zero(range);
  const auto steps = static_cast<float>(options.quant_max - options.quant_min);
  return std::max((wide.max - wide.min) / steps, static_cast<float>(options.eps));
}

int64_t affine_zero_point(Range range, float scale, const QParamsOptions& options) {
  const int32_t from_min = to_int32(std::nearbyint(widened_to_zero(range).min / scale));
  return std::clamp(wrapping_difference(options.quant_min, from_min), options.quant_min, options.quant_max);
}

float symmetric_scale(Range range, const QParamsOptions& options) {
  const Range wide = widened_to_zero(range);
  const auto half_of_the_steps = static_cast<float>(static_cast<double>(options.quant_max - options.quant_min) / 2);
  return std::max(std::max(-wide.min, wide.max) / half_of_the_steps, static_cast<float>(options.eps));
}

int64_t symmetric_zero_point(const QParamsOptions& options) {
  if (options.dtype != quint8) return 0;
  if (!options.has_customized_qrange) return 128;
  const int64_t ends = options.quant_min + options.quant_max;
  return (ends - (ends & 1)) / 2;  // rounded down, also below zero
}

float float_qparams_scale(Range range, const QParamsOptions& options) {
  const float scale = (range.max - range.min) / static_cast<float>(options.quant_max - options.quant_min);
  return scale > static_cast<float>(options.eps) ? scale : 1.0F;
}

}  // namespace

QParams choose_qparams(const at::Tensor& min_val, const at::Tensor& max_val, const QParamsOptions& options) {
  check(min_val.scalar_type() == at::kFloat && max_val.scalar_type() == at::kFloat, "choose_qparams: min_val and max_val are ",
        min_val.scalar_type(), " and ", max_val.scalar_type(), ", expected Float");
  check(min_val.sizes() == max_val.sizes() && min_val.dim() <= 1, "choose_qparams: min_val and max_val have sizes ",
        min_val.sizes(), " and ", max_val.sizes(), ", expected the same: one element or [channels]");
  check(options.quant_min < options.quant_max, "choose_qparams: quant_min ", options.quant_min, " is not below quant_max ",
        options.quant_max);

  const at::Tensor min_cpu = min_val.detach().cpu().contiguous();
  const at::Tensor max_cpu = max_val.detach().cpu().contiguous();
  const auto* min = min_cpu.const_data_ptr<float>();
  const auto* max = max_cpu.const_data_ptr<float>();
  const int64_t n = min_cpu.numel();
  const bool seen_nothing = n == 0 || (n == 1 && std::isinf(*min) && *min > 0 && std::isinf(*max) && *max < 0);
  if (seen_nothing) {
    return {at::ones({1}, min_val.options()), at::zeros({1}, min_val.options().dtype(at::kLong))};
  }
  for (int64_t i = 0; i < n; ++i) {
    check(std::isfinite(min[i]) && std::isfinite(max[i]) && min[i] <= max[i], "choose_qparams: the range [", min[i], ", ", max[i],
          "] at index ", i, " is not a finite range with min <= max; look for NaN or infinity in what was observed");
  }

  const bool float_qparams = options.qscheme == per_channel_affine_float_qparams;
  const at::Tensor scale = at::empty({n}, at::kFloat);
  const at::Tensor zero_point = at::empty({n}, float_qparams ? at::kFloat : at::kLong);
  auto* scales = scale.mutable_data_ptr<float>();
  for (int64_t i = 0; i < n; ++i) {
    const Range range{min[i], max[i]};
    if (float_qparams) {
      scales[i] = float_qparams_scale(range, options);
      zero_point.mutable_data_ptr<float>()[i] = -range.min / scales[i];
    } else if (is_symmetric(options.qscheme)) {
      scales[i] = symmetric_scale(range, options);
      zero_point.mutable_data_ptr<int64_t>()[i] = symmetric_zero_point(options);
    } else {
      scales[i] = affine_scale(range, options);
      zero_point.mutable_data_ptr<int64_t>()[i] = affine_zero_point(range, scales[i], options);
    }
  }
  return {scale.to(min_val.device()), zero_point.to(min_val.device())};
}

TensorQParams choose_dynamic_qparams(float min, float max, int64_t quant_min, int64_t quant_max, bool reduce_range,
                                     bool preserve_sparsity) {
  check(std::isfinite(min) && std::isfinite(max) && min <= max, "choose_dynamic_qparams: the range [", min, ", ", max,
        "] is not a finite range with min <= max; look for NaN or infinity in the tensor");
  if (reduce_range) {
    quant_min /= 2;
    quant_max /= 2;
  }
  check(quant_min < quant_max, "choose_dynamic_qparams: quant_min ", quant_min, " is not below quant_max ", quant_max);

  const bool symmetric = preserve_sparsity && min < 0 && max > 0;
  if (symmetric) {
    const int64_t lowest = -((quant_max - quant_min) / 2 + 1);
    const int64_t highest = (quant_max - quant_min) / 2;
    const double scale = std::max(std::fabs(min / static_cast<float>(lowest)), std::fabs(max / static_cast<float>(highest)));
    min = static_cast<float>(scale * static_cast<double>(lowest));
    max = static_cast<float>(scale * static_cast<double>(highest));
  }
  const Range wide = widened_to_zero({min, max});
  min = wide.min;
  max = wide.max;

  const auto steps = static_cast<double>(quant_max - quant_min);
  double scale = (static_cast<double>(max) - min) / steps;
  const auto single = static_cast<float>(scale);
  if (single == 0.0F || std::isinf(1.0F / single)) scale = 0.1;

  // Scales in the subnormal range of half precision are not used: such a range is widened around zero.
  constexpr float kSmallestScale = 6.1e-5F;
  if (scale < kSmallestScale) {
    const auto too_small = static_cast<float>(scale);
    scale = kSmallestScale;
    if (min == 0.0F) {
      max = kSmallestScale * static_cast<float>(steps);
    } else if (max == 0.0F) {
      min = -kSmallestScale * static_cast<float>(steps);
    } else {
      const float amplifier = kSmallestScale / too_small;
      min *= amplifier;
      max *= amplifier;
    }
  }

  // Both ends of the range give the zero point; the one with the smaller terms has the smaller rounding error.
  const auto lowest = static_cast<double>(quant_min);
  const auto highest = static_cast<double>(quant_max);
  const double error_of_min = std::abs(lowest) - std::abs(min / scale);
  const double error_of_max = std::abs(highest) - std::abs(max / scale);
  double zero_point = error_of_min < error_of_max ? lowest - min / scale : highest - max / scale;
  if (symmetric) zero_point = (lowest + highest) / 2;
  return {scale, static_cast<int64_t>(std::nearbyint(std::clamp(zero_point, lowest, highest)))};
}

}  // namespace octet
