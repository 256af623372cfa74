// How good pronunciations are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace demo {

using Pronunciation = std::vector<std::string>;

/// A word, and all the ways in which the dictionary has it.
struct Word {
  std::string text;
  std::vector<Pronunciation> references;
};

/// @throws std::runtime_error if the file is missing or a line has no pronunciation
std::vector<Word> read_words(const std::filesystem::path& path);

/// The least number of phonemes to insert, delete and replace (Levenshtein).
int64_t edit_distance(const Pronunciation& a, const Pronunciation& b);

/// What one network scores on a list of words.
struct Score {
  double word_accuracy = 0;       ///< share of words pronounced as one of their references has it, stress included
  double phoneme_error_rate = 0;  ///< edits to the nearest reference, as a share of all phonemes of those references
  double agreement = 0;           ///< share of words pronounced as the float network does
};

/// @param outputs, float_outputs  one for each word
Score score(const std::vector<Word>& words, const std::vector<Pronunciation>& outputs,
            const std::vector<Pronunciation>& float_outputs);

}  // namespace demo
