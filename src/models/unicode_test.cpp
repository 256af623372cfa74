// The tables and UTF-8 against Python's.

#include "models/unicode.h"

#include <gtest/gtest.h>
#include <support/oracle.h>

namespace octet::models::unicode {
namespace {

class Unicode : public testing::Test {
 protected:
  at::Tensor answer(const std::string& key) const { return oracle_.at(key).toTensor(); }

  const c10::Dict<c10::IValue, c10::IValue> oracle_ = test::load_oracle("models/unicode");
};

TEST_F(Unicode, HasTheCategoriesOfPython) {
  const std::pair<const char*, bool (*)(char32_t)> categories[] = {{"is_control", is_control},
                                                                   {"is_whitespace", is_whitespace},
                                                                   {"is_punctuation", is_punctuation},
                                                                   {"is_nonspacing_mark", is_nonspacing_mark}};
  const at::Tensor characters = answer("characters");
  ASSERT_GT(characters.numel(), 90000);
  for (const auto& [name, is_so] : categories) {
    const at::Tensor expected = answer(name);
    for (int64_t i = 0; i < characters.numel(); ++i) {
      const int64_t c = characters.data_ptr<int64_t>()[i];
      ASSERT_EQ(is_so(static_cast<char32_t>(c)), expected.data_ptr<bool>()[i]) << name << " U+" << std::hex << c;
    }
  }
}

TEST_F(Unicode, FoldsLatinGreekAndCyrillicLettersAsPythonDoes) {
  const at::Tensor letters = answer("letters"), folded = answer("folded");
  ASSERT_GT(letters.numel(), 1200);
  ASSERT_EQ(letters.numel(), folded.numel());
  for (int64_t i = 0; i < letters.numel(); ++i) {
    const int64_t c = letters.data_ptr<int64_t>()[i];
    EXPECT_EQ(static_cast<int64_t>(fold(static_cast<char32_t>(c))), folded.data_ptr<int64_t>()[i]) << "U+" << std::hex << c;
  }
  EXPECT_EQ(fold(U'Ａ'), U'Ａ');  // not covered: left as it is
}

TEST_F(Unicode, LeavesOutBytesThatAreNotUtf8) {
  const at::Tensor bytes = answer("bytes"), expected = answer("decoded");
  const std::string text(reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()), bytes.numel());
  const std::u32string decoded = decode_utf8(text);
  ASSERT_EQ(decoded.size(), static_cast<size_t>(expected.numel()));
  for (size_t i = 0; i < decoded.size(); ++i) {
    ASSERT_EQ(static_cast<int64_t>(decoded[i]), expected.data_ptr<int64_t>()[i]) << "character " << i;
  }
  EXPECT_EQ(decode_utf8("a\xC0\xAF"
                        "b\xED\xA0\x80"
                        "c\xF4\x90\x80\x80"
                        "d\xE2\x82"),
            U"abcd");
}

TEST_F(Unicode, WritesAndTakesAwayCharacters) {
  std::string text;
  for (const char32_t c : std::u32string(U"a\u00e9\u4e2d\U0001F600")) append_utf8(c, text);
  EXPECT_EQ(text, "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80");
  for (const char* left : {"a\xC3\xA9\xE4\xB8\xAD", "a\xC3\xA9", "a", ""}) {
    remove_last(text);
    EXPECT_EQ(text, left);
  }
}

TEST_F(Unicode, KnowsTheBlocksOfIdeographs) {
  for (const char32_t c : {0x3400, 0x4DBF, 0x4E00, 0x9FFF, 0xF900, 0xFAFF, 0x20000, 0x2CEAF, 0x2FA1F})
    EXPECT_TRUE(is_ideograph(c));
  for (const char32_t c : {0x33FF, 0x4DC0, 0x3042, 0xAC00, 0xA000, 0x1FFFF, 0x2FA20}) EXPECT_FALSE(is_ideograph(c));
}

}  // namespace
}  // namespace octet::models::unicode
