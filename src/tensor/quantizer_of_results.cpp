#include <octet/tensor/qparams.h>

#include <tensor/quantizer_of_results.h>

namespace octet {

Quantizer zero_to_one(DType dtype) { return Quantizer::per_tensor(1.0 / 256, info(dtype).quant_min, dtype); }

Quantizer minus_one_to_one(DType dtype) {
  return Quantizer::per_tensor(2.0 / 256, (info(dtype).quant_min + info(dtype).quant_max + 1) / 2, dtype);
}

Quantizer quantizer_of_results(const at::Tensor& values, DType dtype) {
  const DTypeInfo& range = info(dtype);
  const auto [scale, zero_point] =
      choose_qparams(values.min(), values.max(), {.dtype = dtype, .quant_min = range.quant_min, .quant_max = range.quant_max});
  return Quantizer::per_tensor(scale.item<double>(), zero_point.item<int64_t>(), dtype);
}

}  // namespace octet
