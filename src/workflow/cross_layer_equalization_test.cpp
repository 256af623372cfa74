#include <octet/octet.h>
#include <octet/workflow/cross_layer_equalization.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>
#include <workflow/depthwise_test_support.h>

#include <string>

namespace octet {
namespace {

using test::Depthwise;
using test::error_text;

const std::vector<std::string> kChain{"conv", "depthwise", "pointwise"};

at::Tensor range(const at::Tensor& weight, at::IntArrayRef dims) { return weight.amax(dims) - weight.amin(dims); }

TEST(CrossLayerEqualization, AgreesWithTorchAo) {
  const torch::NoGradGuard no_grad;
  const auto answers = test::load_oracle("workflow/cross_layer_equalization");
  for (const c10::IValue& item : answers.at("cases").toListRef()) {
    const auto oracle = item.toGenericDict();
    const std::string name = oracle.at("name").toStringRef();
    using torch::nn::Conv1dOptions, torch::nn::Conv2dOptions, torch::nn::LinearOptions;
    torch::nn::Sequential net;
    std::vector<std::string> chain{"0", "2", "4"};
    if (name == "conv2d") {
      net = torch::nn::Sequential(nn::Conv2d(3, 8, 3), nn::ReLU(), nn::Conv2d(Conv2dOptions(8, 6, 3).bias(false)), nn::ReLU(),
                                  nn::Conv2d(6, 5, 2));
    } else if (name == "conv1d") {
      net = torch::nn::Sequential(nn::Conv1d(4, 7, 3), nn::ReLU(), torch::nn::Conv1d(7, 5, 3));
      chain = {"0", "1", "2"};
    } else {
      net = torch::nn::Sequential(nn::Linear(16, 12), nn::ReLU(), nn::Linear(12, 14), nn::Linear(14, 11));
      chain = {"0", "2", "3"};
    }
    for (const auto& entry : oracle.at("before").toGenericDict()) {
      net->named_parameters()[entry.key().toStringRef()].copy_(entry.value().toTensor());
    }
    equalize(*net, chain, 1e-7);
    for (const auto& entry : oracle.at("after").toGenericDict()) {
      const std::string& key = entry.key().toStringRef();
      EXPECT_TRUE(at::allclose(net->named_parameters()[key], entry.value().toTensor(), 1e-3, 1e-5)) << name << " " << key;
    }
  }
}

TEST(CrossLayerEqualization, MakesRangesEqualAndKeepsWhatADepthwiseNetworkComputes) {
  Depthwise net = test::make_depthwise();
  const at::Tensor x = test::images(4, 1), before = net->forward(x);
  const Report report = equalize(*net, kChain);
  EXPECT_EQ(report.count(ModuleStatus::adjusted), 3) << report;
  EXPECT_TRUE(at::allclose(net->forward(x), before, 1e-4, 1e-5));
  // In a depthwise convolution the input channels are the output channels.
  const at::Tensor first = range(net->conv->weight, {1, 2, 3}), middle = range(net->depthwise->weight, {1, 2, 3}),
                   last = range(net->pointwise->weight, {0, 2, 3});
  EXPECT_TRUE(at::allclose(first, middle, 1e-3)) << first << middle;
  EXPECT_TRUE(at::allclose(middle, last, 1e-3)) << middle << last;
  EXPECT_GT((middle.max() / middle.min()).item<double>(), 1);
}

TEST(CrossLayerEqualization, BringsTheConvertedModelCloserByTwentyDecibels) {
  const Depthwise net = test::make_depthwise();
  const at::Tensor x = test::images(64, 2);
  const double before = test::converted_sqnr_db(net, test::calibrated(net, x));
  const double after = test::converted_sqnr_db(net, test::calibrated(equalize(net, kChain), x));
  EXPECT_GT(after, before + 20) << before << " -> " << after;
}

TEST(CrossLayerEqualization, PassesGroupsTransposedConvolutionsActivationsAndPools) {
  using torch::nn::Conv1dOptions, torch::nn::ConvTranspose1dOptions;
  torch::manual_seed(3);
  const auto check_chain = [](torch::nn::Sequential net, const std::vector<std::string>& chain, const at::Tensor& x) {
    net->eval();
    const torch::NoGradGuard no_grad;
    for (at::Tensor& parameter : net->parameters()) {
      std::vector<int64_t> along(parameter.dim(), 1);
      along[0] = -1;
      if (parameter.dim() > 1) parameter.mul_(at::logspace(-1, 1, parameter.size(0)).view(along));
    }
    const at::Tensor expected = net->forward(x);
    equalize(*net, chain);
    EXPECT_TRUE(at::allclose(net->forward(x), expected, 1e-4, 1e-4 * expected.abs().max().item<double>())) << *net;
  };
  check_chain(torch::nn::Sequential(nn::Conv1d(Conv1dOptions(4, 8, 3).groups(2)), nn::LeakyReLU(),
                                    nn::Conv1d(Conv1dOptions(8, 12, 3).groups(4)), torch::nn::MaxPool1d(2), nn::Conv1d(12, 4, 1)),
              {"0", "1", "2", "3", "4"}, at::randn({2, 4, 24}));
  check_chain(
      torch::nn::Sequential(nn::Conv1d(4, 6, 3), nn::PReLU(), nn::ConvTranspose1d(ConvTranspose1dOptions(6, 8, 3).groups(2)),
                            nn::ReLU(), nn::ConvTranspose1d(ConvTranspose1dOptions(8, 4, 2).groups(4)), nn::Conv1d(4, 3, 1)),
      {"0", "1", "2", "3", "4", "5"}, at::randn({2, 4, 10}));
  check_chain(torch::nn::Sequential(nn::Linear(5, 6), nn::Dropout(), nn::Linear(6, 4)), {"0", "1", "2"}, at::randn({3, 5}));
}

TEST(CrossLayerEqualization, LeavesChannelsWithoutWeightsAndModulesThatShareThem) {
  torch::manual_seed(4);
  const torch::NoGradGuard no_grad;
  torch::nn::Sequential net(nn::Linear(3, 4), nn::ReLU(), nn::Linear(4, 2));
  auto& first = *net->ptr<nn::LinearImpl>(0);
  auto& second = *net->ptr<nn::LinearImpl>(2);
  first.weight[1].zero_();
  second.weight.select(1, 2).zero_();
  const at::Tensor first_before = first.weight.clone(), second_before = second.weight.clone(), shared = first.weight;
  equalize(*net, {"0", "2"});
  for (const int64_t channel : {1, 2}) {
    EXPECT_TRUE(first.weight[channel].equal(first_before[channel]));
    EXPECT_TRUE(second.weight.select(1, channel).equal(second_before.select(1, channel)));
  }
  EXPECT_FALSE(first.weight.equal(first_before));
  EXPECT_TRUE(shared.equal(first_before));
}

TEST(CrossLayerEqualization, RefusesWhatAScaleDoesNotPassAndLeavesTheModelAsItWas) {
  torch::nn::Sequential net(nn::Conv2d(3, 4, 1), nn::ReLU6(), nn::Conv2d(4, 5, 1), nn::BatchNorm2d(5), nn::Conv2d(5, 6, 1),
                            nn::Conv2d(4, 4, 1));
  const auto before = test::all_tensors(*net);
  const std::vector<std::pair<PairedModulesList, std::string>> cases{
      {{"0", "1", "2"}, "equalize: the scale of a channel does not pass through \"1\", a ReLU6; replace it by a ReLU"},
      {{"2", "3", "4"}, "through \"3\", a BatchNorm2d; fold it into the module before it with fuse_modules() first"},
      {{"0", "9"}, "the model has no module \"9\""},
      {{"1", "2"}, "\"1\" is a ReLU6, but a list begins and ends with a Linear or a convolution in float"},
      {{"0", "4"}, "\"0\" has 4 output channels, but \"4\" takes 5"},
      {{{"0", "2"}, {"0", "5"}}, "\"0\" and \"5\": one of them has another neighbor already"},
      {{{"0"}}, "got a list with 1 module"}};
  for (const auto& [lists, text] : cases) {
    const std::string error = error_text([&] { equalize(*net, lists); });
    EXPECT_NE(error.find(text), std::string::npos) << error;
  }
  EXPECT_TRUE(test::all_equal(test::all_tensors(*net), before));
  net->eval();
  prepare(*net, default_qconfig);
  EXPECT_NE(error_text([&] { equalize(*net, {"0", "2"}); }).find("equalize before prepare()"), std::string::npos);
}

}  // namespace
}  // namespace octet
