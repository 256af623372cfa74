#pragma once

#include <octet/tensor/dtype.h>

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace octet {

/// How the integers of a quantized tensor map to real numbers: x = (q - zero_point) * scale, with one scale and zero point for
/// the tensor or one for each index along an axis. Made by its two factories, which check; then only read.
struct Quantizer {
  DType dtype = quint8;
  QScheme qscheme = per_tensor_affine;

  double scale = 1;        ///< of per_tensor_affine
  int64_t zero_point = 0;  ///< of per_tensor_affine

  at::Tensor scales;       ///< of per-channel schemes: [channels], float64; float32 for float qparams
  at::Tensor zero_points;  ///< of per-channel schemes: [channels], int64; float32 for float qparams
  int64_t axis = 0;        ///< of per-channel schemes: the dimension that `scales` runs along

  /// @throws Error unless the scale and its reciprocal are positive and finite in float32, the dtype is a quantized one, and
  ///         the zero point is one of its integers
  static Quantizer per_tensor(double scale, int64_t zero_point, DType dtype);

  /// per_channel_affine, or per_channel_affine_float_qparams if the zero points are floating-point numbers. The sub-byte dtypes
  /// have the latter only, and qint32 the former only.
  /// @throws Error as per_tensor does for each channel, and for shapes that are not one [channels]
  static Quantizer per_channel(const at::Tensor& scales, const at::Tensor& zero_points, int64_t axis, DType dtype);

  bool is_per_channel() const { return octet::is_per_channel(qscheme); }

  /// True for quint4x2 and quint2x4, which share bytes.
  bool is_packed() const { return info(dtype).bits < 8; }

  /// @throws Error if a tensor of these sizes has no such axis, or another number of channels along it
  void check_fits(at::IntArrayRef sizes) const;

  bool operator==(const Quantizer& other) const;
};

}  // namespace octet
