#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <iosfwd>
#include <string_view>

namespace octet {

/// The element types of torch.ao.quantization. They are ours and not at::ScalarType: LibTorch's quantized scalar types
/// (quint8, qint8, ...) are deprecated, and the integers here live in plain uint8, int8 and int32 tensors.
enum class DType : uint8_t {
  quint8,    ///< 0 .. 255, stored as at::kByte
  qint8,     ///< -128 .. 127, stored as at::kChar
  qint32,    ///< stored as at::kInt
  quint4x2,  ///< 0 .. 15, two in a byte, the first in the low bits
  quint2x4,  ///< 0 .. 3, four in a byte, the first in the low bits
  float16,   ///< at::kHalf: weights of dynamic quantization
  float32,   ///< at::kFloat: not quantized
};

/// How integers map to real numbers, as in torch.ao.quantization.
enum class QScheme : uint8_t {
  per_tensor_affine,
  per_tensor_symmetric,
  per_channel_affine,
  per_channel_symmetric,
  per_channel_affine_float_qparams,  ///< the zero point is a float too: x = (q - zero_point) * scale, zero_point = -min / scale
};

/// `octet::quint8`, `octet::per_tensor_affine` and so on, as `torch.quint8` in Python.
using enum DType;
using enum QScheme;

/// What one DType is.
struct DTypeInfo {
  std::string_view name;   ///< "quint8"
  int bits;                ///< of one element
  at::ScalarType storage;  ///< of the tensor that holds the integers (or halves, or floats)
  int64_t quant_min;       ///< lowest integer; 0 for float types
  int64_t quant_max;       ///< highest integer; 0 for float types
  bool is_quantized;       ///< false for float16 and float32
};

const DTypeInfo& info(DType dtype);
std::string_view name(QScheme qscheme);
bool is_per_channel(QScheme qscheme);
bool is_symmetric(QScheme qscheme);

/// The DType or QScheme of that name. @throws Error that lists the known names.
DType dtype_from_name(std::string_view name);
QScheme qscheme_from_name(std::string_view name);

std::ostream& operator<<(std::ostream& stream, DType dtype);
std::ostream& operator<<(std::ostream& stream, QScheme qscheme);

}  // namespace octet
