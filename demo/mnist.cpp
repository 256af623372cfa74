#include "mnist.h"

#include "classification.h"
#include "mnist_network.h"
#include "qat.h"
#include "round_trip.h"
#include "static_quantization.h"
#include "weight_bytes.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <iostream>

namespace demo {
namespace {

constexpr int64_t kCalibrationImages = 512, kCalibrationBatch = 64;

double accuracy(const std::vector<int64_t>& classes, const torch::Tensor& labels) {
  return torch::tensor(classes).eq(labels).to(torch::kFloat64).mean().item<double>();
}

}  // namespace

ResultTable run_mnist(const std::filesystem::path& data, const Group& group) {
  const DigitSplit digits = read_digits(data / "mnist.safetensors");
  ResultTable table("mnist",
                    {{"accuracy", "{:.4f}", "accuracy", "share of test images that are recognized"},
                     {"agreement", "{:.1f} %", "agreement", "test images that are taken for what fp32 takes them for", 100},
                     kWeightBytes,
                     kMillisecondsPerImage,
                     kSpeedUp,
                     kSqnr});
  if (is_first_rank(group)) {
    fmt::print("Handwritten digits: a network of three convolutions learns {} images and is tested on {} others.\n",
               digits.train.labels.numel(), digits.test.labels.numel());
    if (group) fmt::print("{} processes train it together.\n", group->size());
  }
  torch::manual_seed(0);
  MnistNet net;
  std::vector<std::pair<std::string, std::vector<LearningPoint>>> curves{
      {kFloatTraining.name, train(net, digits, kFloatTraining, group)}};
  std::vector<Form<MnistNet>> trained;
  for (const int bits : kQatBits) {
    auto& [name, curve] = curves.emplace_back(variant_name("qat", bits), std::vector<LearningPoint>());
    trained.push_back({name, train_quantized(net, bits, digits, group, curve)});
  }
  if (!is_first_rank(group)) return table;
  fmt::print("\nThe quantized networks go on from the float one, with as many bits for their weights (8 for octet).\n\n{}",
             format_curves(curves));

  octet::fuse_modules(*net, kMnistGroups);
  const auto batch = [](const Digits& from, int64_t size) {
    return [&from, size](int64_t index) { return from.images.slice(0, index * size, (index + 1) * size); };
  };
  std::vector<StaticVariant> variants = static_variants();
  for (const int bits : kQatBits) {
    if (bits < 8) variants.push_back({variant_name("static", bits), static_qconfig(bits)});
  }
  octet::Report report;
  auto forms = quantize_statically(net, variants,
                                   {kCalibrationImages / kCalibrationBatch, batch(digits.train, kCalibrationBatch)}, report);
  std::cout << "\nconvert (" << forms[1].variant << ") reports:\n\n" << report << '\n';
  for (size_t i = 0; i < trained.size(); ++i) {  // behind the form that calibration alone gives the same bits
    octet::convert(*trained[i].net);
    forms.insert(forms.end() - static_cast<std::ptrdiff_t>(trained.size() - 1 - i), trained[i]);
  }

  const auto results = classify(forms, {digits.test.labels.numel(), batch(digits.test, 1)});
  for (size_t i = 0; i < forms.size(); ++i) {
    const Classification& result = results[i];
    table.add(forms[i].variant,
              {accuracy(result.classes, digits.test.labels), result.agreement.top1(), weight_bytes(*forms[i].net),
               result.ms_per_image, results.front().ms_per_image / result.ms_per_image, result.agreement.sqnr_db()});
  }
  show_forms(table);
  fmt::print(
      "\nThose named qat have gone on learning: they are other networks than fp32, so that SQNR says little of them.\n"
      "Kullback-Leibler calibration (kl) clips hard where one value is frequent, as in black margins.\n");

  show_layers(forms, digits.test.images);
  const torch::NoGradGuard no_grad;
  show_round_trip(forms[1].net, data / "mnist_int8.safetensors", [&](MnistNet saved, MnistNet loaded) {
    return loaded->forward(digits.test.images).equal(saved->forward(digits.test.images));
  });
  return table;
}

}  // namespace demo
