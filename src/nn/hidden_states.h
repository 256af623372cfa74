// How the hidden states of recurrent modules are passed: one tensor, or two in a tuple, or none.
#pragma once

#include <nn/recurrent_stack.h>

#include <optional>
#include <tuple>

namespace octet::nn::quantized {

inline States to_states(const at::Tensor& hx) { return hx.defined() ? States{hx} : States(); }

inline States to_states(const std::optional<std::tuple<at::Tensor, at::Tensor>>& hx) {
  return hx ? States{std::get<0>(*hx), std::get<1>(*hx)} : States();
}

/// h, or (h, c).
template <class Hidden>
Hidden from_states(const States& states) {
  if constexpr (std::is_same_v<Hidden, at::Tensor>) {
    return states[0];
  } else {
    return {states[0], states[1]};
  }
}

}  // namespace octet::nn::quantized
