#include "static_quantization.h"

#include "classification.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <set>

namespace demo {
namespace {

struct NetImpl : torch::nn::Cloneable<NetImpl> {
  octet::nn::QuantStub quant{nullptr};
  octet::nn::Linear fc{nullptr};
  octet::nn::DeQuantStub dequant{nullptr};

  NetImpl() { reset(); }
  void reset() override {
    quant = register_module("quant", octet::nn::QuantStub());
    fc = register_module("fc", octet::nn::Linear(4, 3));
    dequant = register_module("dequant", octet::nn::DeQuantStub());
  }
  torch::Tensor forward(const torch::Tensor& x) { return dequant->forward(fc->forward(quant->forward(x))); }
};
TORCH_MODULE(Net);

TEST(StaticVariants, HaveDifferentNamesAndDifferOnlyInActivationsWhereTheObserverIsNamed) {
  std::set<std::string> names;
  for (const StaticVariant& variant : static_variants()) {
    EXPECT_TRUE(names.insert(variant.name).second) << variant.name;
    if (variant.name.starts_with("static_octet_")) {
      EXPECT_EQ(variant.qconfig.weight, octet::get_default_qconfig("octet").weight) << variant.name;
    }
  }
  for (const std::string name : {"static_x86", "static_qnnpack", "static_octet", "static_octet_kl", "static_octet_mse"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(QuantizeStatically, LeavesTheNetworkAndQuantizesACloneForEachVariant) {
  torch::manual_seed(0);
  Net net;
  net->eval();
  const std::vector<torch::Tensor> batches{torch::rand({8, 4}), 3 * torch::rand({8, 4})};
  octet::Report report;
  const Inputs inputs{2, [&](int64_t i) { return batches[i]; }};
  auto forms =
      quantize_statically(net, {{"all", octet::default_per_channel_qconfig}, {"coarse", octet::default_qconfig}}, inputs, report);
  ASSERT_EQ(forms.size(), 3u);
  EXPECT_EQ(forms[0].variant, "fp32");
  EXPECT_EQ(forms[0].net.get(), net.get());
  EXPECT_EQ(net->fc->implementation(), nullptr);
  EXPECT_NE(forms[1].net->fc->implementation(), nullptr);
  EXPECT_EQ(report.count(octet::ModuleStatus::quantized), 3);

  // All batches were seen, or the inputs of the second would be clipped.
  const torch::NoGradGuard no_grad;
  EXPECT_LT((forms[1].net->forward(batches[1]) - net->forward(batches[1])).abs().max().item<float>(), 0.1);
}

TEST(Classify, ComparesEveryFormWithTheFirst) {
  const std::vector<Scorer> scorers{[](const torch::Tensor& image) { return image; },
                                    [](const torch::Tensor& image) { return image.flip(1); }};
  const std::vector<torch::Tensor> images{torch::tensor({{0.0f, 1.0f, 2.0f}}), torch::tensor({{0.0f, 2.0f, 1.0f}})};
  const auto results = classify(scorers, {2, [&](int64_t i) { return images[i]; }});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].classes, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(results[1].classes, (std::vector<int64_t>{0, 1}));
  EXPECT_DOUBLE_EQ(results[0].agreement.top1(), 1);
  EXPECT_DOUBLE_EQ(results[1].agreement.top1(), 0.5);
}

TEST(FormatLayers, HasALineForEachModule) {
  EXPECT_EQ(format_layers({{"conv", "ConvReLU2d", 40.25}, {"fc", "Linear", 9}}),
            "module       class     SQNR\nconv    ConvReLU2d  40.2 dB\nfc          Linear   9.0 dB\n");
}

}  // namespace
}  // namespace demo
