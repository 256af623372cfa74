#include <octet/kernels/normalization.h>
#include <octet/nn/attributes.h>
#include <octet/nn/quantized_normalization.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/parallel.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/activation_memory.h>

#include <nn/channel_view.h>

#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <ostream>

namespace octet::nn::quantized {
namespace {

/// A float32 copy. @throws Error for what is no finite floating tensor of these sizes
at::Tensor float_copy(const at::Tensor& tensor, const char* name, at::IntArrayRef sizes, const std::string& path) {
  check(tensor.is_floating_point() && !is_quantized(tensor) && tensor.is_cpu() && tensor.sizes() == sizes, path, ": \"", name,
        "\" is a ", tensor.scalar_type(), " tensor of shape ", tensor.sizes(), " on ", tensor.device(),
        ", expected a floating one of shape ", sizes, " on the CPU");
  check(at::isfinite(tensor).all().item<bool>(), path, ": \"", name, "\" holds NaN or infinite values; mend the model first");
  return tensor.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
}

at::Tensor float_copy_from(const StateDict& state, const char* name, at::IntArrayRef sizes, const std::string& path) {
  const at::Tensor* const found = state.find(name);
  check(found != nullptr, path, ": the tensor \"", name, "\" is missing");
  return float_copy(*found, name, sizes, path);
}

/// A positive number of things. @throws Error for others
int64_t count_from(const Attributes& attributes, const char* name, const std::string& path) {
  const int64_t count = attribute<int64_t>(attributes, name, path);
  check(count > 0, path, ": the attribute \"", name, "\" is ", count, ", expected a positive number");
  return count;
}

kernels::ChannelTerms channel_terms(const at::Tensor& weight, const at::Tensor& bias) {
  return {weight.const_data_ptr<float>(), bias.const_data_ptr<float>()};
}

/// Calls run(integers, out) with pointers to uint8_t or int8_t, as the integers are; returns the output.
template <class Run>
at::Tensor run_on_integers(const at::Tensor& integers, const Run& run) {
  at::Tensor out = empty_activation_like(integers, integers.scalar_type());
  if (integers.scalar_type() == at::kByte) {
    run(integers.const_data_ptr<uint8_t>(), out.mutable_data_ptr<uint8_t>());
  } else {
    run(integers.const_data_ptr<int8_t>(), out.mutable_data_ptr<int8_t>());
  }
  return out;
}

}  // namespace

NormalizationTerms NormalizationTerms::from(const at::Tensor& weight, const at::Tensor& bias, at::IntArrayRef sizes,
                                            const std::string& path) {
  return {weight.defined() ? float_copy(weight, "weight", sizes, path) : at::ones(sizes, at::kFloat),
          bias.defined() ? float_copy(bias, "bias", sizes, path) : at::zeros(sizes, at::kFloat),
          weight.defined() || bias.defined()};
}

NormalizationTerms NormalizationTerms::from(const StateDict& state, const Attributes& attributes, at::IntArrayRef sizes,
                                            const std::string& path) {
  if (!attribute<bool>(attributes, "affine", path)) return from(at::Tensor(), at::Tensor(), sizes, path);
  return {float_copy_from(state, "weight", sizes, path), float_copy_from(state, "bias", sizes, path), true};
}

void NormalizationTerms::append_to(StateDict& state) const {
  if (!affine) return;
  state.insert("weight", weight);
  state.insert("bias", bias);
}

int64_t NormalizationTerms::bytes() const { return affine ? static_cast<int64_t>(weight.nbytes() + bias.nbytes()) : 0; }

StateDict NormalizationModule::state_dict() const {
  StateDict state;
  terms_.append_to(state);
  output_.append_to(state);
  return state;
}

Attributes NormalizationModule::attributes() const {
  Attributes attributes{{"eps", eps_}};
  terms_.append_to(attributes);
  output_.append_to(attributes);
  return attributes;
}

double NormalizationModule::eps_from(const Attributes& attributes, const std::string& path) {
  const double eps = attribute<double>(attributes, "eps", path);
  check(eps >= 0 && std::isfinite(eps), path, ": the attribute \"eps\" is ", eps,
        ", expected one that is finite and not negative");
  return eps;
}

void NormalizationModule::check_input(const at::Tensor& input) const {
  check_quantized_activation(input, "the input");
  check(quantizer(input).dtype == output_.dtype, ModulePathScope::current(), ": got an input of ", quantizer(input).dtype,
        ", but its result was calibrated for ", output_.dtype, "; use one activation dtype in the whole model");
}

at::Tensor NormalizationModule::normalize_groups(const at::Tensor& input, int64_t rows, int64_t channels, int64_t groups) const {
  const at::Tensor integers = octet::int_repr(input).contiguous();
  const int64_t positions = input.numel() / std::max<int64_t>(1, rows * channels);
  const auto scale = static_cast<float>(quantizer(input).scale);
  at::Tensor out = run_on_integers(integers, [&]<class Quantized>(const Quantized* q, Quantized* y) {
    kernels::group_norm<Quantized>({q, rows, channels, positions}, groups, scale, eps_, channel_terms(weight(), bias()),
                                   output_.affine(), y, parallel_for);
  });
  out = out.contiguous(octet::int_repr(input).suggest_memory_format());
  return make_per_tensor_quantized(out, output_.scale, output_.zero_point);
}

void NormalizationModule::print_common(std::ostream& stream) const {
  stream << ", eps=" << eps_ << ", affine=" << (terms_.affine ? "true" : "false") << ", " << output_ << ")";
}

std::shared_ptr<LayerNormImpl> LayerNormImpl::from_float(const torch::nn::LayerNormImpl& module, const QConfig&,
                                                         const std::string& path) {
  const auto& shape = module.options.normalized_shape();
  return std::make_shared<LayerNormImpl>(shape, NormalizationTerms::from(module.weight, module.bias, shape, path),
                                         module.options.eps(), OutputQParams::from(module, path));
}

std::shared_ptr<LayerNormImpl> LayerNormImpl::from_state(const StateDict& state, const Attributes& attributes,
                                                         const std::string& path) {
  const auto& shape = attribute<std::vector<int64_t>>(attributes, "normalized_shape", path);
  check(!shape.empty() && std::ranges::all_of(shape, [](int64_t size) { return size > 0; }), path,
        ": the attribute \"normalized_shape\" is ", shape, ", expected positive sizes");
  return std::make_shared<LayerNormImpl>(shape, NormalizationTerms::from(state, attributes, shape, path),
                                         eps_from(attributes, path), OutputQParams::from(state, attributes, path));
}

LayerNormImpl::LayerNormImpl(std::vector<int64_t> normalized_shape, NormalizationTerms terms, double eps,
                             const OutputQParams& output)
    : ImplementationOf(std::move(terms), eps, output), normalized_shape_(std::move(normalized_shape)) {}

at::Tensor LayerNormImpl::forward(const at::Tensor& input) {
  check_input(input);
  const at::IntArrayRef shape(normalized_shape_);
  const at::IntArrayRef sizes = input.sizes();
  check(sizes.size() >= shape.size() && sizes.slice(sizes.size() - shape.size()) == shape, ModulePathScope::current(),
        ": got an input of shape ", sizes, ", expected one that ends in ", shape);
  const int64_t channels = weight().numel();
  return normalize_groups(input, input.numel() / channels, channels, /*groups=*/1);
}

Attributes LayerNormImpl::attributes() const {
  Attributes attributes = NormalizationModule::attributes();
  attributes["normalized_shape"] = normalized_shape_;
  return attributes;
}

void LayerNormImpl::pretty_print(std::ostream& stream) const {
  stream << kKind << "(" << at::IntArrayRef(normalized_shape_);
  print_common(stream);
}

std::shared_ptr<GroupNormImpl> GroupNormImpl::from_float(const torch::nn::GroupNormImpl& module, const QConfig&,
                                                         const std::string& path) {
  const auto& options = module.options;
  return std::make_shared<GroupNormImpl>(options.num_groups(),
                                         NormalizationTerms::from(module.weight, module.bias, {options.num_channels()}, path),
                                         options.eps(), OutputQParams::from(module, path));
}

std::shared_ptr<GroupNormImpl> GroupNormImpl::from_state(const StateDict& state, const Attributes& attributes,
                                                         const std::string& path) {
  const int64_t channels = count_from(attributes, "num_channels", path), groups = count_from(attributes, "num_groups", path);
  check(channels % groups == 0, path, ": the attribute \"num_groups\" is ", groups, ", which does not divide ", channels,
        " channels");
  return std::make_shared<GroupNormImpl>(groups, NormalizationTerms::from(state, attributes, {channels}, path),
                                         eps_from(attributes, path), OutputQParams::from(state, attributes, path));
}

GroupNormImpl::GroupNormImpl(int64_t num_groups, NormalizationTerms terms, double eps, const OutputQParams& output)
    : ImplementationOf(std::move(terms), eps, output), num_groups_(num_groups) {}

at::Tensor GroupNormImpl::forward(const at::Tensor& input) {
  check_input(input);
  const int64_t channels = weight().numel();
  check(input.dim() >= 2 && input.size(1) == channels, ModulePathScope::current(), ": got an input of shape ", input.sizes(),
        ", expected [N, ", channels, ", ...]");
  return normalize_groups(input, input.size(0), channels, num_groups_);
}

Attributes GroupNormImpl::attributes() const {
  Attributes attributes = NormalizationModule::attributes();
  attributes["num_groups"] = num_groups_;
  attributes["num_channels"] = weight().numel();
  return attributes;
}

void GroupNormImpl::pretty_print(std::ostream& stream) const {
  stream << kKind << "(" << num_groups_ << ", " << weight().numel();
  print_common(stream);
}

NormalizationTerms InstanceNormModule::terms_from_float(const torch::nn::InstanceNormOptions& options, const at::Tensor& weight,
                                                        const at::Tensor& bias, const std::string& path) {
  check(!options.track_running_stats(), path, ": tracks running statistics and would normalize by them in eval mode, but a ",
        "quantized InstanceNorm normalizes by those of its input; keep the module in float with a null qconfig");
  return NormalizationTerms::from(weight, bias, {options.num_features()}, path);
}

NormalizationTerms InstanceNormModule::terms_from_state(const StateDict& state, const Attributes& attributes,
                                                        const std::string& path) {
  return NormalizationTerms::from(state, attributes, {count_from(attributes, "num_features", path)}, path);
}

at::Tensor InstanceNormModule::apply(const at::Tensor& input, int64_t spatial_dimensions) const {
  check_input(input);
  const int64_t features = weight().numel(), channel_dim = input.dim() - spatial_dimensions - 1;
  check((channel_dim == 0 || channel_dim == 1) && input.size(channel_dim) == features, ModulePathScope::current(),
        ": got an input of shape ", input.sizes(), ", expected [N, ", features, "] or [", features, "] and ", spatial_dimensions,
        " dimensions after it");
  return normalize_groups(input, channel_dim ? input.size(0) : 1, features, features);
}

Attributes InstanceNormModule::attributes() const {
  Attributes attributes = NormalizationModule::attributes();
  attributes["num_features"] = weight().numel();
  return attributes;
}

void InstanceNormModule::pretty_print(std::ostream& stream) const {
  stream << kind() << "(" << weight().numel();
  print_common(stream);
}

BatchNormModule::BatchNormModule(NormalizationTerms terms, Statistics statistics, double eps, const OutputQParams& output)
    : NormalizationModule(std::move(terms), eps, output), statistics_(std::move(statistics)) {
  const at::Tensor alpha = weight().to(at::kDouble) / (statistics_.running_var.to(at::kDouble) + eps).sqrt();
  alpha_ = alpha.to(at::kFloat);
  beta_ = (bias().to(at::kDouble) - statistics_.running_mean.to(at::kDouble) * alpha).to(at::kFloat);
}

BatchNormModule::Statistics BatchNormModule::statistics_from_float(const at::Tensor& running_mean, const at::Tensor& running_var,
                                                                   int64_t num_features, const std::string& path) {
  check(running_mean.defined() && running_var.defined(), path,
        ": has no running statistics to normalize by; keep the module in float with a null qconfig");
  Statistics statistics{float_copy(running_mean, "running_mean", {num_features}, path),
                        float_copy(running_var, "running_var", {num_features}, path)};
  check((statistics.running_var >= 0).all().item<bool>(), path, ": \"running_var\" holds negative values; mend the model first");
  return statistics;
}

BatchNormModule::Statistics BatchNormModule::statistics_from_state(const StateDict& state, const Attributes& attributes,
                                                                   const std::string& path) {
  const int64_t features = count_from(attributes, "num_features", path);
  return statistics_from_float(float_copy_from(state, "running_mean", {features}, path),
                               float_copy_from(state, "running_var", {features}, path), features, path);
}

at::Tensor BatchNormModule::apply(const at::Tensor& input, int64_t spatial_dimensions, bool with_relu) const {
  check_input(input);
  const int64_t features = alpha_.numel();
  check(input.dim() == spatial_dimensions + 2 && input.size(1) == features, ModulePathScope::current(),
        ": got an input of shape ", input.sizes(), ", expected [N, ", features, "] and ", spatial_dimensions,
        " dimensions after it");
  kernels::AffineQParams to = output().affine();
  if (with_relu) to.quant_min = std::max(to.quant_min, to.zero_point);
  const Quantizer& own = quantizer(input);
  const kernels::AffineQParams from{static_cast<float>(own.scale), static_cast<int32_t>(own.zero_point)};
  const ChannelView x = channel_view(octet::int_repr(input));
  const at::Tensor out = run_on_integers(x.integers, [&]<class Quantized>(const Quantized* q, Quantized* y) {
    kernels::batch_norm<Quantized>({q, x.rows, x.channels, x.positions}, from, channel_terms(alpha_, beta_), to, y, parallel_for);
  });
  return make_per_tensor_quantized(out, output().scale, output().zero_point);
}

StateDict BatchNormModule::state_dict() const {
  StateDict state = NormalizationModule::state_dict();
  state.insert("running_mean", statistics_.running_mean);
  state.insert("running_var", statistics_.running_var);
  return state;
}

Attributes BatchNormModule::attributes() const {
  Attributes attributes = NormalizationModule::attributes();
  attributes["num_features"] = alpha_.numel();
  return attributes;
}

int64_t BatchNormModule::weight_bytes() const {
  return NormalizationModule::weight_bytes() +
         static_cast<int64_t>(statistics_.running_mean.nbytes() + statistics_.running_var.nbytes());
}

void BatchNormModule::pretty_print(std::ostream& stream) const {
  stream << kind() << "(" << alpha_.numel();
  print_common(stream);
}

}  // namespace octet::nn::quantized
