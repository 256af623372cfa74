// The training forms by themselves: what they compute, what they hold, and their gradients.
#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <torch/torch.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace octet::nn {
namespace {

using test::error_text;

/// A module, the batch norm after it, and what prepare_qat() makes of both.
struct Pair {
  std::string name;
  torch::nn::Sequential net;
  at::Tensor x;
};

std::vector<Pair> pairs() {
  using namespace torch::nn;
  torch::manual_seed(3);
  return {
      {"LinearBn1d", Sequential(nn::Linear(6, 5), nn::BatchNorm1d(5)), torch::randn({12, 6})},
      {"ConvBn1d", Sequential(nn::Conv1d(Conv1dOptions(4, 6, 3).groups(2)), nn::BatchNorm1d(6)), torch::randn({5, 4, 9})},
      {"ConvBn2d",
       Sequential(nn::Conv2d(Conv2dOptions(3, 6, 3).padding(1).padding_mode(torch::kReflect).bias(false)), nn::BatchNorm2d(6)),
       torch::randn({4, 3, 7, 7})},
      {"ConvBn3d", Sequential(nn::Conv3d(Conv3dOptions(2, 4, 2).stride(2)), nn::BatchNorm3d(4)), torch::randn({3, 2, 6, 6, 6})},
      {"ConvTransposeBn1d", Sequential(nn::ConvTranspose1d(ConvTranspose1dOptions(4, 6, 3).groups(2)), nn::BatchNorm1d(6)),
       torch::randn({4, 4, 8})},
      {"ConvTransposeBn2d",
       Sequential(nn::ConvTranspose2d(ConvTranspose2dOptions(6, 9, 3).groups(3).stride(2).output_padding(1)), nn::BatchNorm2d(9)),
       torch::randn({4, 6, 5, 5})},
      {"ConvTransposeBn3d", Sequential(nn::ConvTranspose3d(ConvTranspose3dOptions(3, 4, 2)), nn::BatchNorm3d(4)),
       torch::randn({3, 3, 4, 4, 4})}};
}

const QConfig kPerChannel = get_default_qat_qconfig("onednn", 0);

/// Random gamma, beta and statistics.
void disturb(torch::nn::Module& norm) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : norm.named_parameters()) parameter.value().uniform_(0.5, 1.5);
  for (auto& buffer : norm.named_buffers()) {
    if (buffer.value().is_floating_point()) buffer.value().uniform_(0.5, 1.5);
  }
}

/// Calls compare(expected, actual) for the parameters' gradients and the buffers, which have moved into the first module.
void compare_with_plain(torch::nn::Sequential plain, torch::nn::Sequential trained, const std::string& name) {
  const auto expected = plain->named_parameters();
  const auto actual = trained->named_parameters();
  const auto moved = [](std::string key) { return key.replace(0, 2, key[0] == '1' ? "0.bn." : "0."); };
  EXPECT_EQ(actual.size(), expected.size()) << name;
  for (const auto& parameter : expected) {
    const at::Tensor& found = actual[moved(parameter.key())];
    // A bias before the statistics of a batch has no gradient, but sums of hundreds of numbers that cancel out.
    const double noise = parameter.key() == "0.bias" ? 1e-3 : 1e-5;
    EXPECT_TRUE(at::allclose(found.grad(), parameter.value().grad(), 1e-4, noise)) << name << " " << parameter.key();
  }
  const auto buffers = trained->named_buffers();
  for (const auto& buffer : plain->named_buffers()) {
    EXPECT_TRUE(at::allclose(buffers[moved(buffer.key())], buffer.value(), 1e-4, 1e-6)) << name << " " << buffer.key();
  }
}

TEST(QATModules, WithoutFakeQuantizationComputeWhatTheModuleAndItsBatchNormDo) {
  for (const Pair& pair : pairs()) {
    for (const bool has_zero_gamma : {false, true}) {
      disturb(*pair.net->ptr(1));
      if (has_zero_gamma) {
        const torch::NoGradGuard no_grad;
        pair.net->ptr(1)->named_parameters()["weight"][1].fill_(0);
      }
      torch::nn::Sequential plain = clone_model(pair.net);
      torch::nn::Sequential trained = prepare_qat(fuse_modules_qat(pair.net, {"0", "1"}), kPerChannel);
      EXPECT_EQ(as_slot(*trained->ptr(0))->implementation()->kind(), "octet::nn::intrinsic::qat::" + pair.name);
      trained->apply(disable_fake_quant);
      trained->apply(disable_observer);
      for (const bool is_training : {true, false, true}) {
        plain->train(is_training);
        trained->train(is_training);
        plain->zero_grad();
        trained->zero_grad();
        const at::Tensor expected = plain->forward(pair.x), actual = trained->forward(pair.x);
        ASSERT_TRUE(at::allclose(actual, expected, 1e-4, 1e-5)) << pair.name << (is_training ? " training" : " eval");
        const at::Tensor weights = torch::linspace(-1, 1, expected.numel()).view_as(expected);
        (expected * weights).sum().backward();
        (actual * weights).sum().backward();
        compare_with_plain(plain, trained, pair.name);
      }
    }
  }
}

