#include "models/unicode.h"

#include <octet/models/word_piece_tokenizer.h>
#include <octet/tensor/error.h>

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <fstream>

namespace octet::models {
namespace {

constexpr size_t kMaxWordCharacters = 100;

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  check(file.good(), path.string(), ": cannot be read; expected the vocab.txt of an uncased BERT model");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(std::move(line));
  }
  return lines;
}

/// Cleans the text, folds its letters, and cuts it at whitespace and around punctuation.
std::vector<std::u32string> words_of(std::string_view text) {
  constexpr char32_t kReplacementCharacter = 0xFFFD;
  std::vector<std::u32string> words;
  std::u32string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (const char32_t c : unicode::decode_utf8(text)) {
    if (c == kReplacementCharacter || unicode::is_control(c) || unicode::is_nonspacing_mark(c)) continue;
    if (unicode::is_whitespace(c)) {
      end_word();
      continue;
    }
    const char32_t folded = unicode::fold(c);  // some become punctuation: U+037E is a semicolon
    const bool is_alone = unicode::is_punctuation(folded) || unicode::is_ideograph(folded);
    if (is_alone) end_word();
    word += folded;
    if (is_alone) end_word();
  }
  end_word();
  return words;
}

}  // namespace

WordPieceTokenizer::WordPieceTokenizer(const std::filesystem::path& vocab) : tokens_(read_lines(vocab)) {
  for (size_t i = 0; i < tokens_.size(); ++i) ids_.insert_or_assign(tokens_[i], static_cast<int64_t>(i));
  const auto special = [&](const char* token) {
    const auto found = ids_.find(token);
    check(found != ids_.end(), vocab.string(), ": has no ", token,
          "; expected the vocab.txt of an uncased BERT model, a token on each line");
    return found->second;
  };
  pad_ = special("[PAD]");
  unknown_ = special("[UNK]");
  begin_ = special("[CLS]");
  end_ = special("[SEP]");
}

void WordPieceTokenizer::append_pieces_of_word(std::u32string_view word, std::vector<int64_t>& pieces) const {
  const size_t first_piece = pieces.size();
  const auto give_up = [&] {
    pieces.resize(first_piece);
    pieces.push_back(unknown_);
  };
  if (word.size() > kMaxWordCharacters) return give_up();
  for (size_t begin = 0; begin < word.size();) {
    std::string piece = begin == 0 ? "" : "##";
    for (const char32_t c : word.substr(begin)) unicode::append_utf8(c, piece);
    auto found = ids_.find(piece);
    size_t end = word.size();
    for (; found == ids_.end() && end > begin; --end) {
      unicode::remove_last(piece);
      found = ids_.find(piece);
    }
    if (end == begin) return give_up();
    pieces.push_back(found->second);
    begin = end;
  }
}

std::vector<int64_t> WordPieceTokenizer::pieces_of_text(std::string_view text) const {
  std::vector<int64_t> pieces;
  for (const std::u32string& word : words_of(text)) append_pieces_of_word(word, pieces);
  return pieces;
}

std::vector<std::string> WordPieceTokenizer::tokenize(std::string_view text) const {
  std::vector<std::string> tokens;
  for (const int64_t id : pieces_of_text(text)) tokens.push_back(token(id));
  return tokens;
}

std::vector<int64_t> WordPieceTokenizer::encode(std::string_view text, int64_t max_length) const {
  check(max_length >= 2, "WordPieceTokenizer: got max_length = ", max_length, ", expected 2 or more, for [CLS] and [SEP]");
  std::vector<int64_t> ids = pieces_of_text(text);
  ids.resize(std::min(ids.size(), static_cast<size_t>(max_length - 2)));
  ids.insert(ids.begin(), begin_);
  ids.push_back(end_);
  return ids;
}

TokenizedTexts WordPieceTokenizer::encode_batch(const std::vector<std::string>& texts, int64_t max_length) const {
  check(!texts.empty(), "WordPieceTokenizer: got no texts, expected one or more");
  std::vector<std::vector<int64_t>> rows;
  size_t longest = 0;
  for (const std::string& text : texts) {
    rows.push_back(encode(text, max_length));
    longest = std::max(longest, rows.back().size());
  }
  const std::array<int64_t, 2> sizes{static_cast<int64_t>(rows.size()), static_cast<int64_t>(longest)};
  TokenizedTexts batch{at::full(sizes, pad_, at::kLong), at::zeros(sizes, at::kLong)};
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    std::ranges::copy(rows[i], batch.input_ids[row].data_ptr<int64_t>());
    batch.attention_mask[row].slice(0, 0, static_cast<int64_t>(rows[i].size())).fill_(1);
  }
  return batch;
}

const std::string& WordPieceTokenizer::token(int64_t id) const {
  check(id >= 0 && id < vocab_size(), "WordPieceTokenizer: got the id ", id, ", expected 0 .. ", vocab_size() - 1);
  return tokens_[id];
}

}  // namespace octet::models
