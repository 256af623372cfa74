#include <octet/observe/learnable_fake_quantize.h>

#include <observe/arguments.h>
#include <observe/fake_quantize_function.h>
#include <tensor/in_module.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>

namespace octet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Fake quantization with gradients of x, scale and zero point.
class LearnableRounding : public torch::autograd::Function<LearnableRounding> {
 public:
  // @param integers         the zero point as forward() rounds with it, int32
  // @param gradient_factor  for the gradients of scale and zero point
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& scale,
                            const at::Tensor& /*zero_point*/, const at::Tensor& integers, const QuantizationTarget& target,
                            double gradient_factor) {
    context->save_for_backward({x, scale, integers});
    context->saved_data["per_channel"] = is_per_channel(target.qscheme);
    context->saved_data["ch_axis"] = target.ch_axis;
    context->saved_data["quant_min"] = target.quant_min;
    context->saved_data["quant_max"] = target.quant_max;
    context->saved_data["gradient_factor"] = gradient_factor;
    return octet::fake_quantize(x, scale, integers, target);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check(!at::GradMode::is_enabled(), "LearnableFakeQuantize has no second derivative; call backward() without create_graph");
    auto& data = context->saved_data;
    const QuantizationTarget target{.qscheme = data["per_channel"].toBool() ? per_channel_affine : per_tensor_affine,
                                    .quant_min = data["quant_min"].toInt(),
                                    .quant_max = data["quant_max"].toInt(),
                                    .ch_axis = data["ch_axis"].toInt()};
    const auto saved = context->get_saved_variables();
    const auto result = learnable_gradients(gradients[0], saved[0], saved[1], saved[2], target);
    const double factor = data["gradient_factor"].toDouble();
    return {result.x, result.scale * factor, result.zero_point * factor, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

template <class Action>
void apply_to_learnable(torch::nn::Module& module, Action action) {
  if (auto* learnable = module.as<LearnableFakeQuantize>()) (learnable->*action)();
}

}  // namespace

Arguments LearnableFakeQuantizeOptions::arguments() const {
  return {{"observer", argument_text(observer())}, {"use_grad_scaling", argument_text(use_grad_scaling())}};
}

LearnableFakeQuantize::LearnableFakeQuantize(const Options& options)
    : ObserverOf(options, options.observer(), at::kByte, QParamsAre::parameters) {
  check(qscheme() != per_channel_affine_float_qparams, name(), " learns integer zero points, but its observer is ",
        options.observer(), "; use FakeQuantize for that");
  check(!options.use_grad_scaling() || quant_max() > 0, name(), ": use_grad_scaling divides by quant_max, which is ",
        quant_max());
  observer_enabled_ = register_buffer("static_enabled", at::full({1}, 1, at::kByte));
  learning_enabled_ = register_buffer("learning_enabled", at::zeros({1}, at::kByte));
  eps_ = register_buffer("eps", at::full({1}, std::numeric_limits<float>::epsilon(), at::kFloat));
}

void LearnableFakeQuantize::set_learning(bool enabled) {
  learning_enabled_.fill_(enabled);
  scale_.set_requires_grad(enabled);
  zero_point_.set_requires_grad(enabled && !is_symmetric(qscheme()));
}

void LearnableFakeQuantize::enable_param_learning() {
  check(is_calibrated(), name(), in_module(),
        " has seen no data, so it has no scale to begin with; let a batch pass first, or start_from() a calibrated observer");
  set_learning(true);
  disable_observer();
  enable_fake_quant();
}

void LearnableFakeQuantize::enable_static_estimate() {
  set_learning(false);
  enable_observer();
  enable_fake_quant();
}

void LearnableFakeQuantize::enable_static_observation() {
  set_learning(false);
  enable_observer();
  disable_fake_quant();
}

at::Tensor LearnableFakeQuantize::integer_zero_point() const {
  return zero_point_.detach().round().clamp(quant_min(), quant_max());
}

QParams LearnableFakeQuantize::calculate_qparams() const {
  if (!is_calibrated()) return FakeQuantizeBase::calculate_qparams();  // says so
  return {scale_.detach().maximum(eps_), integer_zero_point().to(at::kLong)};
}

void LearnableFakeQuantize::reduce_over_ranks(RankReduction& reduction) {
  if (learns()) {
    activation_post_process_->reduce_over_ranks(reduction);
  } else {
    FakeQuantizeBase::reduce_over_ranks(reduction);
  }
}

at::Tensor LearnableFakeQuantize::fake_quantize(const at::Tensor& x) {
  scale_.variable_data().clamp_min_(eps_);  // an optimizer may have gone too far
  const at::Tensor integers = integer_zero_point().to(at::kInt);
  if (!learns()) return octet::fake_quantize(x, scale_.detach(), integers, target());
  if (!scale_.requires_grad()) set_learning(true);  // the switch came out of a file
  const double size = static_cast<double>(x.numel()) * static_cast<double>(quant_max());
  return LearnableRounding::apply(x, scale_, zero_point_, integers, target(),
                                  options().use_grad_scaling() ? 1 / std::sqrt(size) : 1.0);
}

void LearnableFakeQuantize::copy_unregistered_state(const ObserverBase& other) {
  const auto& source = dynamic_cast<const LearnableFakeQuantize&>(other);
  scale_.resize_(source.scale_.sizes()).copy_(source.scale_);
  zero_point_.resize_(source.zero_point_.sizes()).copy_(source.zero_point_);
  set_learning(source.learns());
}

void enable_param_learning(torch::nn::Module& module) {
  apply_to_learnable(module, &LearnableFakeQuantize::enable_param_learning);
}

void enable_static_estimate(torch::nn::Module& module) {
  apply_to_learnable(module, &LearnableFakeQuantize::enable_static_estimate);
}

}  // namespace octet
