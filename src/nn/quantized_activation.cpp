#include <octet/nn/attributes.h>
#include <octet/nn/quantized_activation.h>
#include <octet/tensor/error.h>
#include <octet/tensor/functional.h>
#include <octet/tensor/lookup_table.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/parallel.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/activation_memory.h>

#include <nn/channel_view.h>
#include <nn/quantized_weight.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <mutex>
#include <ostream>
#include <type_traits>

namespace octet::nn::quantized {

struct TableActivation::LastTable {
  std::mutex mutex;
  std::shared_ptr<const LookupTable> table;
};

TableActivation::TableActivation(Function function, const OutputQParams& output)
    : function_(std::move(function)), output_(output), last_table_(std::make_shared<LastTable>()) {}

at::Tensor TableActivation::forward(const at::Tensor& input) {
  check_quantized_activation(input, "the input");
  const Quantizer& from = quantizer(input);
  std::shared_ptr<const LookupTable> table;
  {
    const std::lock_guard lock(last_table_->mutex);
    table = last_table_->table;
  }
  if (!table || table->from() != from) {
    table = std::make_shared<const LookupTable>(from, output_.quantizer(), function_);
    const std::lock_guard lock(last_table_->mutex);
    last_table_->table = table;
  }
  return clamp_to_range(table->apply(input), output_);
}

StateDict TableActivation::state_dict() const { return output_.state_dict(); }

namespace {

/// Calls visit(name, value&) for each option that tells what a module computes. (`inplace` does not.)
template <class FloatModule, class Visit>
void visit_options(FloatModule& module, const Visit& visit) {
  if constexpr (requires { module.options.alpha(); }) visit("alpha", module.options.alpha());
  if constexpr (requires { module.options.negative_slope(); }) visit("negative_slope", module.options.negative_slope());
  if constexpr (requires { module.options.approximate(); }) visit("approximate", module.options.approximate());
}

template <class FloatModule>
Attributes options_of(const FloatModule& module) {
  Attributes options;
  visit_options(module, [&](const char* name, const auto& value) { options[name] = value; });
  return options;
}

/// A float module of its own, outside of any slot.
template <class FloatModule>
std::shared_ptr<FloatModule> with_options(const Attributes& options, const std::string& path) {
  auto module = std::make_shared<FloatModule>();
  visit_options(*module, [&](const char* name, auto& value) {
    value = attribute<std::remove_reference_t<decltype(value)>>(options, name, path);
  });
  return module;
}

}  // namespace

template <class Self, class FloatSlot>
UnaryActivation<Self, FloatSlot>::UnaryActivation(std::shared_ptr<Function> function, const OutputQParams& output)
    : ImplementationOf<Self, TableActivation>([function](const at::Tensor& x) { return function->forward(x); }, output),
      float_module_(std::move(function)) {}

template <class Self, class FloatSlot>
std::shared_ptr<Self> UnaryActivation<Self, FloatSlot>::from_float(const Function& module, const QConfig&,
                                                                   const std::string& path) {
  return std::make_shared<Self>(with_options<Function>(options_of(module), path), OutputQParams::from(module, path));
}

template <class Self, class FloatSlot>
std::shared_ptr<Self> UnaryActivation<Self, FloatSlot>::from_state(const StateDict& state, const Attributes& attributes,
                                                                   const std::string& path) {
  auto function = with_options<Function>(attributes, path);
  if constexpr (requires { function->options.approximate(); }) {
    const std::string& approximate = function->options.approximate();
    check(approximate == "none" || approximate == "tanh", path, ": the attribute \"approximate\" is \"", approximate,
          "\", expected none or tanh");
  }
  return std::make_shared<Self>(std::move(function), OutputQParams::from(state, attributes, path));
}

template <class Self, class FloatSlot>
Attributes UnaryActivation<Self, FloatSlot>::attributes() const {
  Attributes attributes = options_of(*float_module_);
  this->output().append_to(attributes);
  return attributes;
}

template <class Self, class FloatSlot>
void UnaryActivation<Self, FloatSlot>::pretty_print(std::ostream& stream) const {
  stream << this->kind() << "(";
  visit_options(*float_module_, [&](const char* name, const auto& value) { stream << name << "=" << value << ", "; });
  stream << this->output() << ")";
}

template class UnaryActivation<ELUImpl, nn::ELUImpl>;
template class UnaryActivation<LeakyReLUImpl, nn::LeakyReLUImpl>;
template class UnaryActivation<HardswishImpl, nn::HardswishImpl>;
template class UnaryActivation<SigmoidImpl, nn::SigmoidImpl>;
template class UnaryActivation<TanhImpl, nn::TanhImpl>;
template class UnaryActivation<HardsigmoidImpl, nn::HardsigmoidImpl>;
template class UnaryActivation<SiLUImpl, nn::SiLUImpl>;
template class UnaryActivation<GELUImpl, nn::GELUImpl>;

std::shared_ptr<ReLU6Impl> ReLU6Impl::from_float(const torch::nn::ReLU6Impl& module, const QConfig&, const std::string&) {
  return std::make_shared<ReLU6Impl>(module.options.inplace());
}

std::shared_ptr<ReLU6Impl> ReLU6Impl::from_state(const StateDict&, const Attributes& attributes, const std::string& path) {
  return std::make_shared<ReLU6Impl>(attribute<bool>(attributes, "inplace", path));
}

at::Tensor ReLU6Impl::forward(const at::Tensor& input) {
  check_quantized_activation(input, "the input");
  return inplace_ ? at::clamp_(const_cast<at::Tensor&>(input), 0.0, 6.0) : at::clamp(input, 0.0, 6.0);
}

void ReLU6Impl::pretty_print(std::ostream& stream) const { stream << kKind << "(" << (inplace_ ? "inplace=true" : "") << ")"; }

namespace {

void check_slope_dtype(DType dtype, const std::string& where) {
  check(dtype == quint8 || dtype == qint8, where, ": got a weight observer of dtype ", dtype, ", expected quint8 or qint8");
}

/// For each slope what it makes of each byte of an input: [num_parameters, 256] bytes.
at::Tensor prelu_tables(const at::Tensor& slopes, const Quantizer& from, const OutputQParams& output) {
  const at::Tensor every_byte = at::arange(256, at::kByte).view(info(from.dtype).storage);
  const at::Tensor x = octet::dequantize(make_quantized(every_byte, from)).unsqueeze(0);
  const at::Tensor y = at::where(x < 0, x * slopes.unsqueeze(1), x.expand({slopes.numel(), 256}));
  return octet::int_repr(quantize_activation(y, output)).view(at::kByte).contiguous();
}

}  // namespace

std::shared_ptr<PReLUImpl> PReLUImpl::from_float(const torch::nn::PReLUImpl& module, const QConfig& qconfig,
                                                 const std::string& path) {
  const std::string where = path + ": weight";
  check(static_cast<bool>(qconfig.weight), where, ": the qconfig ", qconfig, " observes no weight; give it a weight observer");
  check_slope_dtype(qconfig.weight.dtype(), where);
  const at::Tensor slopes = module.weight.detach().to(at::kCPU, at::kFloat).contiguous();
  return std::make_shared<PReLUImpl>(quantize_as_observed(slopes, qconfig, where), OutputQParams::from(module, path));
}

std::shared_ptr<PReLUImpl> PReLUImpl::from_state(const StateDict& state, const Attributes& attributes, const std::string& path) {
  const auto tensor = [&](const char* name, std::initializer_list<at::ScalarType> dtypes) {
    const at::Tensor* const found = state.find(name);
    check(found != nullptr, path, ": the tensor \"", name, "\" is missing");
    check(found->dim() == 1 && found->numel() > 0 && std::ranges::find(dtypes, found->scalar_type()) != dtypes.end(), path,
          ": \"", name, "\" is a ", found->scalar_type(), " tensor of shape ", found->sizes(), ", expected ",
          at::ArrayRef(dtypes), " and one dimension");
    return *found;
  };
  const at::Tensor integers = tensor("weight", {at::kByte, at::kChar}), scale = tensor("weight_scale", {at::kFloat}),
                   zero_point = tensor("weight_zero_point", {at::kInt});
  check((scale.numel() == 1 || scale.numel() == integers.numel()) && zero_point.numel() == scale.numel(), path,
        ": \"weight_scale\" has ", scale.numel(), " elements and \"weight_zero_point\" ", zero_point.numel(), ", expected 1 or ",
        integers.numel(), " of both");
  const OutputQParams output = OutputQParams::from(state, attributes, path);
  try {
    return std::make_shared<PReLUImpl>(
        scale.numel() > 1 ? make_per_channel_quantized(integers, scale, zero_point, 0)
                          : make_per_tensor_quantized(integers, scale.item<double>(), zero_point.item<int64_t>()),
        output);
  } catch (const Error& error) {
    fail(path, ": weight: ", error.what());
  }
}

PReLUImpl::PReLUImpl(at::Tensor weight, const OutputQParams& output)
    : weight_(std::move(weight)), slopes_(octet::dequantize(weight_)), output_(output) {}

at::Tensor PReLUImpl::forward(const at::Tensor& input) {
  check_quantized_activation(input, "the input");
  const int64_t parameters = slopes_.numel();
  check(parameters == 1 || (input.dim() >= 2 && input.size(1) == parameters), ModulePathScope::current(),
        ": got an input of shape ", input.sizes(), ", expected [N, ", parameters, ", ...], a channel for each slope");
  const at::Tensor integers = octet::int_repr(input);
  const ChannelView x = parameters > 1
                            ? channel_view(integers)
                            : ChannelView{integers.contiguous(integers.suggest_memory_format()), integers.numel(), 1, 1};
  const at::Tensor tables = prelu_tables(slopes_, quantizer(input), output_);
  const at::Tensor out = empty_activation_like(x.integers, info(output_.dtype).storage);
  const auto* const from = static_cast<const uint8_t*>(x.integers.const_data_ptr());
  auto* const to = static_cast<uint8_t*>(out.mutable_data_ptr());
  const auto* const results = tables.const_data_ptr<uint8_t>();
  constexpr int64_t kElementsPerTask = 32'768;
  parallel_for(0, x.rows * x.channels, std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, x.positions)),
               [&](int64_t begin, int64_t end) {
                 int64_t channel = begin % x.channels;
                 for (int64_t item = begin; item < end; ++item) {
                   const uint8_t* const table = results + channel * 256;
                   for (int64_t i = item * x.positions; i < (item + 1) * x.positions; ++i) to[i] = table[from[i]];
                   if (++channel == x.channels) channel = 0;
                 }
               });
  return make_per_tensor_quantized(out, output_.scale, output_.zero_point);
}

