// The main job of ./run demo: networks are quantized in several ways, and compared with themselves in float.

#include "g2p.h"
#include "imagenet.h"
#include "mnist.h"

#include <octet/distributed/local_ranks.h>
#include <octet/distributed/process_group.h>

#include <fmt/format.h>
#include <torch/torch.h>
#include <CLI/CLI.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace demo {
namespace {

struct Arguments {
  std::filesystem::path data = "build/demo-data";
  std::string job = "all", json;
  int threads = 1, ranks = 1;
  size_t words = 0;
  std::vector<std::string> pronounce;
  ImagenetArguments imagenet;
};

/// What other ranks than the first have to do.
void help_training(const Arguments& arguments, const Group& group) {
  if (arguments.job != "g2p") run_mnist(arguments.data, group);
}

void run(const Arguments& arguments) {
  at::set_num_threads(arguments.threads);
  Group group;
  if (octet::distributed::LaunchEnvironment::read()) group = octet::distributed::init_process_group();
  if (!is_first_rank(group)) return help_training(arguments, group);
  if (!arguments.pronounce.empty()) return pronounce(arguments.data, arguments.pronounce);

  std::ofstream json;
  if (!arguments.json.empty()) {
    json.open(arguments.json);
    if (!json) throw std::runtime_error("cannot write " + arguments.json + "; check its folder and permissions");
  }
  nlohmann::json rows = nlohmann::json::array();
  const auto add = [&](const ResultTable& table) {
    for (auto& row : table.to_json()) rows.push_back(std::move(row));
  };
  if (!arguments.imagenet.checkpoint.empty()) {
    add(run_imagenet(arguments.imagenet));
  } else {
    if (arguments.job != "mnist") add(run_g2p({arguments.data, arguments.words}));
    if (arguments.job == "all") fmt::print("\n");
    if (arguments.job != "g2p") add(run_mnist(arguments.data, group));
  }
  if (json.is_open() && !(json << rows.dump(2) << std::endl)) {
    throw std::runtime_error("could not write all of " + arguments.json + "; is the disk full?");
  }
}

}  // namespace
}  // namespace demo

int main(int argc, char** argv) {
  demo::Arguments arguments;
  CLI::App app(
      "Quantizes networks and compares them with float: a pretrained one from letters to phonemes (g2p, dynamically), one for\n"
      "digits that it trains first (mnist, statically and by quantization-aware training), or a MobileNetV2 of yours on images "
      "of\n"
      "yours (statically).");
  auto* const words = app.add_option("words", arguments.pronounce, "words to pronounce instead (letters a to z)");
  auto* const job = app.add_option("--job", arguments.job, "what to do: g2p, mnist or all")
                        ->check(CLI::IsMember({"g2p", "mnist", "all"}))
                        ->excludes(words)
                        ->capture_default_str();
  app.add_option("--json", arguments.json, "write what the tables show to this file")->excludes(words);
  app.add_option("--threads", arguments.threads, "threads of a forward, and of the training")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  auto* const ranks = app.add_option("--ranks", arguments.ranks, "processes that train the digits' network together")
                          ->excludes(words)
                          ->check(CLI::Range(1, 64))
                          ->capture_default_str();
  app.add_option("--words", arguments.words, "how many of the 3,000 words for g2p; 0: all")->capture_default_str();
  app.add_option("--data", arguments.data, "where prepare_data.py put weights, words and digits")->capture_default_str();

  auto& imagenet = arguments.imagenet;
  auto* const checkpoint = app.add_option("--imagenet-checkpoint", imagenet.checkpoint,
                                          "a MobileNetV2 with torchvision's names, converted by tools/convert_checkpoint.py")
                               ->excludes(words)
                               ->excludes(ranks)
                               ->excludes(job);
  auto* const images = app.add_option("--images", imagenet.images, "a folder of JPEGs, searched with its subfolders");
  checkpoint->needs(images);
  images->needs(checkpoint);
  app.add_option("--classes", imagenet.classes, "names of the classes, one a line, to show where predictions differ")
      ->needs(checkpoint);
  app.add_option("--max-images", imagenet.max_images, "how many of the images to use, chosen at random")
      ->needs(checkpoint)
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    namespace distributed = octet::distributed;
    if (arguments.ranks > 1 && !distributed::LaunchEnvironment::read()) {
      return distributed::run_local_ranks(arguments.ranks, {argv + 1, argv + argc});
    }
    demo::run(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "octet_demo: {}\n", error.what());
    return 1;
  }
}
