// From float32 numbers to plain integers and back: the arithmetic of quantization, on tensors that are not wrapped yet.
#pragma once

#include <octet/tensor/dtype.h>
#include <octet/tensor/error.h>
#include <octet/tensor/quantizer.h>

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace octet {

/// @param values  float32 on the CPU, of any strides; a per-channel quantizer fits it
/// @return the integers as the dtype stores them, in the memory format of the values; packed for sub-byte dtypes
at::Tensor quantize_to_integers(const at::Tensor& values, const Quantizer& quantizer);

/// @param integers  of any strides; packed ones with the sizes of the tensor they stand for
at::Tensor dequantize_integers(const at::Tensor& integers, const Quantizer& quantizer, at::IntArrayRef sizes);

/// The integer that stands for a real number in a per-tensor quantizer.
int64_t quantize_value(double value, const Quantizer& quantizer);

/// How many bytes n integers of 2 or 4 bits take.
constexpr int64_t packed_size(int64_t n, int bits) { return (n * bits + 7) / 8; }

/// 8-bit integers stored as the other sign or as they are: `offset` greater than they were. What the GEMM takes.
struct ShiftedIntegers {
  at::Tensor values;
  int32_t offset;  ///< 128, -128 or 0
};

/// @param storage  at::kByte or at::kChar
ShiftedIntegers stored_as(const at::Tensor& integers, at::ScalarType storage);

/// Calls body.template operator()<T>() with the C++ type that stores the dtype.
template <class Body>
auto with_integer_type(DType dtype, const Body& body) {
  switch (info(dtype).storage) {
    case at::kByte:
      return body.template operator()<uint8_t>();
    case at::kChar:
      return body.template operator()<int8_t>();
    case at::kInt:
      return body.template operator()<int32_t>();
    default:
      fail(dtype, " is not stored as integers");
  }
}

/// The same for quint8 and qint8 alone.
template <class Body>
auto with_byte_type(DType dtype, const Body& body) {
  check(info(dtype).bits == 8, dtype, " is not stored as bytes");
  return info(dtype).storage == at::kByte ? body.template operator()<uint8_t>() : body.template operator()<int8_t>();
}

}  // namespace octet