/// Integers times the scale of their output channel, which runs within the groups of a transposed convolution's second dimension.
at::Tensor dequantized(const at::Tensor& integers, const at::Tensor& scale, bool is_transposed) {
  at::Tensor weight = integers.to(at::kFloat).clone();
  const int64_t in = weight.size(0), group_outputs = weight.size(1), groups = scale.numel() / group_outputs;
  for (int64_t i = 0; i < in; ++i) {
    if (!is_transposed) {
      weight[i] *= scale[i];
      continue;
    }
    for (int64_t o = 0; o < group_outputs; ++o) weight[i][o] *= scale[i / (in / groups) * group_outputs + o];
  }
  return weight;
}

TEST(QATModules, FakeQuantizeTheWeightThatConversionWillQuantize) {
  const torch::NoGradGuard no_grad;
  for (const Pair& pair : pairs()) {
    disturb(*pair.net->ptr(1));
    torch::nn::Sequential net = prepare_qat(fuse_modules_qat(pair.net, {"0", "1"}), kPerChannel);
    net->forward(pair.x);
    net->eval();
    as_slot(*net->ptr(0))->activation_post_process()->as<FakeQuantizeBase>()->disable_fake_quant();
    const at::Tensor y = net->forward(pair.x);
    convert(*net);
    auto integers = state_dict(*net);

    torch::nn::Sequential by_hand = clone_model(pair.net);
    by_hand->eval();
    auto module = by_hand->ptr(0)->named_parameters(), norm = by_hand->ptr(1)->named_parameters();
    module["weight"].copy_(dequantized(integers["0.weight"], integers["0.weight_scale"], pair.name.starts_with("ConvTranspose")));
    if (module.contains("bias")) module["bias"].fill_(0);
    norm["weight"].fill_(1);
    norm["bias"].copy_(integers["0.bias"]);
    by_hand->ptr(1)->named_buffers()["running_mean"].fill_(0);
    by_hand->ptr(1)->named_buffers()["running_var"].fill_(1 - 1e-5);
    EXPECT_TRUE(at::allclose(y, by_hand->forward(pair.x), 1e-4, 1e-5)) << pair.name;
  }
}

TEST(QATModules, PassGradientsStraightThroughAndMaskThemOutsideTheRange) {
  nn::Linear linear(3, 1);
  torch::nn::Sequential net(linear);
  prepare_qat(
      *net,
      QConfig{get_default_qat_qconfig("onednn", 0).activation,
              FakeQuantize::with_args(FixedQParamsObserver::with_args(
                  FixedQParamsObserverOptions(0.5, 0).dtype(qint8).qscheme(per_tensor_symmetric).quant_min(-4).quant_max(3)))});
  {
    const torch::NoGradGuard no_grad;
    linear->weight.copy_(torch::tensor({{0.3, 1.6, -9.0}}));
  }
  net->apply(disable_fake_quant);
  slot_child(*linear, kWeightFakeQuant)->as<FakeQuantizeBase>()->enable_fake_quant();
  const at::Tensor x = torch::tensor({{1.0, 2.0, 4.0}});
  // Rounded: 0.5, 1.5 and, clamped, -2.
  EXPECT_NEAR((net->forward(x) - linear->bias).item<double>(), 0.5 + 3 - 8, 1e-6);
  net->forward(x).sum().backward();
  EXPECT_TRUE(linear->weight.grad().equal(torch::tensor({{1.0f, 2.0f, 0.0f}})));
}

