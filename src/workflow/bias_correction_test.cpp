#include <octet/octet.h>
#include <octet/workflow/bias_correction.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <workflow/depthwise_test_support.h>

#include <stdexcept>
#include <string>

namespace octet {
namespace {

using test::Depthwise;
using test::error_text;

/// What default_weight_observer makes of a weight, by ATen.
at::Tensor fake_quantized(const at::Tensor& weight) {
  return at::fake_quantize_per_tensor_affine(weight, weight.abs().max().item<double>() / 127.5, 0, -128, 127);
}

TEST(BiasCorrection, MakesTheMeansEqualLayerByLayer) {
  const torch::NoGradGuard no_grad;
  const Depthwise net = test::make_depthwise();
  Depthwise prepared = test::calibrated(net, test::images(32, 2));
  const at::Tensor x = test::images(32, 3);
  const Report report = bias_correction(*prepared, [&] {
    prepared->forward(x.slice(0, 0, 20));  // batches of unequal size count by their sizes
    prepared->forward(x.slice(0, 20));
  });
  EXPECT_EQ(report.count(ModuleStatus::adjusted), 4) << report;
  EXPECT_EQ(report.rows()[1].path, "depthwise");
  EXPECT_NE(report.rows()[1].detail.find("bias moved by up to 0."), std::string::npos) << report;

  // The float network, and the one with quantized weights and the biases that were found.
  at::Tensor expected = x, actual = x;
  const auto mean = [](const at::Tensor& y) { return y.transpose(0, 1).flatten(1).mean(1); };
  const auto compare = [&](const char* layer) {
    const at::Tensor tolerance = 1e-5 * (1 + expected.abs().max());
    EXPECT_LT((mean(expected) - mean(actual)).abs().max().item<float>(), tolerance.item<float>()) << layer;
    EXPECT_FALSE(expected.equal(actual)) << layer;
  };
  const auto convolve = [&](const char* layer, const nn::Conv2d& original, const nn::Conv2d& corrected, int64_t padding,
                            int64_t groups) {
    EXPECT_TRUE(corrected->weight.equal(original->weight));
    expected = at::conv2d(expected, original->weight, original->bias, 1, padding, 1, groups);
    actual = at::conv2d(actual, fake_quantized(corrected->weight), corrected->bias, 1, padding, 1, groups);
    compare(layer);
  };
  convolve("conv", net->conv, prepared->conv, 1, 1);
  expected = expected.relu(), actual = actual.relu();
  convolve("depthwise", net->depthwise, prepared->depthwise, 1, 16);
  expected = expected.relu(), actual = actual.relu();
  ASSERT_FALSE(net->pointwise->bias.defined());
  convolve("pointwise", net->pointwise, prepared->pointwise, 0, 1);
  expected = at::linear(expected.mean({2, 3}), net->fc->weight, net->fc->bias);
  actual = at::linear(actual.mean({2, 3}), fake_quantized(prepared->fc->weight), prepared->fc->bias);
  compare("fc");
}

TEST(BiasCorrection, BringsTheConvertedModelCloserByThreeDecibels) {
  const Depthwise net = test::make_depthwise();
  const at::Tensor x = test::images(64, 2);
  const Depthwise prepared = test::calibrated(net, x);
  Report report;
  const Depthwise corrected = bias_correction(prepared, [&](Depthwise& model) { model->forward(x); }, /*inplace=*/false, &report);
  EXPECT_EQ(report.count(ModuleStatus::adjusted), 4);
  EXPECT_TRUE(prepared->fc->bias.equal(net->fc->bias));
  const double before = test::converted_sqnr_db(net, prepared), after = test::converted_sqnr_db(net, corrected);
  EXPECT_GT(after, before + 3) << before << " -> " << after;
}

TEST(BiasCorrection, GivesABiasWhereThereWasNoneAndShowsTheObserversNothing) {
  Depthwise net = test::calibrated(test::make_depthwise(), test::images(8, 2));
  const auto observer = nn::as_slot(*net->pointwise)->activation_post_process();
  std::vector<at::Tensor> buffers;
  for (const at::Tensor& buffer : net->buffers()) buffers.push_back(buffer.clone());
  bias_correction(*net, [&] { net->forward(100 * test::images(8, 3)); });
  EXPECT_EQ(nn::as_slot(*net->pointwise)->activation_post_process(), observer);
  EXPECT_TRUE(test::all_equal(net->buffers(), buffers));
  EXPECT_TRUE(net->pointwise->options.bias());
  EXPECT_TRUE(net->named_parameters()["pointwise.bias"].is_same(net->pointwise->bias));
  const auto clone = std::dynamic_pointer_cast<test::DepthwiseImpl>(net->clone());
  EXPECT_TRUE(clone->pointwise->bias.equal(net->pointwise->bias));
  EXPECT_TRUE(nn::as_slot(*convert(net)->pointwise)->implementation()->state_dict()["bias"].equal(net->pointwise->bias));
}

TEST(BiasCorrection, SaysWhatItLeavesAlone) {
  const at::Tensor x = test::images(8, 2);
  Depthwise net = test::make_depthwise();
  prepare(*net, QConfigMapping(test::per_tensor_qconfig).set_module_name("fc", std::nullopt));
  net->forward(x);
  const at::Tensor bias = net->fc->bias.clone();
  const Report report = bias_correction(*net, [&] { net->conv->forward(x); });
  EXPECT_EQ(report.count(ModuleStatus::adjusted), 1) << report;
  EXPECT_EQ(report.find("fc")->detail, "prepare() gave it no qconfig");
  EXPECT_EQ(report.find("depthwise")->detail, "run_fn did not reach it");
  EXPECT_TRUE(net->fc->bias.equal(bias));
}

TEST(BiasCorrection, RefusesWhatIsNotReadyAndLeavesTheModelAsItWas) {
  const at::Tensor x = test::images(8, 2);
  Depthwise net = test::make_depthwise();
  const auto correct = [&] { bias_correction(*net, [&] { net->forward(x); }); };
  EXPECT_EQ(error_text(correct), "bias_correction: the model is not prepared; call prepare() and calibrate it first");
  prepare(*net, test::per_tensor_qconfig);
  EXPECT_NE(error_text(correct).find("bias_correction: conv: its observer MinMaxObserver has seen no tensor"), std::string::npos);
  net->forward(x);
  net->train();
  EXPECT_NE(error_text(correct).find("is in training mode; call eval()"), std::string::npos);
  net->eval();
  EXPECT_NE(error_text([&] { bias_correction(*net, [] {}); }).find("run_fn gave nothing to any Linear or convolution"),
            std::string::npos);

  const auto before = test::all_tensors(*net);
  EXPECT_NE(error_text([&] {
              bias_correction(*net, [&] { net->forward(x * NAN); });
            }).find("bias_correction: conv: the means of its outputs"),
            std::string::npos);
  EXPECT_TRUE(test::all_equal(test::all_tensors(*net), before));
  for (int fails_at : {1, 2, 4}) {
    int runs = 0;
    EXPECT_THROW(bias_correction(*net,
                                 [&] {
                                   if (++runs == fails_at) throw std::runtime_error("no more data");
                                   net->forward(x);
                                 }),
                 std::runtime_error);
    EXPECT_TRUE(test::all_equal(test::all_tensors(*net), before)) << fails_at;
    EXPECT_TRUE(net->conv->weight.is_same(net->named_parameters()["conv.weight"])) << fails_at;
    EXPECT_NE(nn::as_slot(*net->conv)->activation_post_process(), nullptr) << fails_at;
    EXPECT_EQ(nn::as_slot(*net->conv)->hooks().size(), 0u) << fails_at;
  }
}

}  // namespace
}  // namespace octet
