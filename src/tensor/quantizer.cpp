#include <octet/tensor/error.h>
#include <octet/tensor/quantizer.h>

#include <ATen/ops/equal.h>

#include <cmath>
#include <string>

namespace octet {
namespace {

void check_scale(double scale, const std::string& where) {
  const auto single = static_cast<float>(scale);
  check(single > 0 && std::isfinite(single) && std::isfinite(1.0F / single), "scale", where, " is ", scale,
        "; expected a positive number that is finite in float32, as is its reciprocal. Was the observer shown NaN, infinity "
        "or an extreme range?");
}

void check_zero_point(int64_t zero_point, DType dtype, const std::string& where) {
  check(zero_point >= info(dtype).quant_min && zero_point <= info(dtype).quant_max, "zero_point", where, " is ", zero_point,
        ", which is no ", dtype, "; expected ", info(dtype).quant_min, " .. ", info(dtype).quant_max);
}

void check_dtype(DType dtype) {
  check(info(dtype).is_quantized, dtype, " is not a quantized dtype; expected quint8, qint8, qint32, quint4x2 or quint2x4");
}

}  // namespace

Quantizer Quantizer::per_tensor(double scale, int64_t zero_point, DType dtype) {
  check_dtype(dtype);
  check_scale(scale, "");
  check_zero_point(zero_point, dtype, "");
  Quantizer quantizer;
  quantizer.dtype = dtype;
  quantizer.scale = scale;
  quantizer.zero_point = zero_point;
  return quantizer;
}

Quantizer Quantizer::per_channel(const at::Tensor& scales, const at::Tensor& zero_points, int64_t axis, DType dtype) {
  check_dtype(dtype);
  check(scales.dim() == 1 && scales.sizes() == zero_points.sizes(), "scales and zero_points have sizes ", scales.sizes(), " and ",
        zero_points.sizes(), "; expected both [channels]");
  check(scales.is_floating_point(), "scales are ", scales.scalar_type(), "; expected floating-point numbers");
  const bool float_qparams = zero_points.is_floating_point();
  check(float_qparams || info(dtype).bits >= 8, dtype, " is quantized per channel with floating-point zero points only; got ",
        zero_points.scalar_type());
  check(!float_qparams || dtype != qint32, "qint32 is quantized per channel with integer zero points only; got ",
        zero_points.scalar_type());
  check(axis >= 0, "axis is ", axis, "; expected 0 or more");

  Quantizer quantizer;
  quantizer.dtype = dtype;
  quantizer.qscheme = float_qparams ? per_channel_affine_float_qparams : per_channel_affine;
  quantizer.scales = scales.detach().to(float_qparams ? at::kFloat : at::kDouble).contiguous();
  quantizer.zero_points = zero_points.detach().to(float_qparams ? at::kFloat : at::kLong).contiguous();
  quantizer.axis = axis;
  const at::Tensor scales_as_double = quantizer.scales.cpu().to(at::kDouble);
  const at::Tensor zero_points_as_double = quantizer.zero_points.cpu().to(at::kDouble);  // holds every int32 exactly
  for (int64_t i = 0; i < scales.numel(); ++i) {
    const std::string where = " of channel " + std::to_string(i);
    const double zero_point = zero_points_as_double.const_data_ptr<double>()[i];
    check_scale(scales_as_double.const_data_ptr<double>()[i], where);
    check(std::isfinite(zero_point), "zero_point", where, " is ", zero_point, "; expected a finite number");
    if (!float_qparams) check_zero_point(static_cast<int64_t>(zero_point), dtype, where);
  }
  return quantizer;
}

void Quantizer::check_fits(at::IntArrayRef sizes) const {
  if (!is_per_channel()) return;
  const auto dim = static_cast<int64_t>(sizes.size());
  check(axis < dim, "axis is ", axis, "; expected 0 .. ", dim - 1, " for a tensor of sizes ", sizes);
  check(sizes[axis] == scales.numel(), "there are ", scales.numel(), " scales and zero points; expected ", sizes[axis],
        ", one for each index along axis ", axis, " of sizes ", sizes);
}

bool Quantizer::operator==(const Quantizer& other) const {
  if (dtype != other.dtype || qscheme != other.qscheme) return false;
  if (!is_per_channel()) return scale == other.scale && zero_point == other.zero_point;
  return axis == other.axis && at::equal(scales, other.scales) && at::equal(zero_points, other.zero_points);
}

}  // namespace octet