TEST(QATModules, KeepAChannelWhoseGammaIsZeroFinite) {
  for (const Pair& pair : pairs()) {
    {
      const torch::NoGradGuard no_grad;
      pair.net->ptr(1)->named_parameters()["weight"].fill_(0);
    }
    torch::nn::Sequential net = prepare_qat(fuse_modules_qat(pair.net, {"0", "1"}), get_default_qat_qconfig("octet"));
    for (const bool is_training : {true, false}) {
      net->train(is_training);
      net->zero_grad();
      const at::Tensor y = net->forward(pair.x);
      y.pow(2).sum().backward();
      EXPECT_TRUE(at::isfinite(y).all().item<bool>()) << pair.name;
      for (const auto& parameter : net->named_parameters()) {
        EXPECT_TRUE(at::isfinite(parameter.value().grad()).all().item<bool>()) << pair.name << " " << parameter.key();
      }
    }
  }
}

TEST(QATModules, FreezeTheirBatchNormWhateverTheMode) {
  const Pair pair = pairs()[2];
  torch::nn::Sequential net = prepare_qat(fuse_modules_qat(pair.net, {"0", "1"}), get_default_qat_qconfig("octet"));
  const at::Tensor mean = net->named_buffers()["0.bn.running_mean"];
  net->apply(intrinsic::qat::freeze_bn_stats);
  net->train();
  net->forward(pair.x);
  EXPECT_TRUE(mean.equal(at::zeros_like(mean)));
  torch::nn::Sequential clone = clone_model(net);
  clone->forward(pair.x);
  EXPECT_TRUE(clone->named_buffers()["0.bn.running_mean"].equal(mean));
  net->apply(intrinsic::qat::update_bn_stats);
  net->forward(pair.x);
  EXPECT_FALSE(mean.equal(at::zeros_like(mean)));
}

TEST(QATModules, TrainEmbeddingsByTheRow) {
  torch::nn::Sequential net(nn::Embedding(7, 4));
  prepare_qat(*net, default_embedding_qat_qconfig);
  const at::Tensor rows = torch::tensor({1, 3, 3});
  const at::Tensor y = net->forward(rows);
  y.sum().backward();
  const at::Tensor gradient = net->named_parameters()["0.weight"].grad();
  EXPECT_TRUE(gradient.sum(1).equal(torch::tensor({0.0f, 4.0f, 0.0f, 8.0f, 0.0f, 0.0f, 0.0f})));
  net->eval();
  convert(*net);
  EXPECT_EQ(as_slot(*net->ptr(0))->implementation()->kind(), "octet::nn::quantized::Embedding");
  EXPECT_TRUE(at::allclose(net->forward(rows), y, 0, 1e-6));

  torch::nn::Sequential wrong(nn::Embedding(7, 4), nn::Linear(4, 4));
  const Report report = prepare_qat(*wrong, get_default_qat_qconfig("octet"));
  EXPECT_NE(report.find("0")->detail.find("default_embedding_qat_qconfig for training"), std::string::npos) << report;
}

TEST(QATModules, TrainALinearForDynamicQuantizationByFakeQuantizingItsInput) {
  torch::nn::Sequential net(nn::Linear(8, 6), nn::ReLU(), nn::Linear(6, 3));
  prepare_qat(*net, default_dynamic_qat_qconfig, dynamic_qat_module_mappings());
  EXPECT_EQ(as_slot(*net->ptr(0))->activation_post_process(), nullptr);
  const at::Tensor x = torch::randn({5, 8});
  net->forward(x).sum().backward();
  EXPECT_TRUE(net->named_parameters()["0.weight"].grad().defined());
  net->eval();
  const torch::NoGradGuard no_grad;
  const at::Tensor fake_quantized = net->forward(x);
  convert(*net, default_dynamic_quant_module_mappings());
  EXPECT_EQ(as_slot(*net->ptr(2))->implementation()->kind(), "octet::nn::quantized::dynamic::Linear");
  EXPECT_TRUE(at::allclose(net->forward(x), fake_quantized, 1e-4, 1e-4));

  torch::nn::Sequential wrong(nn::Linear(8, 6));
  EXPECT_NE(error_text([&] { prepare_qat(*wrong, default_qat_qconfig, dynamic_qat_module_mappings()); }).find("0: the qconfig "),
            std::string::npos);
}

TEST(QATModules, RefuseAQConfigThatFakeQuantizesNoWeight) {
  torch::nn::Sequential net(nn::Linear(8, 6));
  const std::string text = error_text([&] { prepare_qat(*net, get_default_qconfig("x86")); });
  EXPECT_TRUE(text.starts_with("0: the qconfig ")) << text;
  EXPECT_NE(text.find("use get_default_qat_qconfig(\"x86\")"), std::string::npos) << text;
  EXPECT_TRUE(as_slot(*net->ptr(0))->implementation() == nullptr);
  EXPECT_EQ(net->named_buffers().size(), 0u);
}

}  // namespace
}  // namespace octet::nn
