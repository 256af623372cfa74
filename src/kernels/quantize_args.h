#pragma once

#include <octet/kernels/quantize.h>

#include <cmath>
#include <limits>
#include <string_view>

#include "kernels/check.h"
#include "kernels/kernel_table.h"

namespace octet::kernels {

/// What the kernels need to quantize to uint8_t or int8_t.
/// @throws std::invalid_argument, in the name of a function, for what the type can't hold
template <class Quantized>
QuantizeArgs quantize_args(const AffineQParams& qparams, std::string_view function) {
  constexpr int32_t kLowest = std::numeric_limits<Quantized>::min(), kHighest = std::numeric_limits<Quantized>::max();
  check(qparams.scale > 0.0f && std::isfinite(qparams.scale), function, ": scale must be positive and finite, got ",
        qparams.scale);
  check(kLowest <= qparams.quant_min && qparams.quant_min <= qparams.quant_max && qparams.quant_max <= kHighest, function,
        ": quantization range ", qparams.quant_min, " .. ", qparams.quant_max, " is empty or not within ", kLowest, " .. ",
        kHighest);
  check(kLowest <= qparams.zero_point && qparams.zero_point <= kHighest, function, ": zero point ", qparams.zero_point,
        " is not in ", kLowest, " .. ", kHighest);
  return {1.0f / qparams.scale, qparams.zero_point, qparams.quant_min, qparams.quant_max};
}

}  // namespace octet::kernels
