#include <octet/nn/activation.h>

#include <ATen/ops/hardsigmoid.h>
#include <ATen/ops/hardswish.h>

#include <ostream>

namespace octet::nn::detail {

void HardswishImpl::pretty_print(std::ostream& stream) const { stream << "octet::nn::Hardswish()"; }
at::Tensor HardswishImpl::forward(const at::Tensor& input) { return at::hardswish(input); }

void HardsigmoidImpl::pretty_print(std::ostream& stream) const { stream << "octet::nn::Hardsigmoid()"; }
at::Tensor HardsigmoidImpl::forward(const at::Tensor& input) { return at::hardsigmoid(input); }

}  // namespace octet::nn::detail
