#include <octet/nn/attributes.h>
#include <octet/nn/intrinsic.h>

#include <ostream>

namespace octet::nn::intrinsic {

std::shared_ptr<LinearLeakyReLUImpl> LinearLeakyReLUImpl::from_state(const StateDict&, const Attributes& attributes,
                                                                     const std::string& path) {
  return std::make_shared<LinearLeakyReLUImpl>(attribute<double>(attributes, "negative_slope", path));
}

void LinearLeakyReLUImpl::pretty_print(std::ostream& stream) const {
  stream << kKind << "(negative_slope=" << negative_slope_ << ")";
}

}  // namespace octet::nn::intrinsic
