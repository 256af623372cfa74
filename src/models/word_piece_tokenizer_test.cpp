#include <octet/models/word_piece_tokenizer.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace octet::models {
namespace {

using test::error_text;
using Strings = std::vector<std::string>;
using Ids = std::vector<int64_t>;

class WordPiece : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  WordPieceTokenizer tokenizer(const Strings& vocab, const char* end_of_line = "\n") const {
    std::ofstream file(path_, std::ios::binary);
    for (const std::string& token : vocab) file << token << end_of_line;
    file.close();
    return WordPieceTokenizer(path_);
  }
  /// Ids are the positions here.
  WordPieceTokenizer tiny() const {
    return tokenizer(
        {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "the", "cafe", "!", "##s", "αυριο", "##a", "中", "ель"});
  }

  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() /
      (std::string("octet_vocab_") + testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(WordPiece, TakesTheLongestPiecesFromTheLeft) {
  const WordPieceTokenizer tokens = tiny();
  EXPECT_EQ(tokens.encode("unaffable"), (Ids{2, 4, 5, 6, 3}));
  EXPECT_EQ(tokens.encode("UNAFFABLE, the\tCaf\u00e9s!"), (Ids{2, 4, 5, 6, 1, 7, 8, 10, 9, 3}));
  EXPECT_EQ(tokens.encode("unaffableX"), (Ids{2, 1, 3}));  // nothing of a word that does not come out
  EXPECT_EQ(tokens.encode(""), (Ids{2, 3}));
  EXPECT_EQ(tokens.tokenize("the[UNK]"), (Strings{"the", "[UNK]", "[UNK]", "[UNK]"}));  // "[", "unk", "]": text as any other
}

TEST_F(WordPiece, FoldsLettersOfLatinGreekAndCyrillic) {
  const WordPieceTokenizer tokens = tiny();
  EXPECT_EQ(tokens.tokenize("CAFE\u0301 \u0391\u03CD\u03A1\u0399\u039F \u0401\u041B\u042C"), (Strings{"cafe", "αυριο", "ель"}));
}

TEST_F(WordPiece, LeavesOutControlsAndWhatIsNotUtf8AndSetsChineseApart) {
  const WordPieceTokenizer tokens = tiny();
  EXPECT_EQ(tokens.tokenize("th\u200be t\x80h\xff\x65 \xF0\x9F\x98 th\xC0\x80"
                            "e\uFFFD"),
            (Strings{"the", "the", "the"}));
  EXPECT_EQ(tokens.tokenize("the中the\u2028the"), (Strings{"the", "中", "the", "the"}));
  EXPECT_EQ(tokens.encode(std::string("the\0", 4)), (Ids{2, 7, 3}));
}

TEST_F(WordPiece, CutsOffWhatIsTooLong) {
  const WordPieceTokenizer tokens = tiny();
  EXPECT_EQ(tokens.encode("unaffable the", 6), (Ids{2, 4, 5, 6, 7, 3}));
  EXPECT_EQ(tokens.encode("unaffable the", 4), (Ids{2, 4, 5, 3}));
  EXPECT_EQ(tokens.encode("unaffable the", 2), (Ids{2, 3}));
}

TEST_F(WordPiece, PadsABatchToItsLongestText) {
  const auto [ids, mask] = tiny().encode_batch({"the", "unaffable!", ""}, 5);
  EXPECT_TRUE(ids.equal(at::tensor({2, 7, 3, 0, 0, 2, 4, 5, 6, 3, 2, 3, 0, 0, 0}, at::kLong).view({3, 5}))) << ids;
  EXPECT_TRUE(mask.equal(at::tensor({1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0}, at::kLong).view({3, 5}))) << mask;
}

TEST_F(WordPiece, GivesTheTokensOfIdsAndReadsOtherEndsOfLines) {
  const WordPieceTokenizer tokens = tokenizer({"a", "[SEP]", "[CLS]", "[PAD]", "[UNK]", "##b"}, "\r\n");
  EXPECT_EQ(tokens.encode("ABBA"), (Ids{2, 4, 1}));
  EXPECT_EQ(tokens.encode("abb"), (Ids{2, 0, 5, 5, 1}));
  EXPECT_EQ(tokens.vocab_size(), 6);
  EXPECT_EQ(tokens.token(5), "##b");
  EXPECT_EQ(error_text([&] { tokens.token(6); }), "WordPieceTokenizer: got the id 6, expected 0 .. 5");
}

TEST_F(WordPiece, SaysWhatIsWrong) {
  const WordPieceTokenizer tokens = tiny();
  EXPECT_EQ(error_text([&] { tokens.encode("the", 1); }),
            "WordPieceTokenizer: got max_length = 1, expected 2 or more, for [CLS] and [SEP]");
  EXPECT_EQ(error_text([&] { tokens.encode_batch({}); }), "WordPieceTokenizer: got no texts, expected one or more");
  for (const char* special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) {
    Strings vocab{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"};
    std::erase(vocab, special);
    const std::string text = error_text([&] { tokenizer(vocab); });
    EXPECT_EQ(text,
              path_.string() + ": has no " + special + "; expected the vocab.txt of an uncased BERT model, a token on each line");
  }
  std::filesystem::remove(path_);
  EXPECT_EQ(error_text([&] { WordPieceTokenizer{path_}; }),
            path_.string() + ": cannot be read; expected the vocab.txt of an uncased BERT model");
}

TEST_F(WordPiece, CutsRandomTextsAsTheReferenceInPython) {
  const auto oracle = test::load_oracle("models/word_piece_tokenizer");
  const auto strings = [](const c10::IValue& list) {
    Strings all;
    for (const c10::IValue& value : list.toListRef()) all.push_back(value.toStringRef());
    return all;
  };
  const WordPieceTokenizer tokens = tokenizer(strings(oracle.at("vocab")));
  const Strings texts = strings(oracle.at("texts"));
  const auto expected = oracle.at("pieces").toListRef();
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(tokens.tokenize(texts[i]), strings(expected[i])) << i << ": " << texts[i];
}

TEST_F(WordPiece, GivesTheIdsOfBertUncased) {
  const char* const folder = std::getenv("MINILM_DIR");
  if (!folder) GTEST_SKIP() << "MINILM_DIR names no folder with all-MiniLM-L6-v2";
  const WordPieceTokenizer tokens(std::filesystem::path(folder) / "vocab.txt");
  EXPECT_EQ(tokens.vocab_size(), 30522);
  EXPECT_EQ(tokens.encode("Hello, world!"), (Ids{101, 7592, 1010, 2088, 999, 102}));
  EXPECT_EQ(tokens.tokenize("unaffable"), (Strings{"una", "##ffa", "##ble"}));
}

}  // namespace
}  // namespace octet::models
