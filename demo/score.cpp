#include "score.h"

#include "data_file.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <sstream>
#include <stdexcept>

namespace demo {

std::vector<Word> read_words(const std::filesystem::path& path) {
  check_data_file(path);
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path.string() + " cannot be read; check its permissions");
  std::vector<Word> words;
  for (std::string line; std::getline(file, line);) {
    std::istringstream columns(line);
    Word word;
    std::getline(columns, word.text, '\t');
    for (std::string column; std::getline(columns, column, '\t');) {
      std::istringstream phonemes(column);
      word.references.emplace_back(std::istream_iterator<std::string>(phonemes), std::istream_iterator<std::string>());
    }
    if (word.references.empty()) throw std::runtime_error(path.string() + ": the line \"" + line + "\" has no pronunciation");
    words.push_back(std::move(word));
  }
  if (words.empty()) throw std::runtime_error(path.string() + " holds no words");
  return words;
}

int64_t edit_distance(const Pronunciation& a, const Pronunciation& b) {
  std::vector<int64_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), int64_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    int64_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const int64_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row.back();
}

Score score(const std::vector<Word>& words, const std::vector<Pronunciation>& outputs,
            const std::vector<Pronunciation>& float_outputs) {
  double right = 0, same = 0, edits = 0, phonemes = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    const Pronunciation* nearest = nullptr;
    int64_t distance = std::numeric_limits<int64_t>::max();
    for (const Pronunciation& reference : words[i].references) {
      if (const int64_t d = edit_distance(outputs[i], reference); d < distance) {
        distance = d;
        nearest = &reference;
      }
    }
    right += distance == 0;
    same += outputs[i] == float_outputs[i];
    edits += static_cast<double>(distance);
    phonemes += static_cast<double>(nearest->size());
  }
  const auto count = static_cast<double>(words.size());
  return {right / count, edits / phonemes, same / count};
}

}  // namespace demo
