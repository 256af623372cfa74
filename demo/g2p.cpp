#include "g2p.h"

#include "data_file.h"
#include "g2p_network.h"
#include "round_trip.h"
#include "score.h"
#include "timing.h"
#include "weight_bytes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>

namespace demo {
namespace {

struct Variant {
  std::string name;
  G2p net;
};

std::vector<Variant> make_variants(const std::filesystem::path& data, octet::Report& report) {
  const auto weights = data / "g2p.safetensors";
  check_data_file(weights);
  G2p net;
  octet::load(*net, weights);
  net->eval();
  const auto per_row = octet::QConfigMapping()
                           .set_object_type<nn::GRU>(octet::per_row_dynamic_qconfig)
                           .set_object_type<nn::GRUCell>(octet::per_row_dynamic_qconfig)
                           .set_object_type<nn::Linear>(octet::per_row_dynamic_qconfig);
  const auto& mappings = octet::default_dynamic_quant_module_mappings();
  return {{"fp32", net},
          {"int8", octet::quantize_dynamic(net, {}, octet::qint8, mappings, /*inplace=*/false, &report)},
          {"int8_row", octet::quantize_dynamic(net, per_row)},
          {"float16", octet::quantize_dynamic(net, {}, octet::float16)}};
}

ResultTable compare(std::vector<Variant>& variants, const std::vector<Word>& words) {
  std::vector<std::vector<Pronunciation>> outputs(variants.size(), std::vector<Pronunciation>(words.size()));
  const auto times = time_in_turns(
      fmt::format("{} words", words.size()), variants.size(), words.size(),
      [&](size_t variant, size_t word) { outputs[variant][word] = variants[variant].net->pronounce(words[word].text); });

  ResultTable table("g2p", {{"word accuracy", "{:.4f}", "word_accuracy",
                             "words pronounced as the dictionary has it in one of its ways, stress included"},
                            {"phoneme error rate", "{:.4f}", "phoneme_error_rate",
                             "edits to the nearest of these ways, as a share of its phonemes"},
                            {"agreement", "{:.1f} %", "agreement", "words pronounced as fp32 does", 100},
                            kWeightBytes,
                            {"median/word", "{:.3f} ms", "ms_per_word", ""},
                            kSpeedUp});
  for (size_t i = 0; i < variants.size(); ++i) {
    const Score result = score(words, outputs[i], outputs.front());
    table.add(variants[i].name, {result.word_accuracy, result.phoneme_error_rate, result.agreement,
                                 weight_bytes(*variants[i].net), times[i], times.front() / times[i]});
  }
  return table;
}

}  // namespace

ResultTable run_g2p(const G2pArguments& arguments) {
  octet::Report report;
  std::vector<Variant> variants = make_variants(arguments.data, report);
  std::cout
      << "From letters to phonemes: the network of g2p-en on words of the CMU dictionary.\nquantize_dynamic (int8) reports:\n\n"
      << report << '\n';
  std::vector<Word> words = read_words(arguments.data / "words.txt");
  if (arguments.words > 0 && arguments.words < words.size()) words.resize(arguments.words);
  const ResultTable table = compare(variants, words);
  fmt::print("\nOne word at a time, threads: {}\n\n{}", at::get_num_threads(), table.format());
  words.resize(std::min<size_t>(words.size(), 200));
  show_round_trip(variants[1].net, arguments.data / "g2p_int8.safetensors", [&](G2p saved, G2p loaded) {
    return std::all_of(words.begin(), words.end(), [&](const Word& word) {
      return loaded->encode(word.text).equal(saved->encode(word.text)) &&
             loaded->pronounce(word.text) == saved->pronounce(word.text);
    });
  });
  return table;
}

void pronounce(const std::filesystem::path& data, const std::vector<std::string>& words) {
  octet::Report report;
  std::vector<Variant> variants = make_variants(data, report);
  for (const std::string& word : words) {
    fmt::print("{}\n", word);
    for (Variant& variant : variants) {
      fmt::print("  {:<9} {}\n", variant.name, fmt::join(variant.net->pronounce(word), " "));
    }
  }
}

}  // namespace demo
