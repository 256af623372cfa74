#include "g2p_network.h"

#include <stdexcept>

namespace demo {
namespace {

constexpr int64_t kHidden = 256;
constexpr int kLongestPronunciation = 20;

// Letters: <pad> <unk> </s> a ... z.
constexpr int64_t kFirstLetter = 3, kEndOfWord = 2, kLetters = 29;

const std::vector<std::string> kPhonemes{
    "<pad>", "<unk>", "<s>", "</s>", "AA0", "AA1", "AA2", "AE0", "AE1", "AE2", "AH0", "AH1", "AH2", "AO0", "AO1",
    "AO2",   "AW0",   "AW1", "AW2",  "AY0", "AY1", "AY2", "B",   "CH",  "D",   "DH",  "EH0", "EH1", "EH2", "ER0",
    "ER1",   "ER2",   "EY0", "EY1",  "EY2", "F",   "G",   "HH",  "IH0", "IH1", "IH2", "IY0", "IY1", "IY2", "JH",
    "K",     "L",     "M",   "N",    "NG",  "OW0", "OW1", "OW2", "OY0", "OY1", "OY2", "P",   "R",   "S",   "SH",
    "T",     "TH",    "UH0", "UH1",  "UH2", "UW",  "UW0", "UW1", "UW2", "V",   "W",   "Y",   "Z",   "ZH"};
constexpr int64_t kBegin = 2, kEnd = 3;

torch::Tensor letters_of(const std::string& word) {
  if (word.empty()) throw std::invalid_argument("got an empty word, which has no pronunciation");
  std::vector<int64_t> letters;
  for (const char letter : word) {
    if (letter < 'a' || letter > 'z') {
      throw std::invalid_argument("\"" + word + "\" is no word for this network, which reads the letters a to z in lower case");
    }
    letters.push_back(kFirstLetter + letter - 'a');
  }
  letters.push_back(kEndOfWord);
  return torch::tensor(letters).unsqueeze(0);
}

}  // namespace

void G2pImpl::reset() {
  const auto phonemes = static_cast<int64_t>(kPhonemes.size());
  encoder_embedding = register_module("encoder_embedding", nn::Embedding(kLetters, kHidden));
  encoder = register_module("encoder", nn::GRU(nn::GRUOptions(kHidden, kHidden).batch_first(true)));
  decoder_embedding = register_module("decoder_embedding", nn::Embedding(phonemes, kHidden));
  decoder = register_module("decoder", nn::GRUCell(kHidden, kHidden));
  fc = register_module("fc", nn::Linear(kHidden, phonemes));
}

torch::Tensor G2pImpl::encode(const std::string& word) {
  const torch::NoGradGuard no_grad;
  return std::get<1>(encoder->forward(encoder_embedding->forward(letters_of(word))))[0];
}

std::vector<std::string> G2pImpl::pronounce(const std::string& word) {
  const torch::NoGradGuard no_grad;
  torch::Tensor hidden = encode(word);
  std::vector<std::string> pronunciation;
  int64_t phoneme = kBegin;
  for (int step = 0; step < kLongestPronunciation; ++step) {
    hidden = decoder->forward(decoder_embedding->forward(torch::tensor({phoneme})), hidden);
    phoneme = fc->forward(hidden).argmax().item<int64_t>();
    if (phoneme == kEnd) break;
    pronunciation.push_back(kPhonemes.at(phoneme));
  }
  return pronunciation;
}

}  // namespace demo
