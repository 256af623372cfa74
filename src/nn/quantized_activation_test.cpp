#include <octet/nn/quantized_activation.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/tensor/quantize.h>

#include <nn/quantized_module_test_support.h>

#include <atomic>
#include <functional>
#include <map>
#include <thread>

namespace octet::nn {
namespace {

using namespace octet::nn::test;
using octet::test::error_text;
namespace nnq = octet::nn::quantized;

const QConfig kSlopesQuint8{{}, MinMaxObserver::with_args()};

/// The module of an oracle's case.
std::shared_ptr<TensorImplementation> make(const OracleCase& oracle) {
  using Make = std::function<std::shared_ptr<TensorImplementation>()>;
  const auto observer = oracle_observer(oracle);
  const auto options = oracle.at("options").toGenericDict();
  const auto number = [&](const char* name) { return options.at(name).toDouble(); };
  const std::map<std::string, Make> modules{
      {"ELU", [&] { return converted<nnq::ELUImpl>(ELU(ELUOptions().alpha(number("alpha"))), observer); }},
      {"LeakyReLU",
       [&] {
         const auto slope = LeakyReLUOptions().negative_slope(number("negative_slope"));
         return converted<nnq::LeakyReLUImpl>(LeakyReLU(slope), observer);
       }},
      {"Hardswish", [&] { return converted<nnq::HardswishImpl>(Hardswish(), observer); }},
      {"Sigmoid", [&] { return converted<nnq::SigmoidImpl>(Sigmoid(), observer); }},
      {"Tanh", [&] { return converted<nnq::TanhImpl>(Tanh(), observer); }},
      {"Hardsigmoid", [&] { return converted<nnq::HardsigmoidImpl>(Hardsigmoid(), observer); }},
      {"SiLU", [&] { return converted<nnq::SiLUImpl>(SiLU(), observer); }},
      {"GELU",
       [&] {
         const auto approximate = GELUOptions().approximate(options.at("approximate").toStringRef());
         return converted<nnq::GELUImpl>(GELU(approximate), observer);
       }},
      {"Softmax", [&] { return converted<nnq::SoftmaxImpl>(Softmax(SoftmaxOptions(options.at("dim").toInt())), observer); }},
      {"ReLU6", [&] { return converted<nnq::ReLU6Impl>(ReLU6(), observer); }},
      {"PReLU",
       [&] {
         const at::Tensor slopes = oracle.at("slopes").toTensor();
         PReLU prelu(PReLUOptions().num_parameters(slopes.numel()));
         prelu->weight = slopes;
         return converted<nnq::PReLUImpl>(prelu, observer, kSlopesQuint8);
       }},
  };
  return modules.at(oracle.at("module").toStringRef())();
}

/// One of each.
std::vector<std::shared_ptr<TensorImplementation>> every_module() {
  std::vector<std::shared_ptr<TensorImplementation>> modules;
  std::string last;
  for (const OracleCase& oracle : oracle_cases("nn/quantized_activation")) {
    if (std::exchange(last, oracle.at("module").toStringRef()) != oracle.at("module").toStringRef())
      modules.push_back(make(oracle));
  }
  return modules;
}

TEST(QuantizedActivation, GivesTheIntegersOfTorchAo) {
  for (const OracleCase& oracle : oracle_cases("nn/quantized_activation")) {
    const auto module = make(oracle);
    SCOPED_TRACE(c10::str(*module, " of ", oracle.at("x_scale").toDouble()));
    expect_integers_of_torch_ao(module->forward(oracle_input(oracle)), oracle);
    if (oracle.contains("weight")) {
      EXPECT_TRUE(module->state_dict()["weight"].equal(oracle.at("weight").toTensor()));
    }
  }
}

TEST(QuantizedActivation, HasTheValuesComputedByHand) {
  const at::Tensor x = make_per_tensor_quantized(torch::tensor({0, 6, 10, 14, 40}).to(at::kByte), 0.5, 10);  // -5 -2 0 2 15
  const auto integers = [&](const std::shared_ptr<TensorImplementation>& module) {
    return octet::int_repr(module->forward(x)).to(at::kInt);
  };
  const auto is = [](const at::Tensor& result, const std::vector<int>& expected) {
    return result.equal(torch::tensor(expected));
  };
  const auto leaky = converted<nnq::LeakyReLUImpl>(LeakyReLU(LeakyReLUOptions().negative_slope(0.25)), fixed_observer(0.25, 100));
  EXPECT_TRUE(is(integers(leaky), {95, 98, 100, 108, 160}));
  EXPECT_TRUE(is(integers(converted<nnq::ReLU6Impl>(ReLU6(), nullptr)), {10, 10, 10, 14, 22}));
  EXPECT_TRUE(is(integers(converted<nnq::HardsigmoidImpl>(Hardsigmoid(), fixed_observer(1.0 / 256, 0))), {0, 43, 128, 213, 255}));
  EXPECT_TRUE(is(integers(converted<nnq::HardswishImpl>(Hardswish(), fixed_observer(0.125, 50, qint8))), {50, 47, 50, 63, 127}));
  PReLU prelu(PReLUOptions().init(-0.5));
  EXPECT_TRUE(is(integers(converted<nnq::PReLUImpl>(prelu, fixed_observer(0.5, 0), default_qconfig)), {5, 2, 0, 4, 30}));
}

TEST(QuantizedActivation, FollowsTheScaleOfItsInputFromAnyNumberOfThreads) {
  const auto module = converted<nnq::SigmoidImpl>(Sigmoid(), fixed_observer(1.0 / 256, 0));
  const auto clone = std::dynamic_pointer_cast<TensorImplementation>(module->clone());
  std::vector<at::Tensor> inputs, expected;
  for (const double scale : {0.01, 0.02, 0.04}) {
    inputs.push_back(random_quantized({64}, scale, 100));
    expected.push_back(converted<nnq::SigmoidImpl>(Sigmoid(), fixed_observer(1.0 / 256, 0))->forward(inputs.back()));
  }
  std::atomic<int> equal{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 30; ++i) {
        const size_t which = (t + i) % 3;
        equal += same_quantized((t % 2 ? module : clone)->forward(inputs[which]), expected[which]);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(equal, 120);
}

TEST(QuantizedActivation, KeepsShapeAndMemoryFormatAndTakesAnyStrides) {
  const at::Tensor x = random_quantized({2, 6, 5, 7}, 0.05, 100);
  const at::Tensor channels_last = x.contiguous(at::MemoryFormat::ChannelsLast);
  for (const auto& module : every_module()) {
    const at::Tensor expected = module->forward(x), result = module->forward(channels_last);
    EXPECT_TRUE(same_quantized(result, expected)) << *module;
    EXPECT_TRUE(result.is_contiguous(at::MemoryFormat::ChannelsLast)) << *module;
    const at::Tensor strided = x.permute({2, 1, 3, 0});
    const at::Tensor dense = strided.contiguous();
    EXPECT_TRUE(same_quantized(module->forward(strided), module->forward(dense))) << *module;
    EXPECT_EQ(module->forward(random_quantized({0, 6, 5}, 0.05, 100)).sizes(), (std::vector<int64_t>{0, 6, 5})) << *module;
  }
}

TEST(QuantizedActivation, GivesTheSameBitsAtEveryThreadCount) {
  const at::Tensor x = random_quantized({8, 6, 50, 70}, 0.05, 100);
  const int threads = at::get_num_threads();
  for (const auto& module : every_module()) {
    at::set_num_threads(1);
    const at::Tensor one = module->forward(x);
    at::set_num_threads(4);
    EXPECT_TRUE(same_quantized(module->forward(x), one)) << *module;
  }
  at::set_num_threads(threads);
}

TEST(QuantizedActivation, IsClonedAndRebuiltFromItsState) {
  const at::Tensor x = random_quantized({3, 6, 7}, 0.05, 100);
  for (const auto& module : every_module()) expect_clones_and_rebuilds(*module, x);
  expect_clones_and_rebuilds(*converted<nnq::DropoutImpl>(Dropout(0.3), nullptr), x);
  PReLU prelu(PReLUOptions().num_parameters(6));
  expect_clones_and_rebuilds(*converted<nnq::PReLUImpl>(prelu, fixed_observer(0.1, 3), per_channel_dynamic_qconfig), x);
}

TEST(QuantizedActivation, ComputesInASlotAndNamesItInErrors) {
  SiLU silu;
  silu->set_path("features.0");
  silu->set_implementation(converted<nnq::SiLUImpl>(silu, fixed_observer(0.1, 5)));
  silu->set_activation_post_process(nullptr);
  EXPECT_EQ(quantizer(silu->forward(random_quantized({3}, 0.1, 3))).zero_point, 5);
  EXPECT_EQ(error_text([&] { silu->forward(torch::ones({3})); }).substr(0, 46), "features.0: got a Float tensor for the input, ");
}

TEST(QuantizedActivation, RefusesFloatTensorsAndWideIntegers) {
  const ModulePathScope scope("act");
  for (const auto& module : every_module()) {
    EXPECT_NE(error_text([&] {
                module->forward(torch::randn({2, 6, 4}));
              }).find("act: got a Float tensor for the input, but this module"),
              std::string::npos)
        << *module;
    EXPECT_NE(error_text([&] {
                module->forward(octet::quantize_per_tensor(torch::ones({2, 6, 4}), 0.1, 0, qint32));
              }).find("act: got a tensor of qint32"),
              std::string::npos)
        << *module;
  }
}

TEST(QuantizedActivation, NeedsACalibratedObserver) {
  EXPECT_NE(error_text([] { converted<nnq::ELUImpl>(ELU(), nullptr); }).find("m: has no activation_post_process"),
            std::string::npos);
  EXPECT_NE(error_text([] {
              converted<nnq::SoftmaxImpl>(Softmax(1), std::make_shared<MinMaxObserver>());
            }).find("m: its observer MinMaxObserver has seen no tensor"),
            std::string::npos);
}

TEST(QuantizedActivation, KeepsANarrowerRangeOfIntegers) {
  const auto observer = std::make_shared<FixedQParamsObserver>(FixedQParamsObserverOptions(0.1, 20).quant_min(10).quant_max(30));
  const at::Tensor x = random_quantized({4, 3, 200}, 0.1, 128);
  for (const std::shared_ptr<TensorImplementation>& module :
       {std::shared_ptr<TensorImplementation>(converted<nnq::TanhImpl>(Tanh(), observer)),
        std::shared_ptr<TensorImplementation>(converted<nnq::ELUImpl>(ELU(), observer)),
        std::shared_ptr<TensorImplementation>(converted<nnq::PReLUImpl>(PReLU(), observer, kSlopesQuint8))}) {
    const at::Tensor integers = octet::int_repr(module->forward(x));
    EXPECT_GE(integers.min().item<int>(), 10) << *module;
    EXPECT_LE(integers.max().item<int>(), 30) << *module;
  }
}

TEST(QuantizedReLU6, WorksInPlaceWhereTheFloatModuleDid) {
  const auto in_place = converted<nnq::ReLU6Impl>(ReLU6(ReLU6Options().inplace(true)), nullptr);
  const at::Tensor x = random_quantized({50}, 0.1, 100), expected = torch::clamp(x.dequantize(), 0, 6);
  const at::Tensor copy = converted<nnq::ReLU6Impl>(ReLU6(), nullptr)->forward(x);
  EXPECT_TRUE(at::allclose(copy.dequantize(), expected));
  EXPECT_FALSE(same_quantized(x, copy));
  EXPECT_TRUE(same_quantized(in_place->forward(x), copy));
  EXPECT_TRUE(same_quantized(x, copy));
}

TEST(QuantizedPReLU, QuantizesItsSlopesAsTheObserverAsks) {
  PReLU prelu(PReLUOptions().num_parameters(3));
  prelu->weight = torch::tensor({-0.5f, 0.25f, 127.0f});
  const at::Tensor x = random_quantized({2, 3, 4}, 0.1, 255);
  const at::Tensor values = x.dequantize();
  for (const QConfig& qconfig : {kSlopesQuint8, default_qconfig, per_channel_dynamic_qconfig}) {
    const auto module = converted<nnq::PReLUImpl>(prelu, fixed_observer(0.5, 128), qconfig);
    const at::Tensor slopes = octet::dequantize(module->weight()).view({1, 3, 1});
    EXPECT_EQ(q_dtype(module->weight()), qconfig.weight.dtype());
    const at::Tensor expected = octet::quantize_per_tensor(values.where(values >= 0, values * slopes), 0.5, 128, quint8);
    EXPECT_TRUE(same_quantized(module->forward(x), expected)) << qconfig;
  }
  // One scale for each slope: small ones stay.
  const auto per_channel = converted<nnq::PReLUImpl>(prelu, fixed_observer(0.5, 128), per_channel_dynamic_qconfig);
  EXPECT_TRUE(at::allclose(octet::dequantize(per_channel->weight()), prelu->weight, 1e-2, 0));
  EXPECT_EQ(per_channel->weight_bytes(), 3 + 3 * 8);
}

TEST(QuantizedPReLU, RefusesInputsAndStatesThatDoNotFitItsSlopes) {
  PReLU prelu(PReLUOptions().num_parameters(3));
  const auto module = converted<nnq::PReLUImpl>(prelu, fixed_observer(0.5, 128), kSlopesQuint8);
  const ModulePathScope scope("act");
  EXPECT_EQ(error_text([&] { module->forward(random_quantized({2, 4, 3}, 0.1, 3)); }),
            "act: got an input of shape [2, 4, 3], expected [N, 3, ...], a channel for each slope");
  EXPECT_NE(error_text([&] { module->forward(random_quantized({3}, 0.1, 3)); }).find("got an input of shape [3]"),
            std::string::npos);
  EXPECT_NE(error_text([&] { converted<nnq::PReLUImpl>(prelu, fixed_observer(0.5, 128)); }).find("m: weight: the qconfig"),
            std::string::npos);
  EXPECT_NE(error_text([&] {
              converted<nnq::PReLUImpl>(prelu, fixed_observer(0.5, 128), float_qparams_weight_only_qconfig_4bit);
            }).find("m: weight: got a weight observer of dtype quint4x2, expected quint8 or qint8"),
            std::string::npos);
  const auto rebuild = [&](const std::function<void(StateDict&)>& spoil) {
    return error_text([&] {
      StateDict state = module->state_dict();
      spoil(state);
      nnq::PReLUImpl::from_state(state, module->attributes(), "m");
    });
  };
  EXPECT_EQ(rebuild([](auto& state) { state.erase("weight_scale"); }), "m: the tensor \"weight_scale\" is missing");
  EXPECT_NE(rebuild([](auto& state) { state["weight"] = torch::ones({3}); }).find("m: \"weight\" is a Float tensor"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto& state) { state["weight_scale"] = torch::ones({2}); }).find("expected 1 or 3 of both"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto& state) { state["weight_scale"] = torch::zeros({1}); }).find("m: weight: "), std::string::npos);
  EXPECT_NE(rebuild([](auto& state) { state.erase("scale"); }).find("m: the tensor \"scale\" is missing"), std::string::npos);
}

TEST(QuantizedSoftmax, SumsToOneAlongEachDimension) {
  const at::Tensor x = random_quantized({3, 4, 5}, 0.02, 7);
  for (int64_t dim = -3; dim < 3; ++dim) {
    const auto module = converted<nnq::SoftmaxImpl>(Softmax(dim), fixed_observer(1e-3, 0));
    EXPECT_TRUE(at::allclose(module->forward(x).dequantize(), torch::softmax(x.dequantize(), dim).clamp_max(0.255), 0, 6e-4))
        << dim;
  }
  const ModulePathScope scope("act");
  const auto module = converted<nnq::SoftmaxImpl>(Softmax(3), fixed_observer(1.0 / 256, 0));
  EXPECT_EQ(error_text([&] { module->forward(x); }),
            "act: got an input of shape [3, 4, 5], which has no dimension 3 to compute the softmax along");
}

TEST(QuantizedActivation, RefusesAStateThatIsNotWhole) {
  const auto gelu = converted<nnq::GELUImpl>(GELU(), fixed_observer(0.1, 3));
  const auto rebuild = [&](const std::function<void(Attributes&)>& spoil) {
    return error_text([&] {
      Attributes attributes = gelu->attributes();
      spoil(attributes);
      nnq::GELUImpl::from_state(gelu->state_dict(), attributes, "m");
    });
  };
  EXPECT_EQ(rebuild([](auto& attributes) { attributes.erase("approximate"); }), "m: the attribute \"approximate\" is missing");
  EXPECT_EQ(rebuild([](auto& attributes) { attributes["approximate"] = std::string("cos"); }),
            "m: the attribute \"approximate\" is \"cos\", expected none or tanh");
}

TEST(QuantizedDropout, ReturnsWhatItGetsAlsoInTraining) {
  const auto module = converted<nnq::DropoutImpl>(Dropout(0.9), nullptr);
  module->train();
  const at::Tensor x = random_quantized({5}, 0.1, 3);
  EXPECT_TRUE(module->forward(x).is_same(x));
}

}  // namespace
}  // namespace octet::nn
