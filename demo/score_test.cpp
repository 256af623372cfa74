#include "score.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace demo {
namespace {

TEST(EditDistance, CountsInsertionsDeletionsAndReplacements) {
  EXPECT_EQ(edit_distance({}, {}), 0);
  EXPECT_EQ(edit_distance({"K", "AE1", "T"}, {"K", "AE1", "T"}), 0);
  EXPECT_EQ(edit_distance({"K", "AE1", "T"}, {"K", "AE2", "T"}), 1);
  EXPECT_EQ(edit_distance({"K", "AE1", "T"}, {"AE1", "T", "S"}), 2);
  EXPECT_EQ(edit_distance({"K"}, {}), 1);
  EXPECT_EQ(edit_distance({"S", "IH1", "T", "IH0", "N"}, {"K", "IH1", "T", "AH0", "N", "Z"}), 3);
}

TEST(Score, TakesTheNearestReference) {
  const std::vector<Word> words{{"a", {{"AH0"}, {"EY1"}}}, {"cat", {{"K", "AE1", "T"}}}};
  const Score result = score(words, {{"EY1"}, {"K", "AE1"}}, {{"EY1"}, {"K", "AE1", "T"}});
  EXPECT_DOUBLE_EQ(result.word_accuracy, 0.5);
  EXPECT_DOUBLE_EQ(result.phoneme_error_rate, 1.0 / 4);
  EXPECT_DOUBLE_EQ(result.agreement, 0.5);
}

TEST(ReadWords, SplitsColumnsAndPhonemes) {
  const auto path = std::filesystem::temp_directory_path() / "octet_demo_words.txt";
  std::ofstream(path) << "a\tAH0\tEY1\ncat\tK AE1 T\n";
  const auto words = read_words(path);
  ASSERT_EQ(words.size(), 2u);
  EXPECT_EQ(words[0].references.size(), 2u);
  EXPECT_EQ(words[1].references[0], (Pronunciation{"K", "AE1", "T"}));
  std::ofstream(path) << "cat\n";
  EXPECT_THROW(read_words(path), std::runtime_error);
  std::filesystem::remove(path);
  EXPECT_THROW(read_words(path), std::runtime_error);
}

}  // namespace
}  // namespace demo
