#include <nn/state_parts.h>

namespace octet::nn {

void append_part(StateDict& state, const std::string& prefix, const StateDict& part) {
  for (const auto& tensor : part) state.insert(prefix + tensor.key(), at::Tensor(tensor.value()));
}

StateDict part_of(const StateDict& state, const std::string& prefix) {
  StateDict part;
  for (const auto& tensor : state) {
    if (tensor.key().starts_with(prefix)) part.insert(tensor.key().substr(prefix.size()), at::Tensor(tensor.value()));
  }
  return part;
}

}  // namespace octet::nn
