// Integers of 8, 4 or 2 bits that fill bytes from the low bits on, each row beginning at a byte: quint4x2 and quint2x4 in files.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace octet::nn {

/// @param integers  [rows, n], uint8, each below 2^bits
/// @return [rows, bytes of n], with zeros in the bits that a row does not fill; for 8 bits the integers themselves, contiguous
at::Tensor pack_rows(const at::Tensor& integers, int bits);

/// The inverse. @param packed  [rows, bytes of n], uint8  @return [rows, n]
at::Tensor unpack_rows(const at::Tensor& packed, int64_t n, int bits);

}  // namespace octet::nn
