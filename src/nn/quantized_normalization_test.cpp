#include <octet/nn/intrinsic.h>
#include <octet/nn/quantized_normalization.h>
#include <octet/tensor/quantize.h>

#include <nn/quantized_module_test_support.h>

#include <cmath>
#include <functional>
#include <map>

namespace octet::nn {
namespace {

using namespace octet::nn::test;
using octet::test::error_text;
namespace nnq = octet::nn::quantized;
namespace nniq = octet::nn::intrinsic::quantized;

/// The float module's parameters and statistics; none for modules without them.
template <class Holder>
Holder with_state(Holder module, const OracleCase& oracle) {
  const auto state = oracle.at("state").toGenericDict();
  const torch::NoGradGuard no_grad;
  for (auto& item : module->named_parameters()) item.value().copy_(state.at(item.key()).toTensor());
  for (auto& item : module->named_buffers()) item.value().copy_(state.at(item.key()).toTensor());
  return module;
}

/// The module of an oracle's case.
std::shared_ptr<TensorImplementation> make(const OracleCase& oracle) {
  const auto observer = oracle_observer(oracle);
  const auto options = oracle.at("options").toGenericDict();
  const double eps = options.at("eps").toDouble();
  const bool affine = oracle.at("state").toGenericDict().contains("weight");
  const auto count = [&](const char* name) { return options.at(name).toInt(); };
  const auto batch_norm = [&]<class Quantized, class Holder>() -> std::shared_ptr<TensorImplementation> {
    return converted<Quantized>(with_state(Holder(BatchNormOptions(count("num_features")).eps(eps)), oracle), observer);
  };
  const auto instance_norm = [&]<class Quantized, class Holder>() -> std::shared_ptr<TensorImplementation> {
    return converted<Quantized>(with_state(Holder(InstanceNormOptions(count("num_features")).eps(eps).affine(affine)), oracle),
                                observer);
  };
  const std::map<std::string, std::function<std::shared_ptr<TensorImplementation>()>> modules{
      {"LayerNorm",
       [&] {
         std::vector<int64_t> shape;
         for (const c10::IValue& size : options.at("normalized_shape").toList().vec()) shape.push_back(size.toInt());
         const auto layer_norm = LayerNormOptions(shape).eps(eps).elementwise_affine(affine);
         return converted<nnq::LayerNormImpl>(with_state(LayerNorm(layer_norm), oracle), observer);
       }},
      {"GroupNorm",
       [&] {
         const auto group_norm = GroupNormOptions(count("num_groups"), count("num_channels")).eps(eps).affine(affine);
         return converted<nnq::GroupNormImpl>(with_state(GroupNorm(group_norm), oracle), observer);
       }},
      {"InstanceNorm1d", [&] { return instance_norm.operator()<nnq::InstanceNorm1dImpl, InstanceNorm1d>(); }},
      {"InstanceNorm2d", [&] { return instance_norm.operator()<nnq::InstanceNorm2dImpl, InstanceNorm2d>(); }},
      {"InstanceNorm3d", [&] { return instance_norm.operator()<nnq::InstanceNorm3dImpl, InstanceNorm3d>(); }},
      {"BatchNorm2d", [&] { return batch_norm.operator()<nnq::BatchNorm2dImpl, BatchNorm2d>(); }},
      {"BatchNorm3d", [&] { return batch_norm.operator()<nnq::BatchNorm3dImpl, BatchNorm3d>(); }},
      {"BNReLU2d", [&] { return batch_norm.operator()<nniq::BNReLU2dImpl, BatchNorm2d>(); }},
      {"BNReLU3d", [&] { return batch_norm.operator()<nniq::BNReLU3dImpl, BatchNorm3d>(); }},
  };
  return modules.at(oracle.at("module").toStringRef())();
}

/// Calls check(module, input, oracle) for each case.
template <class Check>
void for_each_case(const Check& check) {
  for (const OracleCase& oracle : oracle_cases("nn/quantized_normalization")) {
    const auto module = make(oracle);
    SCOPED_TRACE(c10::str(*module));
    check(*module, oracle_input(oracle), oracle);
  }
}

at::MemoryFormat channels_last(const at::Tensor& x) {
  return x.dim() == 5 ? at::MemoryFormat::ChannelsLast3d : at::MemoryFormat::ChannelsLast;
}

TEST(QuantizedNormalization, GivesTheIntegersOfTorchAo) {
  for_each_case([](TensorImplementation& module, const at::Tensor& x, const OracleCase& oracle) {
    expect_integers_of_torch_ao(module.forward(x), oracle);
  });
}

TEST(QuantizedNormalization, GivesTheSameBitsInEveryLayoutAndAtEveryThreadCount) {
  const int threads = at::get_num_threads();
  for_each_case([](TensorImplementation& module, const at::Tensor& x, const OracleCase&) {
    at::set_num_threads(1);
    const at::Tensor expected = module.forward(x);
    at::set_num_threads(4);
    EXPECT_TRUE(same_quantized(module.forward(x), expected));
    const at::Tensor strided = x.transpose(0, 1).contiguous().transpose(0, 1);
    EXPECT_TRUE(same_quantized(module.forward(strided), expected));
    if (x.dim() < 4) return;
    const at::Tensor result = module.forward(x.contiguous(channels_last(x)));
    EXPECT_TRUE(same_quantized(result, expected));
    EXPECT_TRUE(result.is_contiguous(channels_last(x)));
  });
  at::set_num_threads(threads);
}

TEST(QuantizedNormalization, DoesNotDependOnTheBatch) {
  for_each_case([](TensorImplementation& module, const at::Tensor& x, const OracleCase&) {
    const at::Tensor expected = module.forward(x);
    for (int64_t i = 0; i < x.size(0); ++i) {
      EXPECT_TRUE(same_quantized(module.forward(x.narrow(0, i, 1)), expected.narrow(0, i, 1))) << i;
    }
    EXPECT_EQ(module.forward(x.narrow(0, 0, 0)).numel(), 0);
  });
}

TEST(QuantizedNormalization, TakesSignedIntegersAlike) {
  for_each_case([](TensorImplementation& module, const at::Tensor& x, const OracleCase& oracle) {
    const auto lowered = [](const at::Tensor& tensor) {
      const at::Tensor integers = octet::int_repr(tensor).to(at::kInt).sub(128).to(at::kChar);
      return make_per_tensor_quantized(integers, quantizer(tensor).scale, quantizer(tensor).zero_point - 128);
    };
    OracleCase signed_case = oracle.copy();
    signed_case.insert_or_assign("x", octet::int_repr(lowered(x)));
    signed_case.insert_or_assign("zero_point", oracle.at("zero_point").toInt() - 128);
    EXPECT_TRUE(same_quantized(make(signed_case)->forward(lowered(x)), lowered(module.forward(x))));
  });
}

TEST(QuantizedNormalization, IsClonedAndRebuiltFromItsState) {
  for_each_case(
      [](TensorImplementation& module, const at::Tensor& x, const OracleCase&) { expect_clones_and_rebuilds(module, x); });
}

TEST(QuantizedNormalization, HasTheStateOfTorchAo) {
  const auto names = [](const TensorImplementation& module) { return module.state_dict().keys(); };
  const auto observer = fixed_observer(0.1, 3);
  EXPECT_EQ(names(*converted<nnq::BatchNorm2dImpl>(BatchNorm2d(4), observer)),
            (std::vector<std::string>{"weight", "bias", "scale", "zero_point", "running_mean", "running_var"}));
  EXPECT_EQ(names(*converted<nnq::LayerNormImpl>(LayerNorm(LayerNormOptions({4})), observer)),
            (std::vector<std::string>{"weight", "bias", "scale", "zero_point"}));
  EXPECT_EQ(names(*converted<nnq::InstanceNorm2dImpl>(InstanceNorm2d(4), observer)),
            (std::vector<std::string>{"scale", "zero_point"}));
}

TEST(QuantizedBatchNorm, HasTheValuesComputedByHand) {
  BatchNorm2d batch_norm(BatchNormOptions(2).eps(0));
  batch_norm->weight = torch::tensor({2.0f, -1.0f});
  batch_norm->bias = torch::tensor({0.5f, 0.0f});
  batch_norm->running_mean = torch::tensor({1.0f, 0.0f});
  batch_norm->running_var = torch::tensor({4.0f, 0.25f});
  // x = -1, 0, 1, 3 in both channels: (x - 1) + 0.5 = -1.5, -0.5, 0.5, 2.5 and -2x = 2, 0, -2, -6
  const at::Tensor row = torch::tensor({6, 8, 10, 14}).to(at::kByte).view({1, 1, 2, 2});
  const at::Tensor x = make_per_tensor_quantized(torch::cat({row, row}, 1), 0.5, 8);
  const auto integers = [&](const std::shared_ptr<TensorImplementation>& module) {
    return octet::int_repr(module->forward(x)).to(at::kInt).flatten();
  };
  EXPECT_TRUE(integers(converted<nnq::BatchNorm2dImpl>(batch_norm, fixed_observer(0.25, 20)))
                  .equal(torch::tensor({14, 18, 22, 30, 28, 20, 12, 0})));
  EXPECT_TRUE(integers(converted<nniq::BNReLU2dImpl>(batch_norm, fixed_observer(0.25, 20)))
                  .equal(torch::tensor({20, 20, 22, 30, 28, 20, 20, 20})));
}

TEST(QuantizedBatchNorm, WorksWithoutWeightAndTakesAFusedSlot) {
  BatchNorm3d plain(BatchNormOptions(3).affine(false));
  plain->running_var.fill_(0.25);
  const at::Tensor x = random_quantized({2, 3, 2, 3, 4}, 0.02, 128);
  const auto module = converted<nnq::BatchNorm3dImpl>(plain, fixed_observer(0.0625, 100));
  const at::Tensor normalized = x.dequantize() * (1 / std::sqrt(0.25f + 1e-5f));
  EXPECT_TRUE(same_quantized(module->forward(x), octet::quantize_per_tensor(normalized, 0.0625, 100, quint8)));
  EXPECT_EQ(module->weight_bytes(), 2 * 3 * 4);
  expect_clones_and_rebuilds(*module, x);

  plain->set_implementation(std::make_shared<intrinsic::BNReLU3dImpl>());
  plain->set_implementation(converted<nniq::BNReLU3dImpl>(plain, fixed_observer(0.0625, 100)));
  plain->set_activation_post_process(nullptr);
  EXPECT_TRUE(same_quantized(plain->forward(x), torch::relu(module->forward(x))));
}

TEST(QuantizedInstanceNorm, TakesOneImageWithoutABatch) {
  const auto module = converted<nnq::InstanceNorm2dImpl>(InstanceNorm2d(5), fixed_observer(0.03, 120));
  const at::Tensor x = random_quantized({5, 6, 7}, 0.1, 3);
  EXPECT_TRUE(same_quantized(module->forward(x), module->forward(x.unsqueeze(0)).squeeze(0)));
}

TEST(QuantizedNormalization, RefusesInputsThatItCannotTake) {
  const auto observer = fixed_observer(0.1, 3);
  const auto layer_norm = converted<nnq::LayerNormImpl>(LayerNorm(LayerNormOptions({3, 4})), observer);
  const auto group_norm = converted<nnq::GroupNormImpl>(GroupNorm(GroupNormOptions(2, 4)), observer);
  const auto instance_norm = converted<nnq::InstanceNorm2dImpl>(InstanceNorm2d(4), observer);
  const auto batch_norm = converted<nnq::BatchNorm2dImpl>(BatchNorm2d(4), observer);
  const ModulePathScope scope("norm");
  const auto refusal = [](const std::shared_ptr<TensorImplementation>& module, const at::Tensor& x) {
    return error_text([&] { module->forward(x); });
  };
  const auto of_sizes = [](at::IntArrayRef sizes) { return random_quantized(sizes, 0.1, 3); };
  EXPECT_EQ(refusal(layer_norm, of_sizes({4, 3})), "norm: got an input of shape [4, 3], expected one that ends in [3, 4]");
  EXPECT_EQ(refusal(layer_norm, of_sizes({4})), "norm: got an input of shape [4], expected one that ends in [3, 4]");
  EXPECT_EQ(refusal(group_norm, of_sizes({2, 3})), "norm: got an input of shape [2, 3], expected [N, 4, ...]");
  EXPECT_EQ(refusal(instance_norm, of_sizes({4, 2})),
            "norm: got an input of shape [4, 2], expected [N, 4] or [4] and 2 dimensions after it");
  EXPECT_EQ(refusal(batch_norm, of_sizes({2, 4, 3})),
            "norm: got an input of shape [2, 4, 3], expected [N, 4] and 2 dimensions after it");
  for (const std::shared_ptr<TensorImplementation>& module :
       std::vector<std::shared_ptr<TensorImplementation>>{layer_norm, group_norm, instance_norm, batch_norm}) {
    EXPECT_NE(refusal(module, torch::ones({1, 4, 3, 4})).find("norm: got a Float tensor for the input, but"), std::string::npos);
    EXPECT_NE(refusal(module, random_quantized({1, 4, 3, 4}, 0.1, 3, qint8))
                  .find("norm: got an input of qint8, but its result was calibrated for quint8"),
              std::string::npos);
  }
}

TEST(QuantizedNormalization, RefusesFloatModulesThatItCannotStandFor) {
  const auto observer = fixed_observer(0.1, 3);
  EXPECT_NE(error_text([&] {
              converted<nnq::InstanceNorm1dImpl>(InstanceNorm1d(InstanceNormOptions(3).track_running_stats(true)), observer);
            }).find("m: tracks running statistics"),
            std::string::npos);
  EXPECT_NE(error_text([&] {
              converted<nnq::BatchNorm2dImpl>(BatchNorm2d(BatchNormOptions(3).track_running_stats(false)), observer);
            }).find("m: has no running statistics"),
            std::string::npos);
  EXPECT_NE(error_text([] {
              converted<nnq::GroupNormImpl>(GroupNorm(GroupNormOptions(1, 3)), nullptr);
            }).find("m: has no activation_post_process"),
            std::string::npos);
}

TEST(QuantizedNormalization, RefusesAStateThatIsNotWhole) {
  const auto rebuild = []<class Quantized>(const Quantized& module, const std::function<void(StateDict&, Attributes&)>& spoil) {
    return error_text([&] {
      StateDict state = module.state_dict();
      Attributes attributes = module.attributes();
      spoil(state, attributes);
      Quantized::from_state(state, attributes, "m");
    });
  };
  const auto observer = fixed_observer(0.1, 3);
  const auto layer_norm = converted<nnq::LayerNormImpl>(LayerNorm(LayerNormOptions({3, 4})), observer);
  const auto group_norm = converted<nnq::GroupNormImpl>(GroupNorm(GroupNormOptions(2, 4)), observer);
  const auto batch_norm = converted<nnq::BatchNorm2dImpl>(BatchNorm2d(4), observer);
  EXPECT_EQ(rebuild(*layer_norm, [](auto& state, auto&) { state.erase("bias"); }), "m: the tensor \"bias\" is missing");
  EXPECT_EQ(rebuild(*layer_norm, [](auto& state, auto&) { state["weight"] = torch::ones({4, 3}); }),
            "m: \"weight\" is a Float tensor of shape [4, 3] on cpu, expected a floating one of shape [3, 4] on the CPU");
  EXPECT_NE(rebuild(*layer_norm, [](auto&, auto& attributes) { attributes["normalized_shape"] = std::vector<int64_t>(); })
                .find("expected positive sizes"),
            std::string::npos);
  EXPECT_EQ(rebuild(*group_norm, [](auto&, auto& attributes) { attributes["num_groups"] = int64_t{3}; }),
            "m: the attribute \"num_groups\" is 3, which does not divide 4 channels");
  EXPECT_NE(rebuild(*group_norm, [](auto&, auto& attributes) { attributes["eps"] = -1.0; }).find("finite and not negative"),
            std::string::npos);
  EXPECT_EQ(rebuild(*batch_norm, [](auto&, auto& attributes) { attributes["num_features"] = int64_t{0}; }),
            "m: the attribute \"num_features\" is 0, expected a positive number");
  EXPECT_EQ(rebuild(*batch_norm, [](auto& state, auto&) { state["running_var"] = torch::full({4}, -1.0f); }),
            "m: \"running_var\" holds negative values; mend the model first");
  EXPECT_EQ(rebuild(*batch_norm, [](auto& state, auto&) { state["bias"] = torch::full({4}, NAN); }),
            "m: \"bias\" holds NaN or infinite values; mend the model first");
  EXPECT_EQ(rebuild(*batch_norm, [](auto& state, auto&) { state.erase("running_var"); }),
            "m: the tensor \"running_var\" is missing");
  EXPECT_NE(rebuild(*batch_norm, [](auto& state, auto&) { state["running_mean"] = torch::ones({4}, at::kInt); })
                .find("m: \"running_mean\" is a Int"),
            std::string::npos);
}

}  // namespace
}  // namespace octet::nn
