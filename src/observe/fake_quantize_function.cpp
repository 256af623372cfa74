#include <observe/fake_quantize_function.h>

#include <octet/kernels/fake_quantize.h>
#include <octet/tensor/parallel.h>

#include <tensor/in_module.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/fake_quantize_per_channel_affine.h>
#include <ATen/ops/fake_quantize_per_tensor_affine.h>
#include <torch/csrc/autograd/custom_function.h>

#include <stdexcept>
#include <utility>
#include <vector>

namespace octet {
namespace {

using kernels::ChannelLayout;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Where a gradient passes, and how the elements lie that the mask's bits stand for.
struct Passing {
  at::Tensor mask;
  ChannelLayout layout;
  std::vector<int64_t> strides;
};

// The dimension of x that target.ch_axis means.
int64_t channel_dimension(const at::Tensor& x, const at::Tensor& scale, const QuantizationTarget& target) {
  const int64_t axis = target.ch_axis < 0 ? target.ch_axis + x.dim() : target.ch_axis;
  check(0 <= axis && axis < x.dim(), "fake quantization", in_module(), ": ch_axis ", target.ch_axis,
        " is no dimension of an input of sizes ", x.sizes());
  check(x.size(axis) == scale.numel(), "fake quantization", in_module(), ": the input of sizes ", x.sizes(), " has ",
        x.size(axis), " channels in dimension ", axis, ", but there are scales for ", scale.numel());
  return axis;
}

// In a dense tensor the dimensions are nested, so that the stride of one is the size of all those within it.
ChannelLayout layout_of(const at::Tensor& dense, const at::Tensor& scale, const QuantizationTarget& target) {
  if (!is_per_channel(target.qscheme)) {
    check(scale.numel() == 1, "fake quantization", in_module(), ": the scale has ", scale.numel(), " elements, expected 1 for ",
          target.qscheme);
    return {.inner = dense.numel()};
  }
  const int64_t axis = channel_dimension(dense, scale, target), channels = dense.size(axis);
  const int64_t inner = channels == 1 ? dense.numel() : dense.stride(axis);
  return {.outer = dense.numel() / (channels * inner), .channels = channels, .inner = inner};
}

at::Tensor as_dense_floats(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.is_non_overlapping_and_dense() ? tensor : tensor.contiguous();
  return dense.to(at::kFloat);
}

// The gradient's values where those of what it belongs to lie.
at::Tensor as_floats_at(at::IntArrayRef strides, const at::Tensor& gradient) {
  if (gradient.strides() == strides) return gradient.to(at::kFloat);
  return at::empty_strided(gradient.sizes(), strides, gradient.options().dtype(at::kFloat)).copy_(gradient);
}

kernels::ChannelQParams qparams_of(const at::Tensor& scale, const at::Tensor& zero_point, const QuantizationTarget& target) {
  return {.scale = scale.const_data_ptr<float>(),
          .zero_point = zero_point.const_data_ptr<int32_t>(),
          .quant_min = static_cast<int32_t>(target.quant_min),
          .quant_max = static_cast<int32_t>(target.quant_max)};
}

// Calls a kernel, whose errors are then the module's.
template <class Kernel>
void run(const Kernel& kernel) {
  try {
    kernel();
  } catch (const std::invalid_argument& error) {
    fail(error.what(), in_module());
  }
}

at::Tensor masked(const at::Tensor& gradient, const Passing& passing) {
  const at::NoGradGuard no_grad;
  const at::Tensor floats = as_floats_at(passing.strides, gradient);
  const at::Tensor result = at::empty_like(floats);
  kernels::fake_quantize_backward(floats.const_data_ptr<float>(), passing.layout, passing.mask.const_data_ptr<uint8_t>(),
                                  result.mutable_data_ptr<float>(), parallel_for);
  return result.to(gradient.scalar_type());
}

// Makes `result` that of a function of the input whose gradient passes in places. So does the gradient's own.
class StraightThrough : public torch::autograd::Function<StraightThrough> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& /*input*/,
                            const std::pair<at::Tensor, Passing>& computed) {
    const auto& [result, passing] = computed;
    context->save_for_backward({passing.mask});
    context->saved_data["strides"] = passing.strides;
    context->saved_data["rows"] = passing.layout.rows();
    context->saved_data["inner"] = passing.layout.inner;
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const Passing passing{.mask = context->get_saved_variables()[0],
                          .layout = {.outer = context->saved_data["rows"].toInt(), .inner = context->saved_data["inner"].toInt()},
                          .strides = context->saved_data["strides"].toIntVector()};
    const at::Tensor& gradient = gradients[0];
    return {apply(gradient, std::pair(masked(gradient, passing), passing)), at::Tensor()};
  }
};

