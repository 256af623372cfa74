#include <octet/nn/replace_parameters.h>

#include <workflow/weighted_module.h>

#include <type_traits>
#include <utility>
#include <vector>

namespace octet {
namespace {

template <class Module>
constexpr bool is_linear = std::is_same_v<Module, torch::nn::LinearImpl>;

template <class Module>
constexpr bool is_transposed_convolution =
    std::is_same_v<Module, torch::nn::ConvTranspose1dImpl> || std::is_same_v<Module, torch::nn::ConvTranspose2dImpl> ||
    std::is_same_v<Module, torch::nn::ConvTranspose3dImpl>;

}  // namespace

template <class... Modules>
std::optional<WeightedModule::Float> WeightedModule::as_float(torch::nn::Module& module, const std::variant<Modules*...>*) {
  std::optional<Float> found;
  const auto try_class = [&](auto* as_class) {
    if (as_class && as_class->weight.defined()) found = as_class;
  };
  (try_class(dynamic_cast<Modules*>(&module)), ...);
  return found;
}

WeightedModule::WeightedModule(const nn::ModuleSite& site, Float module)
    : path_(site.path()), type_name_(site.type_name()), slot_(site.slot()), module_(module) {}

std::optional<WeightedModule> WeightedModule::of(const nn::ModuleSite& site) {
  const auto module = as_float(site.module(), static_cast<const Float*>(nullptr));
  return module ? std::optional(WeightedModule(site, *module)) : std::nullopt;
}

at::Tensor WeightedModule::weight() const {
  return std::visit([](auto* module) { return module->weight; }, module_);
}

at::Tensor WeightedModule::bias() const {
  return std::visit([](auto* module) { return module->bias; }, module_);
}

int64_t WeightedModule::groups() const {
  return std::visit(
      []<class Module>(Module* module) -> int64_t {
        if constexpr (is_linear<Module>) {
          return 1;
        } else {
          return module->options.groups();
        }
      },
      module_);
}

bool WeightedModule::is_transposed() const {
  return std::visit([]<class Module>(Module*) { return is_transposed_convolution<Module>; }, module_);
}

int64_t WeightedModule::sample_dim() const { return weight().dim() - 1; }

at::Tensor WeightedModule::grouped(const at::Tensor& weight) const {
  const at::Tensor grouped = weight.detach().reshape({groups(), weight.size(0) / groups(), weight.size(1), -1});
  return is_transposed() ? grouped.transpose(1, 2) : grouped;
}

at::Tensor WeightedModule::ungrouped(const at::Tensor& grouped) const {
  const at::Tensor own = weight();
  return (is_transposed() ? grouped.transpose(1, 2) : grouped).reshape(own.sizes()).to(own.options());
}

at::Tensor WeightedModule::linear(const at::Tensor& input) const {
  return std::visit([&]<class Module>(Module* module) { return module->Module::forward(input); }, module_);
}

at::Tensor WeightedModule::forward(const at::Tensor& input) const {
  const auto implementation = slot_ ? slot_->implementation() : nullptr;
  auto* const fused = dynamic_cast<nn::FloatImplementation<at::Tensor(const at::Tensor&)>*>(implementation.get());
  return fused ? fused->forward(slot_->module(), input) : linear(input);
}

void WeightedModule::compute_with(const at::Tensor& weight, const at::Tensor& bias) {
  std::visit(
      [&](auto* module) {
        module->weight = weight;
        module->bias = bias;
      },
      module_);
}

void WeightedModule::replace_parameters(const at::Tensor& weight, const at::Tensor& bias) {
  std::visit([&](auto* module) { nn::detail::replace_parameters(*module, weight, bias); }, module_);
}

at::Tensor WeightedModule::channels_as_rows(const at::Tensor& output) const {
  return output.movedim(output.dim() - sample_dim(), 0).flatten(1);
}

}  // namespace octet
