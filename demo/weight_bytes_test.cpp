#include "weight_bytes.h"

#include "g2p_network.h"

#include <gtest/gtest.h>

namespace demo {
namespace {

TEST(WeightBytes, CountsFloatAndQuantizedWeights) {
  constexpr int64_t kEmbeddings = (29 + 74) * 256, kMatrices = 2 * 2 * 768 * 256 + 74 * 256, kBiases = 2 * 2 * 768 + 74;
  G2p net;
  EXPECT_EQ(weight_bytes(*net), 4 * (kEmbeddings + kMatrices + kBiases));
  const int64_t quantized = weight_bytes(*octet::quantize_dynamic(net));
  const int64_t integers_and_floats = kMatrices + 4 * (kEmbeddings + kBiases);
  EXPECT_GE(quantized, integers_and_floats);
  EXPECT_LT(quantized, integers_and_floats + integers_and_floats / 20);  // and the qparams
}

}  // namespace
}  // namespace demo
