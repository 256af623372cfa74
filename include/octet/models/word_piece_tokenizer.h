#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace octet::models {

/// Texts as a BERT model takes them: [texts, length] each, int64.
struct TokenizedTexts {
  at::Tensor input_ids;       ///< padded with [PAD] to the longest
  at::Tensor attention_mask;  ///< 1 for tokens, 0 for padding
};

/// The tokenizer of uncased BERT models, transformers.BertTokenizerFast with its defaults:
/// 1. control characters, U+FFFD and bytes that are not UTF-8 are left out, and Chinese characters stand alone;
/// 2. accents are stripped and letters lower-cased;
/// 3. words end at whitespace, and each punctuation character is a word by itself;
/// 4. a word is cut into the longest pieces of the vocabulary from left to right, "##" before all but the first; a word that does
///    not come out, or of more than 100 characters, is [UNK].
///
/// Latin, Greek and Cyrillic letters are lower-cased and lose their accents, composed or not (U+0041 to U+024F, U+0370 to U+052F,
/// U+1E00 to U+1FFF). In other scripts combining marks go, but composed characters stay as they are. Categories are those of
/// Unicode 14, and what that does not assign is kept. Where Python would find special tokens in a text, "[SEP]" is text as any
/// other.
///
/// Immutable: any number of threads may use it.
class WordPieceTokenizer {
 public:
  /// Reads a vocab.txt, a token on each line.
  /// @throws Error for a file that cannot be read, or that lacks [PAD], [UNK], [CLS] or [SEP]
  explicit WordPieceTokenizer(const std::filesystem::path& vocab);

  /// The pieces of a text, without [CLS] and [SEP].
  std::vector<std::string> tokenize(std::string_view text) const;

  /// [CLS], the pieces of a text, [SEP]; what is longer is cut off before [SEP].
  /// @throws Error for max_length < 2
  std::vector<int64_t> encode(std::string_view text, int64_t max_length = 512) const;

  /// Many texts. @throws Error for max_length < 2, and for no text
  TokenizedTexts encode_batch(const std::vector<std::string>& texts, int64_t max_length = 512) const;

  /// @throws Error for an id that is not in the vocabulary
  const std::string& token(int64_t id) const;
  int64_t vocab_size() const { return static_cast<int64_t>(tokens_.size()); }

 private:
  std::vector<int64_t> pieces_of_text(std::string_view text) const;
  void append_pieces_of_word(std::u32string_view word, std::vector<int64_t>& pieces) const;

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int64_t> ids_;
  int64_t pad_, unknown_, begin_, end_;
};

}  // namespace octet::models