StateDict PReLUImpl::state_dict() const {
  const Quantizer& own = quantizer(weight_);
  StateDict state;
  state.insert("weight", octet::int_repr(weight_));
  state.insert("weight_scale", own.is_per_channel() ? own.scales.to(at::kFloat) : at::tensor({static_cast<float>(own.scale)}));
  state.insert("weight_zero_point",
               own.is_per_channel() ? own.zero_points.to(at::kInt) : at::tensor({static_cast<int32_t>(own.zero_point)}));
  output_.append_to(state);
  return state;
}

Attributes PReLUImpl::attributes() const { return output_.attributes(); }

int64_t PReLUImpl::weight_bytes() const {
  const int64_t scales = quantizer(weight_).is_per_channel() ? weight_.numel() : 1;
  return weight_.numel() + scales * static_cast<int64_t>(sizeof(float) + sizeof(int32_t));
}

void PReLUImpl::pretty_print(std::ostream& stream) const {
  stream << kKind << "(num_parameters=" << weight_.numel() << ", " << output_ << ")";
}

std::shared_ptr<SoftmaxImpl> SoftmaxImpl::from_float(const torch::nn::SoftmaxImpl& module, const QConfig&,
                                                     const std::string& path) {
  return std::make_shared<SoftmaxImpl>(module.options.dim(), OutputQParams::from(module, path));
}

