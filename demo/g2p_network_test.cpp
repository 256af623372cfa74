#include "g2p_network.h"

#include <gtest/gtest.h>

namespace demo {
namespace {

TEST(G2p, ReadsLettersAsTokensFrom3AndEndsThemWith2) {
  const torch::NoGradGuard no_grad;
  G2p net;
  const torch::Tensor tokens = torch::tensor({3, 28, 4, 2}).unsqueeze(0);
  const torch::Tensor expected = std::get<1>(net->encoder->forward(net->encoder_embedding->forward(tokens)))[0];
  EXPECT_TRUE(net->encode("azb").equal(expected));
}

TEST(G2p, StopsAtTheEndTokenOrAfter20Phonemes) {
  const torch::NoGradGuard no_grad;
  G2p net;
  net->fc->weight.zero_();
  net->fc->bias.zero_();
  net->fc->bias[3] = 1;
  EXPECT_TRUE(net->pronounce("a").empty());
  net->fc->bias[22] = 2;
  EXPECT_EQ(net->pronounce("a"), std::vector<std::string>(20, "B"));
}

TEST(G2p, RefusesWhatIsNoWord) {
  G2p net;
  for (const std::string word : {"", "Word", "it's", "caf\xc3\xa9", "two words"}) {
    EXPECT_THROW(net->pronounce(word), std::invalid_argument) << word;
  }
}

}  // namespace
}  // namespace demo
