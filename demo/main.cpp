// The main job: a pretrained network is quantized in several ways, and compared with itself in float.

#include "g2p.h"
#include "progress_bar.h"
#include "results.h"
#include "score.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace demo {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  fs::path data = "build/demo-data";
  std::string json;
  int threads = 1;
  size_t words = 0;  // 0: all
  std::vector<std::string> pronounce;
};

/// One form of the network, and what it did.
struct Variant {
  std::string name;
  G2p net;
  std::vector<Pronunciation> outputs = {};
  std::vector<double> milliseconds = {};  // a word
};

std::vector<Variant> make_variants(const G2p& net, octet::Report& report) {
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

/// Lets every variant pronounce every word, one after the other, so that a busy machine slows all of them alike.
void evaluate(std::vector<Variant>& variants, const std::vector<Word>& words) {
  for (Variant& variant : variants) variant.net->pronounce("warmup");
  ProgressBar bar(fmt::format("{} words", words.size()), static_cast<int64_t>(words.size()));
  for (size_t i = 0; i < words.size(); ++i) {
    for (size_t turn = 0; turn < variants.size(); ++turn) {
      Variant& variant = variants[(i + turn) % variants.size()];
      const auto begin = std::chrono::steady_clock::now();
      variant.outputs.push_back(variant.net->pronounce(words[i].text));
      variant.milliseconds.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    }
    bar.advance();
  }
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<Result> compare(std::vector<Variant>& variants, const std::vector<Word>& words) {
  std::vector<Result> results;
  for (Variant& variant : variants) {
    results.push_back({variant.name, score(words, variant.outputs, variants.front().outputs), weight_bytes(*variant.net),
                       median(variant.milliseconds)});
  }
  return results;
}

/// Saves a quantized network, loads it into a fresh float one and compares the two bit by bit.
void show_round_trip(G2p net, const fs::path& path, const std::vector<Word>& words) {
  octet::save(*net, path);
  G2p loaded;
  octet::load(*loaded, path);
  const size_t count = std::min<size_t>(words.size(), 200);
  const bool equal = std::all_of(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count), [&](const Word& word) {
    return loaded->encode(word.text).equal(net->encode(word.text)) && loaded->pronounce(word.text) == net->pronounce(word.text);
  });
  fmt::print("\nSaved as {} ({} kB) and loaded into a fresh float model: on {} words the outputs {}.\n", path.string(),
             (fs::file_size(path) + 500) / 1000, count, equal ? "are equal, bit for bit" : "DIFFER");
  if (!equal) throw std::runtime_error("the loaded model differs from the saved one");
}

void pronounce(std::vector<Variant>& variants, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    fmt::print("{}\n", word);
    for (Variant& variant : variants) fmt::print("  {:<9} {}\n", variant.name, fmt::join(variant.net->pronounce(word), " "));
  }
}

void run(const Arguments& arguments) {
  at::set_num_threads(arguments.threads);
  G2p net;
  octet::load(*net, arguments.data / "g2p.safetensors");
  net->eval();
  octet::Report report;
  std::vector<Variant> variants = make_variants(net, report);
  if (!arguments.pronounce.empty()) return pronounce(variants, arguments.pronounce);

  std::ofstream json;
  if (!arguments.json.empty()) {
    json.open(arguments.json);
    if (!json) throw std::runtime_error("cannot write " + arguments.json + "; check its folder and permissions");
  }
  std::cout
      << "From letters to phonemes: the network of g2p-en on words of the CMU dictionary.\nquantize_dynamic (int8) reports:\n\n"
      << report << '\n';
  std::vector<Word> words = read_words(arguments.data / "words.txt");
  if (arguments.words > 0 && arguments.words < words.size()) words.resize(arguments.words);
  evaluate(variants, words);
  const std::vector<Result> results = compare(variants, words);
  fmt::print("\nOne word at a time, threads: {}\n\n{}", arguments.threads, format_table(results));
  show_round_trip(variants[1].net, arguments.data / "g2p_int8.safetensors", words);
  if (json.is_open() && !(json << to_json(results).dump(2) << std::endl)) {
    throw std::runtime_error("could not write all of " + arguments.json + "; is the disk full?");
  }
}

}  // namespace
}  // namespace demo

int main(int argc, char** argv) {
  demo::Arguments arguments;
  CLI::App app("Quantizes a pretrained grapheme-to-phoneme network and compares it with float, or pronounces words with it.");
  auto* const words = app.add_option("words", arguments.pronounce, "words to pronounce instead (letters a to z)");
  app.add_option("--json", arguments.json, "write what the table shows to this file")->excludes(words);
  app.add_option("--threads", arguments.threads, "threads of a forward")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--words", arguments.words, "how many of the 3,000 words; 0: all")->capture_default_str();
  app.add_option("--data", arguments.data, "where g2p_data.py put the weights and the words")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    demo::run(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "octet_demo: {}\n", error.what());
    return 1;
  }
}