at::Tensor fake_quantize_by_kernel(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                                   const QuantizationTarget& target) {
  const bool has_gradient = at::GradMode::is_enabled() && x.requires_grad();
  const at::Tensor dense = as_dense_floats(x.detach());
  const ChannelLayout layout = layout_of(dense, scale, target);
  at::Tensor mask;
  if (has_gradient) mask = at::empty({layout.mask_bytes()}, at::kByte);
  const at::Tensor floats = at::empty_like(dense);
  run([&] {
    kernels::fake_quantize(dense.const_data_ptr<float>(), layout, qparams_of(scale, zero_point, target),
                           floats.mutable_data_ptr<float>(), has_gradient ? mask.mutable_data_ptr<uint8_t>() : nullptr,
                           parallel_for);
  });
  const at::Tensor result = floats.to(x.scalar_type());
  return has_gradient ? StraightThrough::apply(x, std::pair(result, Passing{mask, layout, dense.strides().vec()})) : result;
}

bool has_kernel(const at::Tensor& x, QScheme qscheme) {
  const auto dtype = x.scalar_type();
  return x.is_cpu() && (dtype == at::kFloat || dtype == at::kHalf || dtype == at::kBFloat16) &&
         qscheme != per_channel_affine_float_qparams;
}

LearnableGradients learnable_gradients_by_kernel(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& scale,
                                                 const at::Tensor& zero_point, const QuantizationTarget& target) {
  const at::Tensor dense = as_dense_floats(x);
  const at::Tensor floats = as_floats_at(dense.strides(), gradient);
  const LearnableGradients result{at::empty_like(dense), at::empty_like(scale), at::empty_like(scale)};
  run([&] {
    kernels::fake_quantize_learnable_backward(dense.const_data_ptr<float>(), floats.const_data_ptr<float>(),
                                              layout_of(dense, scale, target), qparams_of(scale, zero_point, target),
                                              result.x.mutable_data_ptr<float>(), result.scale.mutable_data_ptr<float>(),
                                              result.zero_point.mutable_data_ptr<float>(), parallel_for);
  });
  return {result.x.to(x.scalar_type()), result.scale, result.zero_point};
}

LearnableGradients learnable_gradients_by_operators(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& scale,
                                                    const at::Tensor& zero_point, const QuantizationTarget& target) {
  std::vector<int64_t> sizes(x.dim(), 1);  // of the channels' numbers beside x
  if (is_per_channel(target.qscheme)) sizes[channel_dimension(x, scale, target)] = scale.numel();
  const auto summed = [&](const at::Tensor& of_x) { return of_x.sum_to_size(sizes).view(scale.sizes()).to(at::kFloat); };
  const at::Tensor steps = x * scale.reciprocal().view(sizes);
  const at::Tensor rounded = steps.round();
  const at::Tensor zero = zero_point.view(sizes);
  const at::Tensor clamped = rounded.clamp(target.quant_min - zero, target.quant_max - zero);
  const at::Tensor passes = rounded == clamped;
  return {.x = at::where(passes, gradient, 0.0),
          .scale = summed(gradient * (clamped - at::where(passes, steps, 0.0))),
          .zero_point = summed(at::where(passes, 0.0, gradient)) * -scale};
}

}  // namespace

LearnableGradients learnable_gradients(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& scale,
                                       const at::Tensor& zero_point, const QuantizationTarget& target) {
  const at::NoGradGuard no_grad;
  const auto gradients = has_kernel(x, target.qscheme) ? learnable_gradients_by_kernel : learnable_gradients_by_operators;
  return gradients(gradient, x, scale, zero_point, target);
}

at::Tensor fake_quantize(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                         const QuantizationTarget& target) {
  if (has_kernel(x, target.qscheme)) return fake_quantize_by_kernel(x, scale, zero_point, target);
  if (!is_per_channel(target.qscheme)) {
    return at::fake_quantize_per_tensor_affine(x, scale, zero_point, target.quant_min, target.quant_max);
  }
  return at::fake_quantize_per_channel_affine(x, scale, zero_point, channel_dimension(x, scale, target), target.quant_min,
                                              target.quant_max);
}

}  // namespace octet
