#include <octet/observe/default_fake_quantize.h>
#include <octet/tensor/module_path.h>

#include <observe/observer_test_support.h>
#include <observe/rank_reduction_test_support.h>

#include <set>

namespace octet {
namespace {

using test::Dict;
using test::error_of;
using test::identical;

std::map<std::string, ObserverFactory> factories() {
  return {
      {"default_fake_quant", default_fake_quant},
      {"default_weight_fake_quant", default_weight_fake_quant},
      {"default_dynamic_fake_quant", default_dynamic_fake_quant},
      {"default_per_channel_weight_fake_quant", default_per_channel_weight_fake_quant},
      {"default_embedding_fake_quant", default_embedding_fake_quant},
      {"default_embedding_fake_quant_4bit", default_embedding_fake_quant_4bit},
      {"default_histogram_fake_quant", default_histogram_fake_quant},
      {"default_fused_act_fake_quant", default_fused_act_fake_quant},
      {"default_fused_wt_fake_quant", default_fused_wt_fake_quant},
      {"default_fused_per_channel_wt_fake_quant", default_fused_per_channel_wt_fake_quant},
      {"fused_wt_fake_quant_range_neg_127_to_127", fused_wt_fake_quant_range_neg_127_to_127},
      {"fused_per_channel_wt_fake_quant_range_neg_127_to_127", fused_per_channel_wt_fake_quant_range_neg_127_to_127},
      {"fixed", FixedQParamsFakeQuantize::with_args(
                    FixedQParamsObserver::with_args(FixedQParamsObserverOptions(0.05, 100).quant_min(0).quant_max(255)))},
      {"min max", FakeQuantize::with_args(MinMaxObserver::with_args(MinMaxObserverOptions().dtype(qint8)))},
      {"histogram", FakeQuantize::with_args(HistogramObserver::with_args(HistogramObserverOptions().bins(64)))},
      {"channels in dimension 1", FakeQuantize::with_args(MovingAveragePerChannelMinMaxObserver::with_args(
                                      MovingAveragePerChannelMinMaxObserverOptions().ch_axis(1).averaging_constant(0.5)))},
      {"fused affine channels",
       FusedMovingAvgObsFakeQuantize::with_args(MovingAveragePerChannelMinMaxObserver::with_args(
           MovingAveragePerChannelMinMaxObserverOptions().dtype(qint8).quant_min(-128).quant_max(127).averaging_constant(0.5)))},
      {"fused reduced range", FusedMovingAvgObsFakeQuantize::with_args(MovingAverageMinMaxObserver::with_args(
                                  MovingAverageMinMaxObserverOptions().quant_min(0).quant_max(255).reduce_range(true)))},
      {"fused two bits", FusedMovingAvgObsFakeQuantize::with_args(
                             MovingAveragePerChannelMinMaxObserver::with_args(MovingAveragePerChannelMinMaxObserverOptions()
                                                                                  .dtype(qint8)
                                                                                  .qscheme(per_channel_symmetric)
                                                                                  .quant_min(-2)
                                                                                  .quant_max(1)
                                                                                  .averaging_constant(1)))},
      {"signed reduced range", FakeQuantize::with_args(MovingAverageMinMaxObserver::with_args(
                                   MovingAverageMinMaxObserverOptions().dtype(qint8).reduce_range(true)))},
      {"fused default", FusedMovingAvgObsFakeQuantize::with_args()},
      {"default", FakeQuantize::with_args()},
  };
}

TEST(FakeQuantize, ReturnsHoldsAndPassesBackToTheBitWhatTorchDoes) {
  const auto oracle = test::load_oracle("observe/fake_quantize");
  const auto batches = test::tensors_of(oracle.at("batches"));
  const at::Tensor weights = torch::arange(60).view({4, 3, 5});
  const auto made_by = factories();
  const Dict cases = oracle.at("cases").toGenericDict();
  ASSERT_EQ(cases.size(), made_by.size());
  for (const auto& item : cases) {
    SCOPED_TRACE(item.key().toStringRef());
    const Dict answer = item.value().toGenericDict();
    const auto module = std::dynamic_pointer_cast<FakeQuantizeBase>(made_by.at(item.key().toStringRef())());
    const auto steps = answer.at("steps").toListRef();
    for (size_t i = 0; i < batches.size(); ++i) {
      if (i == 3) module->disable_observer();
      const at::Tensor x = batches[i].clone().requires_grad_();
      const at::Tensor y = module->forward(x);
      (y * weights).sum().backward();
      const Dict step = steps[i].toGenericDict();
      ASSERT_TRUE(identical(y.detach(), step.at("y").toTensor()));
      ASSERT_TRUE(identical(x.grad(), step.at("gradient").toTensor()));
      ASSERT_TRUE(identical(module->scale(), step.at("scale").toTensor()));
      ASSERT_TRUE(identical(module->zero_point(), step.at("zero_point").toTensor()));
      ASSERT_EQ(module->zero_point().scalar_type(), step.at("zero_point").toTensor().scalar_type());
    }
    module->disable_fake_quant();
    EXPECT_TRUE(identical(module->forward(batches[0]), batches[0]));
    EXPECT_EQ(module->extra_repr(), test::string_at(answer, "printed"));
    EXPECT_EQ(test::printed(*module->activation_post_process()), test::string_at(answer, "observer"));
    std::set<std::string> keys;
    for (const auto& key : answer.at("keys").toListRef()) keys.insert(key.toStringRef());
    const auto own_keys = module->named_buffers().keys();
    EXPECT_EQ(std::set<std::string>(own_keys.begin(), own_keys.end()), keys);
  }
}

TEST(FakeQuantize, ClonesItsObserverAndLeavesItsIntegersAloneInAModelOfHalves) {
  torch::manual_seed(10);
  const at::Tensor x = torch::randn({4, 3});
  for (const auto& [name, factory] : factories()) {
    if (name == "channels in dimension 1") continue;
    SCOPED_TRACE(name);
    const auto original = std::dynamic_pointer_cast<FakeQuantizeBase>(factory());
    original->forward(x);
    original->disable_observer();
    original->to(torch::kHalf);
    EXPECT_EQ(original->observer_enabled().is_floating_point(), false);
    EXPECT_EQ(original->scale().scalar_type(), torch::kFloat);
    const auto clone = std::dynamic_pointer_cast<FakeQuantizeBase>(original->clone());
    EXPECT_TRUE(identical(clone->forward(x), original->forward(x)));
    clone->enable_observer();
    clone->forward(x * 3);
    EXPECT_FALSE(clone->activation_post_process() == original->activation_post_process());
    EXPECT_FALSE(original->observer_enabled().item<bool>());
    EXPECT_EQ(identical(clone->scale(), original->scale()), name == "fixed");
  }
}

TEST(FakeQuantize, IsSwitchedByFunctionsForApply) {
  torch::nn::Sequential model(torch::nn::Linear(2, 2));
  const auto fake_quantize = std::dynamic_pointer_cast<FakeQuantizeBase>(default_fused_act_fake_quant());
  model->register_module("activation_post_process", fake_quantize);
  const auto switches = [&] {
    return std::pair(fake_quantize->fake_quant_enabled().item<int>(), fake_quantize->observer_enabled().item<int>());
  };
  using Switch = void (*)(torch::nn::Module&);
  model->apply(Switch{disable_observer});
  EXPECT_EQ(switches(), std::pair(1, 0));
  model->apply(Switch{disable_fake_quant});
  EXPECT_EQ(switches(), std::pair(0, 0));
  model->apply(Switch{enable_observer});
  EXPECT_EQ(switches(), std::pair(0, 1));
  model->apply(Switch{enable_fake_quant});
  EXPECT_EQ(switches(), std::pair(1, 1));
}

TEST(FakeQuantize, TakesHalvesAndDoublesAndReturnsThemInTheirDTypeAndMemoryFormat) {
  const at::Tensor images = torch::randn({2, 3, 4, 5}).to(at::MemoryFormat::ChannelsLast);
  for (const auto& [name, factory] : factories()) {
    for (const auto dtype : {torch::kHalf, torch::kBFloat16, torch::kDouble}) {
      SCOPED_TRACE(name + " of " + c10::toString(dtype));
      const at::Tensor x = images.to(dtype).requires_grad_();
      const auto module = std::dynamic_pointer_cast<FakeQuantizeBase>(factory());
      const auto module_of_floats = factory();
      const at::Tensor y = module->forward(x);
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_EQ(y.strides(), x.strides());
      const at::Tensor of_floats = module_of_floats->forward(x.detach().to(torch::kFloat)).to(dtype);
      if (dtype == torch::kDouble) {  // x / scale is half a step at the ends of symmetric ranges, and rounded otherwise in double
        EXPECT_LE((y - of_floats).abs().max().item<float>(), 1.01F * module->scale().max().item<float>());
      } else {
        EXPECT_TRUE(identical(y.detach(), of_floats));
      }
      y.sum().backward();
      EXPECT_EQ(x.grad().scalar_type(), dtype);
    }
  }
}

TEST(FakeQuantize, StartsFromTheRangeOfACalibratedObserver) {
  const at::Tensor x = torch::randn({4, 3, 5});
  const auto expect_started = [&](const ObserverFactory& trained, const ObserverFactory& calibrated_by) {
    SCOPED_TRACE(trained.describe() + " from " + calibrated_by.describe());
    const auto calibrated = calibrated_by();
    calibrated->forward(x);
    const auto module = std::dynamic_pointer_cast<FakeQuantizeBase>(trained());
    module->forward(x * 100);  // to be forgotten
    module->start_from(*calibrated);
    const auto [scale, zero_point] = calibrated->calculate_qparams();
    const double steps = static_cast<double>(calibrated->quant_max() - calibrated->quant_min()) /
                         static_cast<double>(module->quant_max() - module->quant_min());
    EXPECT_TRUE(module->scale().allclose(scale * steps, 1e-5)) << module->scale() << scale;
    if (steps == 1) {
      EXPECT_TRUE(identical(module->zero_point(), zero_point));
    }
    EXPECT_TRUE(identical(module->calculate_qparams().scale, module->scale()));
  };
  const auto channels_in = [](int64_t ch_axis) {
    return PerChannelMinMaxObserver::with_args(
        PerChannelMinMaxObserverOptions().dtype(qint8).qscheme(per_channel_symmetric).ch_axis(ch_axis));
  };
  const auto two_bits =
      MinMaxObserver::with_args(MinMaxObserverOptions().dtype(qint8).qscheme(per_tensor_symmetric).quant_min(-2).quant_max(1));
  expect_started(default_fake_quant, default_observer);
  expect_started(default_fake_quant, HistogramObserver::with_args(HistogramObserverOptions().reduce_range(true)));
  expect_started(default_per_channel_weight_fake_quant, default_per_channel_weight_observer);
  for (const int64_t ch_axis : {-3, -2, -1, 0, 1, 2}) {
    expect_started(FakeQuantize::with_args(channels_in(ch_axis)), channels_in(ch_axis));
  }
  expect_started(FakeQuantize::with_args(two_bits), two_bits);
  expect_started(default_weight_fake_quant, two_bits);

  const auto fixed = factories().at("fixed")();
  const std::string before = test::printed(*fixed);
  std::dynamic_pointer_cast<FakeQuantizeBase>(fixed)->start_from(MinMaxObserver());
  EXPECT_EQ(test::printed(*fixed), before);
}

TEST(FakeQuantize, CannotStartFromNothingOrAnotherGranularity) {
  FakeQuantize module;
  module.forward(torch::ones({2}));
  const std::string before = test::printed(module);
  EXPECT_EQ(error_of([&] { module.start_from(MinMaxObserver()); }),
            "FakeQuantize: cannot start from MinMaxObserver(), which has seen no data; run forward on calibration batches first");
  EXPECT_EQ(
      error_of([&] { module.start_from(PerChannelMinMaxObserver()); }),
      "FakeQuantize: cannot start from the per_channel_affine of PerChannelMinMaxObserver() with its own per_tensor_affine; "
      "both must be per tensor or both per channel");
  EXPECT_EQ(test::printed(module), before);
}

TEST(FakeQuantize, HasTheQParamsOfWhatAllProcessesSaw) {
  const at::Tensor x = torch::randn({4, 6});
  for (const auto& factory : {default_fake_quant, default_fused_act_fake_quant, default_per_channel_weight_fake_quant}) {
    SCOPED_TRACE(factory.describe());
    std::vector<std::shared_ptr<ObserverBase>> ranks{factory(), factory(), factory()};
    ranks[0]->forward(x.slice(1, 0, 2));
    ranks[1]->forward(x.slice(1, 2));  // and the third sees nothing
    for (const std::string& error : test::reduce_over_ranks(ranks)) EXPECT_EQ(error, "");
    const auto whole = std::dynamic_pointer_cast<FakeQuantizeBase>(factory());
    whole->forward(x);
    for (const auto& rank : ranks) {
      const auto fake_quantize = std::dynamic_pointer_cast<FakeQuantizeBase>(rank);
      EXPECT_TRUE(identical(fake_quantize->scale(), whole->scale()));
      EXPECT_TRUE(identical(fake_quantize->zero_point(), whole->zero_point()));
    }
  }
}

TEST(FakeQuantize, RefusesNonFiniteInputAndStaysAsItWas) {
  const at::Tensor good = torch::ones({2, 2});
  for (const auto& factory : {default_fake_quant, default_fused_act_fake_quant, default_fused_per_channel_wt_fake_quant}) {
    const auto module = factory();
    module->forward(good);
    const std::string before = test::printed(*module);
    const ModulePathScope scope("encoder.fc");
    const std::string error = error_of([&] { module->forward(torch::full({2, 2}, NAN)); });
    EXPECT_NE(error.find(" in module 'encoder.fc': among the 4 elements of its input are 4 NaN and 0 infinities"),
              std::string::npos)
        << error;
    EXPECT_EQ(test::printed(*module), before);
    const at::Tensor empty = torch::empty({0, 2});
    EXPECT_TRUE(module->forward(empty).is_same(empty));
    EXPECT_EQ(test::printed(*module), before);
  }
}

TEST(FakeQuantize, RefusesObserversItCannotUse) {
  EXPECT_EQ(error_of([] { FakeQuantize::with_args(default_placeholder_observer); }),
            "FakeQuantize: its observer is PlaceholderObserver(), expected one that computes qparams, such as "
            "MovingAverageMinMaxObserver");
  EXPECT_NE(error_of([] { FakeQuantize::with_args(ObserverFactory()); }).find("its observer is Identity"), std::string::npos);
  EXPECT_NE(error_of([] { FixedQParamsFakeQuantize::with_args(default_observer); }).find("expected a FixedQParamsObserver"),
            std::string::npos);
  EXPECT_NE(
      error_of([] { FusedMovingAvgObsFakeQuantize::with_args(default_observer); }).find("expected a MovingAverageMinMaxObserver"),
      std::string::npos);
  EXPECT_NE(error_of([] {
              FusedMovingAvgObsFakeQuantize::with_args(
                  MovingAveragePerChannelMinMaxObserver::with_args(MovingAveragePerChannelMinMaxObserverOptions().ch_axis(1)));
            }).find("takes channels in dimension 0"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              FusedMovingAvgObsFakeQuantize::with_args(
                  MovingAverageMinMaxObserver::with_args(MovingAverageMinMaxObserverOptions().ignore_non_finite(true)));
            }).find("cannot leave non-finite elements out"),
            std::string::npos);
}

TEST(FakeQuantize, DescribesItsObserver) {
  EXPECT_EQ(default_weight_fake_quant.describe(),
            "FakeQuantize(observer=MovingAverageMinMaxObserver(dtype=qint8, qscheme=per_tensor_symmetric, quant_min=-128, "
            "quant_max=127))");
  EXPECT_EQ(FakeQuantize::with_args().describe(), "FakeQuantize()");
  EXPECT_EQ(default_dynamic_fake_quant.target().is_dynamic, true);
  EXPECT_EQ(test::printed(*FakeQuantize::with_args()()),
            "FakeQuantize(fake_quant_enabled=tensor([1], dtype=torch.uint8), observer_enabled=tensor([1], dtype=torch.uint8), "
            "quant_min=0, quant_max=255, dtype=torch.quint8, qscheme=torch.per_tensor_affine, ch_axis=-1, scale=tensor([1.]), "
            "zero_point=tensor([0], dtype=torch.int32))(\n"
            "  (activation_post_process): MovingAverageMinMaxObserver(min_val=inf, max_val=-inf)\n)");
}

}  // namespace
}  // namespace octet
