#include "imagenet.h"

#include "classification.h"
#include "image.h"
#include "progress_bar.h"
#include "static_quantization.h"
#include "weight_bytes.h"

#include <octet/models/mobilenet_v2.h>
#include <octet/octet.h>

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace demo {
namespace {

namespace fs = std::filesystem;
using octet::models::MobileNetV2;
using octet::models::MobileNetV2Options;

constexpr int64_t kMostCalibrationImages = 100;
constexpr size_t kDifferencesShown = 10;
constexpr uint32_t kSeed = 0;

/// A fused network with the weights of a checkpoint, which also says how many classes there are.
MobileNetV2 load_network(const fs::path& path) {
  constexpr const char* kLastLayer = "classifier.1.weight";
  const auto checkpoint = octet::read_safetensors(path);
  const torch::Tensor* const last = checkpoint.tensors.find(kLastLayer);
  if (!last || last->dim() != 2) {
    throw std::runtime_error(
        fmt::format("{}: there is no matrix {} in it, so it is no MobileNetV2 with torchvision's names; convert a checkpoint of "
                    "torchvision.models.mobilenet_v2 with tools/convert_checkpoint.py",
                    path.string(), kLastLayer));
  }
  MobileNetV2 net(MobileNetV2Options().num_classes(last->size(0)));
  octet::load(*net, path);
  net->eval();
  net->fuse_model();
  return net;
}

/// All files of a folder and its subfolders, shuffled, always alike.
std::vector<fs::path> list_files(const fs::path& folder) {
  if (!fs::is_directory(folder)) throw std::runtime_error(folder.string() + " is no folder; --images wants one with JPEGs in it");
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_directory()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::mt19937 generator(kSeed);
  for (size_t i = files.size(); i > 1; --i) std::swap(files[i - 1], files[generator() % i]);
  return files;
}

struct Image {
  fs::path path;
  torch::Tensor pixels;  // uint8 [3, 224, 224]
};

/// The first `limit` images among the files. Files that are no images are named on stderr.
std::vector<Image> read_images(const std::vector<fs::path>& files, int64_t limit) {
  std::vector<Image> images;
  std::vector<std::string> skipped;
  {
    ProgressBar bar("reading images", std::max<int64_t>(1, std::min<int64_t>(limit, static_cast<int64_t>(files.size()))));
    for (const fs::path& path : files) {
      if (static_cast<int64_t>(images.size()) == limit) break;
      try {
        images.push_back({path, resize_and_crop(read_jpeg(path))});
        bar.advance();
      } catch (const std::exception& error) {
        skipped.push_back(path.string() + " " + error.what());
      }
    }
  }
  if (!skipped.empty()) fmt::print(stderr, "Skipped {} of {} files:\n", skipped.size(), images.size() + skipped.size());
  for (const std::string& file : skipped) fmt::print(stderr, "  {}\n", file);
  return images;
}

std::vector<std::string> read_class_names(const fs::path& path, int64_t classes) {
  std::ifstream file(path);
  if (!file)
    throw std::runtime_error(path.string() + " cannot be read; --classes wants a file with the name of a class on each line");
  std::vector<std::string> names;
  for (std::string line; std::getline(file, line);) names.push_back(line);
  if (static_cast<int64_t>(names.size()) != classes) {
    throw std::runtime_error(fmt::format("{}: got {} lines, but the network has {} classes; give a line for each, in their order",
                                         path.string(), names.size(), classes));
  }
  return names;
}

/// Names some of the images that a quantized form takes for something else.
void show_differences(const std::string& variant, const Classification& reference, const Classification& other,
                      const Image* images, const std::vector<std::string>& names) {
  const auto name = [&](int64_t index) { return names.empty() ? fmt::format("class {}", index) : names[index]; };
  size_t shown = 0;
  for (size_t i = 0; i < reference.classes.size() && shown < kDifferencesShown; ++i) {
    if (reference.classes[i] == other.classes[i]) continue;
    if (shown++ == 0) fmt::print("\nWhere {} differs from fp32 (the first {}):\n\n", variant, kDifferencesShown);
    fmt::print("  {}: {}, in fp32 {}\n", images[i].path.string(), name(other.classes[i]), name(reference.classes[i]));
  }
}

}  // namespace

ResultTable run_imagenet(const ImagenetArguments& arguments) {
  MobileNetV2 net = load_network(arguments.checkpoint);
  std::vector<std::string> names;
  if (!arguments.classes.empty()) names = read_class_names(arguments.classes, net->options.num_classes());
  const std::vector<Image> images = read_images(list_files(arguments.images), arguments.max_images);
  const auto count = static_cast<int64_t>(images.size());
  if (count < 2) {
    throw std::runtime_error(fmt::format(
        "{}: found {} JPEGs; at least 2 are needed, one to calibrate on and one to compare on, and better some hundred",
        arguments.images.string(), count));
  }
  const int64_t calibration = std::min(kMostCalibrationImages, count / 2);
  fmt::print("MobileNetV2 of {} classes, calibrated on {} images and compared on {} others.\n", net->options.num_classes(),
             calibration, count - calibration);

  const auto input = [&](int64_t first) { return [&images, first](int64_t i) { return normalize(images[first + i].pixels); }; };
  const Inputs others{count - calibration, input(calibration)};
  octet::Report report;
  auto forms = quantize_statically(net, static_variants(), {calibration, input(0)}, report);
  const auto results = classify(forms, others);

  ResultTable table("imagenet",
                    {{"top-1", "{:.1f} %", "top1_agreement", "images whose first class is that of fp32", 100},
                     {"top-5", "{:.1f} %", "top5_agreement", "images with the first class of fp32 among their first five", 100},
                     kWeightBytes,
                     kMillisecondsPerImage,
                     kSpeedUp,
                     kSqnr});
  for (size_t i = 0; i < forms.size(); ++i) {
    const Classification& result = results[i];
    table.add(forms[i].variant,
              {result.agreement.top1(), result.agreement.top5(), weight_bytes(*forms[i].net), result.ms_per_image,
               results.front().ms_per_image / result.ms_per_image, result.agreement.sqnr_db()});
  }
  show_forms(table);
  show_layers(forms, others.get(0));
  show_differences(forms[1].variant, results[0], results[1], &images[calibration], names);
  return table;
}

}  // namespace demo
