// Quantization-aware training of the digits' network, with few bits for the weights.
#pragma once

#include "mnist_training.h"
#include "static_quantization.h"

#include <octet/octet.h>

#include <cstdint>
#include <string>
#include <vector>

namespace demo {

/// Weights of so many bits, one scale for each output channel, with the activations of backend "octet".
/// @param bits  2 to 8
octet::QConfig static_qconfig(int bits);
octet::QConfig qat_qconfig(int bits);

/// "static_w4"; "static_octet" for 8 bits.
std::string variant_name(const std::string& workflow, int bits);

/// The numbers of bits that training is compared at.
inline constexpr int kQatBits[] = {8, 4, 3, 2};

/// A clone of a trained float network that has gone on learning with fake quantization, and is not converted yet.
/// @param net  not fused
MnistNet train_quantized(const MnistNet& net, int bits, const DigitSplit& digits, const Group& group,
                         std::vector<LearningPoint>& curve);

}  // namespace demo