std::shared_ptr<SoftmaxImpl> SoftmaxImpl::from_state(const StateDict& state, const Attributes& attributes,
                                                     const std::string& path) {
  return std::make_shared<SoftmaxImpl>(attribute<int64_t>(attributes, "dim", path), OutputQParams::from(state, attributes, path));
}

at::Tensor SoftmaxImpl::forward(const at::Tensor& input) {
  check_quantized_activation(input, "the input");
  check(-input.dim() <= dim_ && dim_ < input.dim(), ModulePathScope::current(), ": got an input of shape ", input.sizes(),
        ", which has no dimension ", dim_, " to compute the softmax along");
  return quantize_activation(softmax_values(input, dim_), output_);
}

StateDict SoftmaxImpl::state_dict() const { return output_.state_dict(); }

Attributes SoftmaxImpl::attributes() const {
  Attributes attributes{{"dim", dim_}};
  output_.append_to(attributes);
  return attributes;
}

void SoftmaxImpl::pretty_print(std::ostream& stream) const { stream << kKind << "(dim=" << dim_ << ", " << output_ << ")"; }

std::shared_ptr<DropoutImpl> DropoutImpl::from_float(const torch::nn::DropoutImpl&, const QConfig&, const std::string&) {
  return std::make_shared<DropoutImpl>();
}

std::shared_ptr<DropoutImpl> DropoutImpl::from_state(const StateDict&, const Attributes&, const std::string&) {
  return std::make_shared<DropoutImpl>();
}

void DropoutImpl::pretty_print(std::ostream& stream) const { stream << kKind << "()"; }

}  // namespace octet::nn::quantized
