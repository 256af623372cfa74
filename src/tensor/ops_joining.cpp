// Ops that join several tensors, or write one into another: what has other qparams is requantized.
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/integers.h>
#include <tensor/op_table.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include <vector>

namespace octet {
namespace {

// The integers of a tensor in another quantizer: its values, quantized again.
at::Tensor requantized(const at::Tensor& tensor, const Quantizer& to) {
  if (quantizer(tensor) == to) return octet::int_repr(tensor);
  return quantize_to_integers(octet::dequantize(tensor), to);
}

at::Tensor cat(at::TensorList integers, int64_t dim) { return at::cat(integers, dim); }

at::Tensor stack(at::TensorList integers, int64_t dim) { return at::stack(integers, dim); }

// As in ATen, the result has the quantizer of the first tensor.
using Join = at::Tensor (*)(at::TensorList, int64_t);

template <Join join>
void join_tensors(OpCall& call) {
  const auto tensors = call.argument("tensors").toTensorVector();
  std::vector<at::Tensor> integers;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!is_quantized(tensors[i])) {
      refuse("tensor ", i, " of the list is a plain ", tensors[i].scalar_type(),
             " tensor. To stay with integers, quantize it, with an octet::nn::QuantStub");
    }
    const Quantizer& own = quantizer(tensors[i]);
    if (own.dtype != call.quantizer().dtype || own.is_per_channel()) {
      refuse("tensor ", i, " of the list is ", own.dtype, " with the scheme ", own.qscheme, ", the first is ",
             call.quantizer().dtype, " with ", call.quantizer().qscheme);
    }
    integers.push_back(requantized(tensors[i], call.quantizer()));
  }
  const int64_t dim = call.argument("dim").toInt();
  call.answer_integers(join(integers, dim));
}

// The integers of what is written into a quantized tensor: floats are quantized, as in ATen.
at::Tensor integers_of_source(const at::Tensor& source, const Quantizer& to) {
  return is_quantized(source) ? requantized(source, to) : quantize_to_integers(source.detach().to(at::kFloat).cpu(), to);
}

// A float tensor takes no quantized values: that would be a silent dequantization.
void check_takes(const at::Tensor& self) {
  if (!is_quantized(self)) refuse("a plain ", self.scalar_type(), " tensor can't take a quantized one");
}

void copy_(OpCall& call) {
  const at::Tensor& self = call[0].toTensor();
  const at::Tensor& source = call[1].toTensor();
  check_takes(self);
  const Quantizer& to = quantizer(self);
  const bool source_is_quantized = is_quantized(source);
  if (to.is_packed() && self.sizes() != source.sizes()) refuse("packed tensors have no broadcasting");
  if (source_is_quantized && quantizer(source) == to) {
    octet::int_repr(self).copy_(octet::int_repr(source));
  } else {
    const at::Tensor values = source_is_quantized ? octet::dequantize(source) : source.to(at::kFloat).cpu();
    octet::int_repr(self).copy_(quantize_to_integers(values.expand(self.sizes()), to));
  }
  call.answer(at::Tensor(self));
}

void index_put(OpCall& call) {
  const at::Tensor self = call.argument("self").toTensor();
  check_takes(self);
  if (call.argument("accumulate").toBool()) refuse("values are put into a quantized tensor, not added to it");
  c10::List<std::optional<at::Tensor>> indices;
  for (const c10::IValue& index : call.argument("indices").toListRef()) indices.push_back(index.toOptional<at::Tensor>());
  const at::Tensor values = integers_of_source(call.argument("values").toTensor(), quantizer(self));
  const at::Tensor integers = call.in_place() ? octet::int_repr(self) : octet::int_repr(self).clone();
  integers.index_put_(indices, values);
  if (call.in_place()) return call.answer(self);
  call.answer(wrap(integers, impl_of(self, call.name()).quantizer()));
}

}  // namespace

std::span<const OpRow> joining_ops() {
  static constexpr OpRow kRows[] = {
      {"cat", join_tensors<cat>},
      {"stack", join_tensors<stack>},
      {"copy_", copy_, Accepts::packed},
      {"index_put", index_put},
  };
  return kRows;
}

}  // namespace octet
