#include <octet/observe/learnable_fake_quantize.h>

#include <octet/observe/default_fake_quantize.h>

#include <observe/observer_test_support.h>

#include <set>

namespace octet {
namespace {

using test::Dict;
using test::error_of;
using test::identical;

MovingAverageMinMaxObserverOptions signed_range(int64_t quant_min, int64_t quant_max) {
  return MovingAverageMinMaxObserverOptions().dtype(qint8).quant_min(quant_min).quant_max(quant_max);
}

MovingAveragePerChannelMinMaxObserverOptions signed_channels(int64_t quant_min, int64_t quant_max) {
  return MovingAveragePerChannelMinMaxObserverOptions().dtype(qint8).quant_min(quant_min).quant_max(quant_max);
}

std::map<std::string, ObserverFactory> observers() {
  return {
      {"affine", MovingAverageMinMaxObserver::with_args(MovingAverageMinMaxObserverOptions().quant_min(0).quant_max(15))},
      {"symmetric", MovingAverageMinMaxObserver::with_args(signed_range(-8, 7).qscheme(per_tensor_symmetric))},
      {"symmetric channels",
       MovingAveragePerChannelMinMaxObserver::with_args(signed_channels(-2, 1).qscheme(per_channel_symmetric))},
      {"affine channels", MovingAveragePerChannelMinMaxObserver::with_args(signed_channels(-8, 7).ch_axis(1))},
  };
}

std::shared_ptr<LearnableFakeQuantize> made_by(const ObserverFactory& observer, bool use_grad_scaling = false) {
  return std::make_shared<LearnableFakeQuantize>(LearnableFakeQuantizeOptions(observer).use_grad_scaling(use_grad_scaling));
}

void expect_learning_as_torchs(at::Device device) {
  const auto oracle = test::load_oracle("observe/learnable_fake_quantize");
  const auto batches = test::tensors_of(oracle.at("batches"));
  const auto static_batches = static_cast<size_t>(oracle.at("static_batches").toInt());
  const at::Tensor wanted = torch::arange(60).view({4, 3, 5}).to(device) * 0.05;
  const Dict cases = oracle.at("cases").toGenericDict();
  for (const auto& [name, observer] : observers()) {
    for (const bool scaled : {false, true}) {
      SCOPED_TRACE(name + (scaled ? ", scaled" : ""));
      const Dict answer = cases.at(name + (scaled ? ", scaled" : "")).toGenericDict();
      const auto steps = answer.at("steps").toListRef();
      const auto module = made_by(observer, scaled);
      module->to(device);
      // Made before the number of channels is known.
      torch::optim::SGD optimizer(module->parameters(), oracle.at("learning_rate").toDouble());
      for (size_t i = 0; i < batches.size(); ++i) {
        if (i == static_batches) module->enable_param_learning();
        const Dict step = steps[i].toGenericDict();
        const auto expect_close = [&](const at::Tensor& actual, const char* key) {
          ASSERT_TRUE(actual.cpu().allclose(step.at(key).toTensor(), 1e-4, 1e-5)) << key << ' ' << actual << step.at(key);
        };
        const at::Tensor x = batches[i].to(device).clone().requires_grad_();
        optimizer.zero_grad();
        const at::Tensor y = module->forward(x);
        (y - wanted).square().sum().backward();
        expect_close(y.detach(), "y");
        expect_close(x.grad(), "x_gradient");
        expect_close(module->zero_point().detach(), "zero_point");
        if (i < static_batches) {
          ASSERT_TRUE(identical(module->scale().detach().cpu(), step.at("scale").toTensor()));
          ASSERT_FALSE(module->scale().requires_grad());
        } else {
          expect_close(module->scale().detach(), "scale");
          expect_close(module->scale().grad(), "scale_gradient");
          if (!is_symmetric(module->qscheme())) expect_close(module->zero_point().grad(), "zero_point_gradient");
          optimizer.step();
        }
      }
      const auto [scale, zero_point] = module->calculate_qparams();
      EXPECT_TRUE(scale.cpu().allclose(answer.at("scale").toTensor(), 1e-4));
      EXPECT_TRUE(identical(zero_point.cpu(), answer.at("zero_point").toTensor()));
      std::set<std::string> keys, own_keys;
      for (const auto& key : answer.at("keys").toListRef()) keys.insert(key.toStringRef());
      for (const auto& key : module->named_buffers().keys()) own_keys.insert(key);
      for (const auto& key : module->named_parameters().keys()) own_keys.insert(key);
      EXPECT_EQ(own_keys, keys);
    }
  }
}

TEST(LearnableFakeQuantize, EstimatesAndThenLearnsAsTorchs) { expect_learning_as_torchs(at::kCPU); }

TEST(LearnableFakeQuantize, DoesSoOnCuda) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "There is no CUDA device here, so learning on one is not tested.";
  expect_learning_as_torchs(at::kCUDA);
}

TEST(LearnableFakeQuantize, HasTheGradientsComputedByHandAtTiesAndWithANegativeZeroPoint) {
  // torch's operators get these wrong: they round the zero point of the gradient another way, and x / scale with it.
  const auto module = made_by(MovingAverageMinMaxObserver::with_args(signed_range(-8, 7)));
  module->start_from(
      FixedQParamsObserver(FixedQParamsObserverOptions(0.5, -3).dtype(qint8).quant_min(-8).quant_max(7)));  // from -2.5 to 5
  module->enable_param_learning();
  ASSERT_EQ(module->scale().item<float>(), 0.5F);
  ASSERT_EQ(module->zero_point().item<float>(), -3.0F);
  // x / scale:                      1.5 -> 2, 10.5 -> 10, 11 (clamped to 10), -5.5 -> -6 (clamped to -5), 0.25 -> 0
  const at::Tensor x = torch::tensor({0.75F, 5.25F, 5.5F, -2.75F, 0.125F}).requires_grad_();
  const at::Tensor y = module->forward(x);
  EXPECT_TRUE(y.equal(torch::tensor({1.0F, 5.0F, 5.0F, -2.5F, 0.0F})));
  y.backward(torch::tensor({1.0F, 2.0F, 4.0F, 8.0F, 16.0F}));
  EXPECT_TRUE(x.grad().equal(torch::tensor({1.0F, 2.0F, 0.0F, 0.0F, 16.0F})));
  EXPECT_EQ(module->scale().grad().item<float>(), 1 * 0.5F + 2 * -0.5F + 4 * 10 + 8 * -5 + 16 * -0.25F);
  EXPECT_EQ(module->zero_point().grad().item<float>(), -0.5F * (4 + 8));
}

TEST(LearnableFakeQuantize, FindsABetterStepForTwoBitWeightsThanTheirRangeHas) {
  const at::Tensor weight = torch::randn({8, 64}) * torch::linspace(0.1, 2, 8).unsqueeze(1);
  const auto learnable =
      made_by(MovingAveragePerChannelMinMaxObserver::with_args(signed_channels(-2, 1).qscheme(per_channel_symmetric)), true);
  const auto squared_error = [&] { return (learnable->forward(weight) - weight).square().sum(1); };
  torch::optim::SGD optimizer(learnable->parameters(), 0.1);
  const at::Tensor of_the_range = squared_error();
  EXPECT_FALSE(of_the_range.requires_grad());
  learnable->enable_param_learning();
  for (int i = 0; i < 30; ++i) {
    optimizer.zero_grad();
    squared_error().sum().backward();
    optimizer.step();
  }
  const at::Tensor learned = squared_error().detach();
  EXPECT_TRUE((learned < of_the_range).all().item<bool>()) << learned << of_the_range;
  EXPECT_LT(learned.sum().item<float>(), 0.8F * of_the_range.sum().item<float>());
  EXPECT_EQ(learnable->zero_point().abs().max().item<float>(), 0);
}

TEST(LearnableFakeQuantize, KeepsItsParametersTheSameTensorsAndBringsThemBackInRange) {
  const auto module = made_by(MovingAveragePerChannelMinMaxObserver::with_args(signed_channels(-8, 7)));
  const at::Tensor scale = module->named_parameters()["scale"], zero_point = module->named_parameters()["zero_point"];
  const at::Tensor x = torch::randn({5, 6});
  module->forward(x);
  EXPECT_EQ(scale.sizes(), at::IntArrayRef({5}));
  EXPECT_TRUE(scale.is_same(module->scale()));
  module->enable_param_learning();
  {
    const torch::NoGradGuard no_grad;
    scale.fill_(-1);
    zero_point.fill_(99.6);
  }
  const auto [learned_scale, learned_zero_point] = module->calculate_qparams();
  EXPECT_TRUE(learned_scale.equal(torch::full({5}, 0x1p-23F)));
  EXPECT_TRUE(learned_zero_point.equal(torch::full({5}, 7)));
  EXPECT_TRUE(module->forward(x).isfinite().all().item<bool>());
  EXPECT_EQ(scale.min().item<float>(), 0x1p-23F);
}

TEST(LearnableFakeQuantize, SwitchesBetweenEstimatingLearningAndObserving) {
  torch::nn::Sequential model(torch::nn::Linear(2, 2));
  const auto module = made_by(default_observer);
  model->register_module("activation_post_process", module);
  using Switch = void (*)(torch::nn::Module&);
  EXPECT_NE(error_of([&] { model->apply(Switch{enable_param_learning}); }).find("has seen no data"), std::string::npos);
  const at::Tensor x = torch::linspace(-1, 1, 9);
  EXPECT_FALSE(identical(module->forward(x), x));
  const float estimated = module->scale().item<float>();

  model->apply(Switch{enable_param_learning});
  EXPECT_TRUE(module->scale().requires_grad() && module->zero_point().requires_grad());
  module->forward(x * 3);
  EXPECT_EQ(module->scale().item<float>(), estimated);

  module->enable_static_observation();
  const at::Tensor larger = x * 3;
  EXPECT_TRUE(module->forward(larger).is_same(larger));
  EXPECT_GT(module->scale().item<float>(), 2 * estimated);
  EXPECT_FALSE(module->scale().requires_grad());

  model->apply(Switch{enable_static_estimate});
  EXPECT_FALSE(identical(module->forward(x), x));
}

TEST(LearnableFakeQuantize, IsClonedWithWhatItLearned) {
  const auto original = made_by(observers().at("affine channels"));
  const at::Tensor x = torch::randn({4, 3});
  original->forward(x);
  original->enable_param_learning();
  {
    const torch::NoGradGuard no_grad;
    original->scale().mul_(2);
  }
  const auto clone = std::dynamic_pointer_cast<LearnableFakeQuantize>(original->clone());
  EXPECT_TRUE(identical(clone->scale().detach(), original->scale().detach()));
  EXPECT_FALSE(clone->scale().is_same(original->scale()));
  EXPECT_TRUE(clone->learns() && clone->scale().requires_grad());
  EXPECT_TRUE(identical(clone->forward(x).detach(), original->forward(x).detach()));
  original->to(torch::kHalf);
  EXPECT_EQ(original->scale().scalar_type(), torch::kFloat);
}

TEST(LearnableFakeQuantize, LearnsFromHalvesInTheirDType) {
  const auto module = made_by(observers().at("affine"));
  for (const auto dtype : {torch::kHalf, torch::kBFloat16}) {
    const at::Tensor x = (torch::randn({30}) * 2).to(dtype).requires_grad_();
    if (!module->learns()) {
      module->forward(x);
      module->enable_param_learning();
    }
    const at::Tensor y = module->forward(x);
    EXPECT_EQ(y.scalar_type(), dtype);
    y.sum().backward();
    EXPECT_EQ(x.grad().scalar_type(), dtype);
    EXPECT_EQ(module->scale().grad().scalar_type(), torch::kFloat);
  }
}

TEST(LearnableFakeQuantize, SaysWhatItCannotDo) {
  EXPECT_NE(error_of([] {
              LearnableFakeQuantize::with_args(MovingAveragePerChannelMinMaxObserver::with_args(
                  MovingAveragePerChannelMinMaxObserverOptions().qscheme(per_channel_affine_float_qparams)));
            }).find("learns integer zero points"),
            std::string::npos);
  EXPECT_NE(
      error_of([] {
        LearnableFakeQuantize::with_args(
            LearnableFakeQuantizeOptions(MovingAverageMinMaxObserver::with_args(signed_range(-2, 0))).use_grad_scaling(true));
      }).find("use_grad_scaling divides by quant_max, which is 0"),
      std::string::npos);
  EXPECT_NE(error_of([] { LearnableFakeQuantize().calculate_qparams(); }).find("has seen no data"), std::string::npos);
  EXPECT_EQ(LearnableFakeQuantize::with_args(LearnableFakeQuantizeOptions().use_grad_scaling(true)).describe(),
            "LearnableFakeQuantize(use_grad_scaling=true)");
}

}  // namespace
}  // namespace octet
