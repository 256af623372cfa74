#include "mnist.h"

#include "classification.h"
#include "mnist_network.h"
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

ResultTable run_mnist(const std::filesystem::path& data) {
  const DigitSplit digits = read_digits(data / "mnist.safetensors");
  fmt::print("Handwritten digits: a network of three convolutions learns {} images and is tested on {} others.\n",
             digits.train.labels.numel(), digits.test.labels.numel());
  MnistNet net = train_mnist(digits.train);
  octet::fuse_modules(*net, {{"conv1", "bn1", "relu1"}, {"conv2", "bn2", "relu2"}, {"conv3", "bn3", "relu3"}});

  const auto batch = [](const Digits& from, int64_t size) {
    return [&from, size](int64_t index) { return from.images.slice(0, index * size, (index + 1) * size); };
  };
  octet::Report report;
  auto forms = quantize_statically(net, static_variants(),
                                   {kCalibrationImages / kCalibrationBatch, batch(digits.train, kCalibrationBatch)}, report);
  std::cout << "\nconvert (" << forms[1].variant << ") reports:\n\n" << report << '\n';

  const auto results = classify(forms, {digits.test.labels.numel(), batch(digits.test, 1)});
  ResultTable table("mnist",
                    {{"accuracy", "{:.4f}", "accuracy", "share of test images that are recognized"},
                     {"agreement", "{:.1f} %", "agreement", "test images that are taken for what fp32 takes them for", 100},
                     kWeightBytes,
                     kMillisecondsPerImage,
                     kSpeedUp,
                     kSqnr});
  for (size_t i = 0; i < forms.size(); ++i) {
    const Classification& result = results[i];
    table.add(forms[i].variant,
              {accuracy(result.classes, digits.test.labels), result.agreement.top1(), weight_bytes(*forms[i].net),
               result.ms_per_image, results.front().ms_per_image / result.ms_per_image, result.agreement.sqnr_db()});
  }
  show_forms(table);
  fmt::print("\nKullback-Leibler calibration (kl) clips hard where one value is frequent, as in black margins.\n");

  show_layers(forms, digits.test.images);
  const torch::NoGradGuard no_grad;
  show_round_trip(forms[1].net, data / "mnist_int8.safetensors", [&](MnistNet saved, MnistNet loaded) {
    return loaded->forward(digits.test.images).equal(saved->forward(digits.test.images));
  });
  return table;
}

}  // namespace demo
