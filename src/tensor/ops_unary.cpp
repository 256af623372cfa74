// Functions of one number: a table of what they make of each of the 256 integers, computed by the op itself in float64.
#include <octet/tensor/error.h>
#include <octet/tensor/lookup_table.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/integers.h>
#include <tensor/op_table.h>
#include <tensor/quantizer_of_results.h>

#include <ATen/ops/arange.h>

namespace octet {
namespace {

/// What the quantizer of the result is.
enum class Range : uint8_t {
  same,              ///< that of the argument
  zero_to_one,       ///< 0 .. 255/256, as ATen has it for sigmoid
  minus_one_to_one,  ///< -1 .. 127/128, as ATen has it for tanh
  of_the_results,    ///< chosen, as an observer would, for all results that the argument's 256 integers can have
};

Quantizer quantizer_for(const Quantizer& own, Range range, const at::Tensor& finite_results) {
  switch (range) {
    case Range::same:
      return own;
    case Range::zero_to_one:
      return zero_to_one(own.dtype);
    case Range::minus_one_to_one:
      return minus_one_to_one(own.dtype);
    case Range::of_the_results:
      return quantizer_of_results(finite_results, own.dtype);
  }
  fail("octet: no such range");
}

// In place the quantizer can't change: other views of the integers have it too.
void check_fit_in_place(OpCall& call, const at::Tensor& arguments, const at::Tensor& finite_results) {
  const double half = call.quantizer().scale / 2;
  const auto least = finite_results.min().item<double>();
  const auto greatest = finite_results.max().item<double>();
  if (least < arguments.min().item<double>() - half || greatest > arguments.max().item<double>() + half) {
    refuse("in place, the results in ", least, " .. ", greatest, " would not fit the scale and zero point of the argument, ",
           arguments.min().item<double>(), " .. ", arguments.max().item<double>());
  }
}

template <Range range>
void unary(OpCall& call) {
  const Quantizer& own = call.quantizer();
  if (info(own.dtype).bits != 8) refuse("a table of all values is made for 8-bit dtypes, not for ", own.dtype);
  const at::Tensor every_byte = at::arange(256, at::kByte).view(info(own.dtype).storage);
  const at::Tensor arguments = dequantize_integers(every_byte, own, {256}).to(at::kDouble);
  const at::Tensor results = call.try_with(arguments.clone()).to(at::kFloat);
  const at::Tensor is_finite = results.isfinite();
  const at::Tensor finite_results = results.masked_select(is_finite);
  if (finite_results.numel() == 0) refuse("it has no finite result for any value of the tensor");
  if (call.in_place() && range != Range::same) check_fit_in_place(call, arguments, finite_results);
  const Quantizer quantizer = call.in_place() ? own : quantizer_for(own, range, finite_results);
  const LookupTable table(own, quantizer, [&](const at::Tensor&) { return results; });
  if (!table.is_defined_for(call.quantized())) {
    const at::Tensor without = arguments.masked_select(is_finite.logical_not());
    refuse("the tensor holds values without a finite result; among its possible values there are ", without.numel(), ", such as ",
           without[0].item<double>());
  }
  const at::Tensor result = table.apply(call.quantized());
  if (call.in_place()) return call.answer_integers(octet::int_repr(result));
  call.answer(result);
}

}  // namespace

std::span<const OpRow> unary_ops() {
  static constexpr auto kSame = unary<Range::same>;
  static constexpr auto kZeroToOne = unary<Range::zero_to_one>;
  static constexpr auto kMinusOneToOne = unary<Range::minus_one_to_one>;
  static constexpr auto kOfTheResults = unary<Range::of_the_results>;
  static constexpr OpRow kRows[] = {
      // As ATen's quantized ops.
      {"sigmoid", kZeroToOne},
      {"hardsigmoid", kZeroToOne},
      {"tanh", kMinusOneToOne},
      {"leaky_relu", kSame},
      {"gelu", kSame},
      {"threshold", kSame},
      // ATen has no quantized form of these.
      {"hardswish", kOfTheResults},
      {"elu", kOfTheResults},
      {"celu", kOfTheResults},
      {"selu", kOfTheResults},
      {"silu", kOfTheResults},
      {"mish", kOfTheResults},
      {"softplus", kOfTheResults},
      {"softshrink", kOfTheResults},
      {"hardshrink", kOfTheResults},
      {"log_sigmoid", kOfTheResults},
      {"logit", kOfTheResults},
      {"add.Scalar", kOfTheResults},
      {"sub.Scalar", kOfTheResults},
      {"rsub.Scalar", kOfTheResults},
      {"mul.Scalar", kOfTheResults},
      {"div.Scalar", kOfTheResults},
      {"pow.Tensor_Scalar", kOfTheResults},
      {"abs", kOfTheResults},
      {"neg", kOfTheResults},
      {"sign", kOfTheResults},
      {"sgn", kOfTheResults},
      {"reciprocal", kOfTheResults},
      {"sqrt", kOfTheResults},
      {"rsqrt", kOfTheResults},
      {"exp", kOfTheResults},
      {"exp2", kOfTheResults},
      {"expm1", kOfTheResults},
      {"log", kOfTheResults},
      {"log2", kOfTheResults},
      {"log10", kOfTheResults},
      {"log1p", kOfTheResults},
      {"sin", kOfTheResults},
      {"cos", kOfTheResults},
      {"tan", kOfTheResults},
      {"asin", kOfTheResults},
      {"acos", kOfTheResults},
      {"atan", kOfTheResults},
      {"sinh", kOfTheResults},
      {"cosh", kOfTheResults},
      {"asinh", kOfTheResults},
      {"acosh", kOfTheResults},
      {"atanh", kOfTheResults},
      {"erf", kOfTheResults},
      {"erfc", kOfTheResults},
      {"erfinv", kOfTheResults},
      {"floor", kOfTheResults},
      {"ceil", kOfTheResults},
      {"round", kOfTheResults},
      {"trunc", kOfTheResults},
      {"frac", kOfTheResults},
  };
  return kRows;
}

}  // namespace octet
