#pragma once

#include <octet/tensor/quantizer.h>

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace octet {

/// A function of one number as a table: from each of the 256 integers of an 8-bit tensor with one scale and zero point, to the
/// integer of the function's result in another. Immutable, so any number of threads may use one at once; copies are cheap.
/// Making one takes some 20 us: what applies a function in every forward keeps it.
class LookupTable {
 public:
  using Function = std::function<at::Tensor(const at::Tensor& values)>;

  /// @param from, to  quint8 or qint8 per tensor, each
  /// @param function  gets the 256 values that `from` has, as float64, and returns what it makes of each. Finite results are
  ///                  rounded to float32 and quantized by `to`; where others are, the function counts as undefined
  /// @throws Error for other kinds of quantizers, and for results of other sizes than [256]
  LookupTable(const Quantizer& from, const Quantizer& to, const Function& function);

  const Quantizer& from() const { return *from_; }
  const Quantizer& to() const { return *to_; }

  /// Whether the function is defined for each element of the tensor. @throws Error for tensors that `from` did not quantize
  bool is_defined_for(const at::Tensor& tensor) const;

  /// A new tensor, in the memory format of the one that is given.
  /// @throws Error for tensors that `from` did not quantize, or that the function is undefined for
  at::Tensor apply(const at::Tensor& tensor) const;

  /// Writes the integers of apply() into a plain tensor of their dtype and sizes, of any strides. @throws Error as apply()
  void apply_out(const at::Tensor& tensor, const at::Tensor& integers) const;

 private:
  std::shared_ptr<const Quantizer> from_;
  std::shared_ptr<const Quantizer> to_;
  at::Tensor results_;    // [256] bytes: the integers, by the byte that is looked up
  at::Tensor undefined_;  // [256] bytes, not 0 where the function is undefined; no tensor where it is defined everywhere
};

}  // namespace octet
