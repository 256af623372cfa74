#include <octet/octet.h>
#include <octet/workflow/adaround.h>
#include <octet/workflow/cross_layer_equalization.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <workflow/depthwise_test_support.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace octet {
namespace {

using test::Depthwise;
using test::error_text;

const AdaRoundOptions kQuick = AdaRoundOptions().iterations(300).batch_size(16).learning_rate(0.03);

/// The integers and scales that convert() gives a layer.
nn::StateDict converted(const torch::nn::Sequential& net, size_t layer) {
  return nn::as_slot(*convert(net)->ptr(layer))->implementation()->state_dict();
}

TEST(AdaRound, MovesIntegersByOneAtMostKeepsScalesAndLowersTheErrorOfALayer) {
  using torch::nn::Conv1dOptions, torch::nn::ConvTranspose1dOptions;
  const auto affine = MinMaxObserver::with_args(MinMaxObserverOptions().dtype(qint8));
  const auto affine_per_channel =
      PerChannelMinMaxObserver::with_args(PerChannelMinMaxObserverOptions().dtype(qint8).qscheme(per_channel_affine));
  const std::vector<ObserverFactory> observers{default_weight_observer, default_per_channel_weight_observer, affine,
                                               affine_per_channel, weight_observer_range_neg_127_to_127};
  const auto make = [](const std::string& kind) {
    torch::manual_seed(8);
    if (kind == "linear") return torch::nn::Sequential(nn::Linear(12, 8), nn::ReLU());
    if (kind == "grouped") return torch::nn::Sequential(nn::Conv1d(Conv1dOptions(12, 8, 3).groups(2)), nn::ReLU());
    return torch::nn::Sequential(nn::ConvTranspose1d(ConvTranspose1dOptions(12, 8, 3).groups(2)), nn::Identity());
  };
  for (const std::string kind : {"linear", "grouped", "transposed"}) {
    for (const ObserverFactory& weight_observer : observers) {
      torch::nn::Sequential net = make(kind);
      net->eval();
      if (kind != "transposed") fuse_modules(*net, {"0", "1"});
      prepare(*net, QConfig{MinMaxObserver::with_args(), weight_observer});
      const torch::NoGradGuard no_grad;
      net->named_parameters()["0.bias"].fill_(1);  // most outputs pass the ReLU
      const at::Tensor x = kind == "linear" ? at::rand({64, 12}) : at::rand({64, 12, 9});
      const at::Tensor expected = net->forward(x);
      nn::StateDict nearest = converted(net, 0);
      const Report report = adaround(*net, [&] { net->forward(x); }, kQuick);
      ASSERT_EQ(report.count(ModuleStatus::adjusted), 1) << report;
      nn::StateDict learned = converted(net, 0);

      EXPECT_TRUE(learned["weight_scale"].equal(nearest["weight_scale"])) << kind << weight_observer;
      EXPECT_TRUE(learned["weight_zero_point"].equal(nearest["weight_zero_point"])) << kind << weight_observer;
      const at::Tensor moved = learned["weight"].to(at::kInt) - nearest["weight"].to(at::kInt);
      EXPECT_EQ(moved.abs().max().item<int>(), 1) << kind << weight_observer;

      const auto error = [&](nn::StateDict& state) {
        const bool transposed = kind == "transposed";  // its output channels run along the groups and the second dimension
        const std::vector<int64_t> along = transposed ? std::vector<int64_t>{2, 1, 4, 1} : std::vector<int64_t>{8, 1, 1};
        const auto of_channels = [&](const char* name) { return state[name].to(at::kFloat).expand({8}).reshape(along); };
        const at::Tensor integers = state["weight"].to(at::kFloat);
        const at::Tensor grouped = integers.view(transposed ? std::vector<int64_t>{2, 6, 4, 3} : std::vector<int64_t>{8, -1, 1});
        const at::Tensor weight =
            ((grouped - of_channels("weight_zero_point")) * of_channels("weight_scale")).view(integers.sizes());
        const at::Tensor bias = net->named_parameters()["0.bias"];
        const at::Tensor y = kind == "linear"    ? at::linear(x, weight, bias).relu()
                             : kind == "grouped" ? at::conv1d(x, weight, bias, 1, at::IntArrayRef{0}, 1, 2).relu()
                                                 : at::conv_transpose1d(x, weight, bias, 1, 0, 0, 2);
        return at::mse_loss(y, expected).item<double>();
      };
      EXPECT_LT(error(learned), 0.8 * error(nearest)) << kind << weight_observer;
      const std::string& detail = report.rows()[0].detail;
      const std::string words = "error of its outputs is ";
      ASSERT_NE(detail.find(words), std::string::npos) << detail;
      EXPECT_NEAR(std::stod(detail.substr(detail.find(words) + words.size())), error(learned), 1e-3 * error(learned));
    }
  }
}

TEST(AdaRound, BringsTheConvertedModelOfFourBitsCloserBySixDecibels) {
  const QConfig four_bits{
      MinMaxObserver::with_args(),
      MinMaxObserver::with_args(MinMaxObserverOptions().dtype(qint8).qscheme(per_tensor_symmetric).quant_min(-8).quant_max(7))};
  const Depthwise net = equalize(test::make_depthwise(), {"conv", "depthwise", "pointwise"});
  const at::Tensor x = test::images(64, 2);
  const Depthwise prepared = test::calibrated(net, x, four_bits);
  const Depthwise rounded = adaround(prepared, [&](Depthwise& model) { model->forward(x); }, kQuick);
  const double before = test::converted_sqnr_db(net, prepared), after = test::converted_sqnr_db(net, rounded);
  EXPECT_GT(after, before + 6) << before << " -> " << after;
}

TEST(AdaRound, IsDeterminedByItsSeedAndShowsTheObserversNothing) {
  const at::Tensor x = test::images(16, 2);
  const Depthwise prepared = test::calibrated(test::make_depthwise(), x);
  const auto rounded = [&](uint64_t seed) {
    torch::manual_seed(static_cast<int64_t>(100 + at::randint(1000, {1}).item<int64_t>()));  // no matter
    return test::all_tensors(
        *adaround(prepared, [&](Depthwise& model) { model->forward(x); }, AdaRoundOptions(kQuick).iterations(60).seed(seed)));
  };
  const auto first = rounded(1);
  EXPECT_TRUE(test::all_equal(first, rounded(1)));
  EXPECT_FALSE(test::all_equal(first, rounded(2)));
  Depthwise net = prepared;
  std::vector<at::Tensor> buffers;
  for (const at::Tensor& buffer : net->buffers()) buffers.push_back(buffer.clone());
  adaround(*net, [&] { net->forward(x); }, kQuick);
  EXPECT_TRUE(test::all_equal(net->buffers(), buffers));
  for (const at::Tensor& parameter : net->parameters()) EXPECT_TRUE(parameter.requires_grad() && !parameter.grad().defined());
}

TEST(AdaRound, TellsHowFarItIs) {
  Depthwise net = test::calibrated(test::make_depthwise(), test::images(8, 2));
  std::vector<std::string> paths;
  int64_t calls = 0;
  adaround(
      *net, [&] { net->forward(test::images(8, 2)); },
      AdaRoundOptions().iterations(3).progress([&](const AdaRoundProgress& progress) {
        EXPECT_EQ(progress.layers, 4);
        EXPECT_EQ(progress.layer, calls / 3);
        EXPECT_EQ(progress.iteration, calls++ % 3 + 1);
        EXPECT_EQ(progress.iterations, 3);
        if (progress.iteration == 1) paths.push_back(progress.path);
      }));
  EXPECT_EQ(calls, 12);
  EXPECT_EQ(paths, (std::vector<std::string>{"conv", "depthwise", "pointwise", "fc"}));
}

TEST(AdaRound, TakesBatchesOfManySizesAndInputsWithoutABatch) {
  Depthwise net = test::calibrated(test::make_depthwise(), test::images(8, 2));
  const Report report = adaround(
      *net,
      [&] {
        const at::Tensor x = test::images(8, 2);
        net->forward(x);
        net->forward(x.slice(0, 0, 3).slice(2, 0, 7));
        net->conv->forward(x[0].slice(1, 0, 7));
      },
      AdaRoundOptions().iterations(50));
  EXPECT_EQ(report.find("fc")->path, "fc");
}

TEST(AdaRound, RefusesWhatCannotBeAndLeavesTheModelAsItWas) {
  const at::Tensor x = test::images(8, 2);
  Depthwise net = test::make_depthwise();
  const auto round = [&] { adaround(*net, [&] { net->forward(x); }, kQuick); };
  EXPECT_EQ(error_text(round), "adaround: the model is not prepared; call prepare() and calibrate it first");
  EXPECT_NE(error_text([&] {
              adaround(*net, [] {}, AdaRoundOptions().batch_size(0));
            }).find("got 1000 iterations and a batch size of 0"),
            std::string::npos);
  EXPECT_NE(
      error_text([&] { adaround(*net, [] {}, AdaRoundOptions().warm_start(2)); }).find("got a warm start of 2, expected 0 to 1"),
      std::string::npos);
  prepare(*net, test::per_tensor_qconfig);
  EXPECT_NE(error_text(round).find("adaround: conv: its observer MinMaxObserver has seen no tensor"), std::string::npos);
  net->forward(x);

  const auto before = test::all_tensors(*net);
  EXPECT_THROW(
      adaround(
          *net, [&] { net->forward(x); }, AdaRoundOptions(kQuick).iterations(5).progress([](const AdaRoundProgress& progress) {
            if (progress.layer == 2) throw std::runtime_error("stopped");
          })),
      std::runtime_error);
  int runs = 0;
  EXPECT_NE(error_text([&] {
              adaround(*net, [&] { net->forward(x.slice(0, 0, ++runs)); }, kQuick);
            }).find("adaround: conv got other inputs in one run of run_fn than in another"),
            std::string::npos);
  EXPECT_TRUE(test::all_equal(test::all_tensors(*net), before));
  EXPECT_TRUE(net->conv->weight.is_same(net->named_parameters()["conv.weight"]));
  EXPECT_NE(nn::as_slot(*net->conv)->activation_post_process(), nullptr);
}

TEST(AdaRound, RefusesWeightObserversThatWouldUndoIt) {
  const at::Tensor x = test::images(8, 2);
  const QConfig qconfig{
      MinMaxObserver::with_args(),
      PercentileObserver::with_args(PercentileObserverOptions().dtype(qint8).qscheme(per_tensor_symmetric).percentile(90))};
  Depthwise net = test::calibrated(test::make_depthwise(), x, qconfig);
  const std::string error = error_text([&] { adaround(*net, [&] { net->forward(x); }, kQuick); });
  EXPECT_NE(error.find("the weight observer PercentileObserver("), std::string::npos) << error;
  EXPECT_NE(error.find("use a MinMaxObserver or a PerChannelMinMaxObserver"), std::string::npos) << error;
}

}  // namespace
}  // namespace octet
