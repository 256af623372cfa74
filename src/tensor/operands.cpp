#include <octet/tensor/error.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/in_module.h>
#include <tensor/operands.h>

namespace octet {

const Quantizer& operand_quantizer(const at::Tensor& operand, std::string_view function, std::string_view name) {
  check(operand.defined(), function, in_module(), ": `", name, "` is undefined");
  check(is_quantized(operand), function, in_module(), ": `", name, "` is a plain ", operand.scalar_type(), " tensor of sizes ",
        operand.sizes(),
        "; expected a quantized one. Quantize it first: with an octet::nn::QuantStub, or by quantize_per_tensor()");
  const Quantizer& quantizer = octet::quantizer(operand);
  check(!quantizer.is_per_channel() && info(quantizer.dtype).bits == 8, function, in_module(), ": `", name, "` is ",
        quantizer.dtype, " with the scheme ", quantizer.qscheme,
        "; expected quint8 or qint8 per tensor. octet::requantize() makes it so");
  return quantizer;
}

DType common_dtype(const at::Tensor& a, const at::Tensor& b, std::string_view function) {
  const DType dtype = operand_quantizer(a, function, "a").dtype;
  const DType other = operand_quantizer(b, function, "b").dtype;
  check(dtype == other, function, in_module(), ": `a` is ", dtype, " and `b` is ", other,
        "; expected one dtype. octet::requantize() one of them");
  return dtype;
}

Quantizer output_quantizer(double scale, int64_t zero_point, DType dtype, std::string_view function) {
  try {
    return Quantizer::per_tensor(scale, zero_point, dtype);
  } catch (const Error& error) {
    fail(function, in_module(), ": the output's ", error.what());
  }
}

kernels::AffineQParams kernel_qparams(const Quantizer& quantizer) {
  const DTypeInfo& dtype = info(quantizer.dtype);
  return {static_cast<float>(quantizer.scale), static_cast<int32_t>(quantizer.zero_point), static_cast<int32_t>(dtype.quant_min),
          static_cast<int32_t>(dtype.quant_max)};
}

}  // namespace octet
