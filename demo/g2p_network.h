// From the letters of an English word to its phonemes. An ordinary LibTorch model, in which
// `octet::nn` takes the place of `torch::nn`.
#pragma once

#include <octet/octet.h>

#include <string>
#include <vector>

namespace demo {

namespace nn = octet::nn;

/// The encoder-decoder of g2p-en: a GRU reads the letters, a GRU cell writes the phonemes.
struct G2pImpl : nn::Cloneable<G2pImpl> {
  nn::Embedding encoder_embedding{nullptr}, decoder_embedding{nullptr};
  nn::GRU encoder{nullptr};
  nn::GRUCell decoder{nullptr};
  nn::Linear fc{nullptr};

  G2pImpl() { reset(); }
  void reset() override;

  /// The phonemes of a word by greedy search: "AA1", "B", ...
  /// @throws std::invalid_argument for a word that is empty or has other characters than letters from a to z
  std::vector<std::string> pronounce(const std::string& word);

  /// The encoder's last hidden state, [1, 256]: what the decoder starts from.
  torch::Tensor encode(const std::string& word);
};
TORCH_MODULE(G2p);

}  // namespace demo
