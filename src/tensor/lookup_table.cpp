#include <octet/kernels/quantize.h>
#include <octet/tensor/error.h>
#include <octet/tensor/lookup_table.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/activation_memory.h>
#include <tensor/in_module.h>
#include <tensor/integers.h>
#include <tensor/quantized_tensor_impl.h>

#include <ATen/TensorIterator.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>

namespace octet {
namespace {

void check_has_bytes(const Quantizer& quantizer, std::string_view name) {
  check(!quantizer.is_per_channel() && info(quantizer.dtype).bits == 8, "LookupTable", in_module(), ": `", name, "` is ",
        quantizer.dtype, " with the scheme ", quantizer.qscheme, "; expected quint8 or qint8 per tensor");
}

// Both tensors of 8-bit integers, of any strides.
void look_up(const at::Tensor& from, const at::Tensor& table, const at::Tensor& to) {
  const auto* results = table.const_data_ptr<uint8_t>();
  const at::Tensor from_bytes = from.view(at::kByte);
  const at::Tensor to_bytes = to.view(at::kByte);
  auto iterator = at::TensorIteratorConfig().add_output(to_bytes).add_const_input(from_bytes).resize_outputs(false).build();
  iterator.for_each([&](char** data, const int64_t* strides, int64_t columns, int64_t rows) {
    for (int64_t row = 0; row < rows; ++row) {
      auto* y = reinterpret_cast<uint8_t*>(data[0]) + row * strides[2];
      const auto* x = reinterpret_cast<const uint8_t*>(data[1]) + row * strides[3];
      if (strides[0] == 1 && strides[1] == 1) {
        kernels::lookup_table(x, columns, results, y);
      } else {
        for (int64_t i = 0; i < columns; ++i) y[i * strides[0]] = results[x[i * strides[1]]];
      }
    }
  });
}

}  // namespace

LookupTable::LookupTable(const Quantizer& from, const Quantizer& to, const Function& function)
    : from_(std::make_shared<const Quantizer>(from)), to_(std::make_shared<const Quantizer>(to)) {
  check_has_bytes(from, "from");
  check_has_bytes(to, "to");
  const at::Tensor every_byte = at::arange(256, at::kByte).view(info(from.dtype).storage);
  const at::Tensor results = function(dequantize_integers(every_byte, from, {256}).to(at::kDouble)).to(at::kFloat);
  check(results.sizes() == every_byte.sizes(), "LookupTable", in_module(), ": the function's results have sizes ",
        results.sizes(), "; expected those of its argument, [256]");
  results_ = quantize_to_integers(results, to).view(at::kByte);
  const at::Tensor undefined = results.isfinite().logical_not();
  if (undefined.any().item<bool>()) undefined_ = undefined.to(at::kByte);
}

bool LookupTable::is_defined_for(const at::Tensor& tensor) const {
  check(is_quantized(tensor) && quantizer(tensor) == *from_, "LookupTable", in_module(),
        ": the tensor has another dtype, scale or zero point than the table was made for; make one for it");
  if (!undefined_.defined()) return true;
  const at::Tensor integers = octet::int_repr(tensor);
  const at::Tensor hits = at::empty_like(integers);
  look_up(integers, undefined_, hits);
  return !hits.any().item<bool>();
}

at::Tensor LookupTable::apply(const at::Tensor& tensor) const {
  const at::Tensor integers = octet::int_repr(tensor);
  const at::Tensor results = empty_activation_like(integers, info(to_->dtype).storage);
  apply_out(tensor, results);
  return wrap(results, to_);
}

void LookupTable::apply_out(const at::Tensor& tensor, const at::Tensor& integers) const {
  check(is_defined_for(tensor), "LookupTable", in_module(),
        ": the tensor holds values that the function has no finite result for");
  check(integers.scalar_type() == info(to_->dtype).storage && integers.sizes() == tensor.sizes(), "LookupTable", in_module(),
        ": the output is ", integers.scalar_type(), " of sizes ", integers.sizes(), "; expected ", info(to_->dtype).storage,
        " of sizes ", tensor.sizes());
  look_up(octet::int_repr(tensor), results_, integers);
}

}  // namespace octet
