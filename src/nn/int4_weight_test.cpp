// Weights of 4 bits in groups, in the modules that have them.

#include <octet/nn/dynamic_linear.h>
#include <octet/nn/dynamic_rnn.h>
#include <octet/nn/dynamic_rnn_cells.h>
#include <octet/nn/quantized_linear.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>
#include <support/threads.h>

#include <cmath>
#include <functional>
#include <limits>
#include <sstream>

namespace octet {
namespace {

namespace dynamic = nn::quantized::dynamic;
using test::error_text;
using test::sqnr_db;

std::shared_ptr<dynamic::LinearImpl> quantized(const torch::nn::Linear& linear, const QConfig& qconfig) {
  return dynamic::LinearImpl::from_float(*linear, qconfig, "fc");
}

/// The integers of a state, 0 .. 15, one for each weight.
at::Tensor integers_of(const nn::StateDict& state) {
  const at::Tensor bytes = state["weight"], shape = state["weight_shape"];
  at::Tensor integers = torch::empty({shape[0].item<int64_t>(), shape[1].item<int64_t>()}, torch::kLong);
  for (int64_t c = 0; c < integers.size(0); ++c) {
    for (int64_t i = 0; i < integers.size(1); ++i) integers[c][i] = bytes[c][i / 2].item<int64_t>() >> (i % 2 * 4) & 15;
  }
  return integers;
}

/// The arithmetic of docs/arithmetic.md in plain loops: a sum for each group, exact in int64.
at::Tensor plain_linear(const at::Tensor& x, const nn::StateDict& state, int64_t group_size) {
  const at::Tensor integers = integers_of(state), zero_point = state["weight_zero_point"].to(torch::kLong);
  const auto q = integers.accessor<int64_t, 2>(), zero = zero_point.accessor<int64_t, 2>();
  const auto scale = state["weight_scale"].accessor<float, 2>();
  const auto xs = x.accessor<float, 2>();
  at::Tensor out = torch::empty({x.size(0), integers.size(0)});
  for (int64_t r = 0; r < x.size(0); ++r) {
    const float row_scale = std::max(x[r].abs().max().item<float>() / 32767.0f, 0x1p-126f), inverse = 1.0f / row_scale;
    for (int64_t c = 0; c < integers.size(0); ++c) {
      float total = 0.0f;
      for (int64_t group = 0; group < scale.size(1); ++group) {
        int64_t sum = 0;
        for (int64_t i = group * group_size; i < std::min((group + 1) * group_size, x.size(1)); ++i) {
          sum += static_cast<int64_t>(std::nearbyint(xs[r][i] * inverse)) * (q[c][i] - zero[c][group]);
        }
        total = std::fma(static_cast<float>(sum), scale[c][group], total);
      }
      const at::Tensor* const bias = state.find("bias");
      out[r][c] = std::fma(total, row_scale, bias ? (*bias)[c].item<float>() : 0.0f);
    }
  }
  return out;
}

TEST(Int4Weight, HasTheIntegersOfTorchAoAndTheirSums) {
  const auto answers = test::load_oracle("nn/int4_weight");
  for (const c10::IValue& item : answers.at("cases").toListRef()) {
    const auto oracle = item.toGenericDict();
    const auto tensor = [&](const char* name) { return oracle.contains(name) ? oracle.at(name).toTensor() : at::Tensor(); };
    const bool symmetric = oracle.at("symmetric").toBool();
    const at::Tensor weight = tensor("weight"), bias = tensor("bias");
    torch::nn::Linear linear(torch::nn::LinearOptions(weight.size(1), weight.size(0)).bias(bias.defined()));
    linear->weight = weight;
    linear->bias = bias;
    const int64_t group_size = oracle.at("group_size").toInt(), offset = symmetric ? 8 : 0;
    SCOPED_TRACE(c10::str(weight.sizes(), " in groups of ", group_size, symmetric ? ", symmetric" : ", affine"));
    const auto module =
        quantized(linear, int4_weight_only_qconfig(group_size, symmetric ? per_channel_symmetric : per_channel_affine));
    const nn::StateDict state = module->state_dict();
    EXPECT_TRUE(integers_of(state).equal(tensor("integers").to(torch::kLong) + offset));
    EXPECT_TRUE(state["weight_scale"].equal(tensor("scale")));
    EXPECT_TRUE(state["weight_zero_point"].to(torch::kLong).equal(tensor("zero_point").to(torch::kLong) + offset));
    EXPECT_TRUE(module->weight().equal(tensor("values")));
    EXPECT_GT(sqnr_db(tensor("out"), module->forward(tensor("x"))), 80);  // that of activations in 16 bits
  }
}

TEST(Int4Weight, IsMultipliedAsTheArithmeticSaysWhateverTheShape) {
  torch::manual_seed(1);
  for (const int64_t in : {1, 7, 33, 100, 128, 200}) {
    for (const int64_t group_size : {32, 64, 128}) {
      for (const QScheme qscheme : {per_channel_symmetric, per_channel_affine}) {
        torch::nn::Linear linear(torch::nn::LinearOptions(in, 19).bias(in % 2));
        const QConfig qconfig = int4_weight_only_qconfig(group_size, qscheme);
        const auto module = quantized(linear, qconfig);
        const at::Tensor x = torch::randn({3, in}) * torch::logspace(-3, 3, 3).unsqueeze(1);
        const at::Tensor expected = plain_linear(x, module->state_dict(), group_size);
        EXPECT_TRUE(module->forward(x).equal(expected)) << in << qconfig;
        const auto with_relu = nn::intrinsic::quantized::dynamic::LinearReLUImpl::from_float(*linear, qconfig, "fc");
        EXPECT_TRUE(with_relu->forward(x).equal(torch::relu(expected))) << in << qconfig;
      }
    }
  }
}

TEST(Int4Weight, GivesAnIncompleteLastGroupAScaleOfItsOwn) {
  torch::nn::Linear linear(torch::nn::LinearOptions(40, 1).bias(false));
  linear->weight = torch::cat({torch::full({1, 32}, 1000.0f), torch::full({1, 8}, -0.001f)}, 1);
  const auto module = quantized(linear, int4_weight_only_qconfig(32));
  EXPECT_EQ(module->state_dict()["weight_scale"].sizes(), (std::vector<int64_t>{1, 2}));
  EXPECT_TRUE(at::allclose(module->weight(), linear->weight.detach(), 1e-6));
}

TEST(Int4Weight, TakesASixthToAnEighthOfFloatsMemory) {
  // 1024 x 1024: half a byte for each weight, 4 bytes of scale for each group and one of its zero point if it has any.
  struct Expected {
    int64_t group_size;
    QScheme qscheme;
    int64_t bytes;
  };
  constexpr int64_t kWeights = 1024 * 1024, kBias = 4 * 1024;
  for (const auto& [group_size, qscheme, bytes] : {Expected{128, per_channel_symmetric, 557056},
                                                   {128, per_channel_affine, 565248},
                                                   {64, per_channel_symmetric, 589824},
                                                   {64, per_channel_affine, 606208},
                                                   {32, per_channel_symmetric, 655360},
                                                   {32, per_channel_affine, 688128}}) {
    const auto module = quantized(torch::nn::Linear(1024, 1024), int4_weight_only_qconfig(group_size, qscheme));
    EXPECT_EQ(module->weight_bytes(), bytes + kBias) << group_size << qscheme;
    EXPECT_LT(static_cast<double>(module->weight_bytes()) / (4 * kWeights + kBias), 0.18) << group_size << qscheme;
  }
}

TEST(Int4Weight, LosesLessInSmallerGroups) {
  torch::manual_seed(2);
  torch::nn::Linear linear(torch::nn::LinearOptions(512, 64).bias(false));
  const torch::NoGradGuard no_grad;
  linear->weight.normal_();
  // What Python's arithmetic on such weights gives.
  for (const auto& [group_size, affine, symmetric] :
       {std::tuple{128, 20.0, 19.1}, std::tuple{64, 20.8, 19.8}, std::tuple{32, 21.9, 20.5}}) {
    const auto sqnr = [&, size = group_size](QScheme qscheme) {
      return sqnr_db(linear->weight, quantized(linear, int4_weight_only_qconfig(size, qscheme))->weight());
    };
    EXPECT_NEAR(sqnr(per_channel_affine), affine, 0.2) << group_size;
    EXPECT_NEAR(sqnr(per_channel_symmetric), symmetric, 0.2) << group_size;
  }
}

TEST(Int4Weight, GivesTheSameBitsAtEveryThreadCountAndInEveryBatch) {
  torch::manual_seed(3);
  const auto module = quantized(torch::nn::Linear(300, 130), int4_weight_only_qconfig());
  const at::Tensor x = torch::randn({70, 300});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = module->forward(x);
  at::set_num_threads(4);
  EXPECT_TRUE(module->forward(x).equal(one));
  at::set_num_threads(threads);
  for (int64_t row = 0; row < x.size(0); ++row) EXPECT_TRUE(module->forward(x[row]).equal(one[row])) << row;
}

TEST(Int4Weight, MayBeUsedFromManyThreadsAtOnce) {
  torch::manual_seed(4);
  const auto module = quantized(torch::nn::Linear(64, 64), int4_weight_only_qconfig(32));
  const at::Tensor x = torch::randn({5, 64}), expected = module->forward(x);
  EXPECT_EQ(test::equal_results_of_four_threads(50, expected, [&] { return module->forward(x); }), 200);
}

TEST(Int4Weight, IsInClonesAndInWhatIsPrinted) {
  const auto module = quantized(torch::nn::Linear(256, 2), int4_weight_only_qconfig(64, per_channel_symmetric));
  const auto clone = std::dynamic_pointer_cast<dynamic::LinearImpl>(module->clone());
  const at::Tensor x = torch::randn({2, 256});
  EXPECT_TRUE(clone->forward(x).equal(module->forward(x)));
  std::ostringstream text;
  module->pretty_print(text);
  EXPECT_EQ(text.str(),
            "octet::nn::quantized::dynamic::Linear(in_features=256, out_features=2, dtype=quint4x2, "
            "qscheme=per_channel_symmetric, group_size=64)");
}

TEST(Int4Weight, TakesAnyLeadingShapeAndLayout) {
  const auto module = quantized(torch::nn::Linear(6, 4), int4_weight_only_qconfig());
  EXPECT_EQ(module->forward(torch::randn({6})).sizes(), (std::vector<int64_t>{4}));
  EXPECT_EQ(module->forward(torch::randn({2, 3, 6})).sizes(), (std::vector<int64_t>{2, 3, 4}));
  EXPECT_EQ(module->forward(torch::empty({0, 6})).sizes(), (std::vector<int64_t>{0, 4}));
  const at::Tensor strided = torch::randn({6, 5}).t();
  EXPECT_TRUE(module->forward(strided).equal(module->forward(strided.contiguous())));
}

TEST(Int4Weight, RefusesInputThatIsNotFinite) {
  const auto module = quantized(torch::nn::Linear(6, 4), int4_weight_only_qconfig());
  const ModulePathScope scope("head.fc");
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    at::Tensor x = torch::ones({3, 6});
    x[1][2] = bad;
    EXPECT_EQ(error_text([&] { module->forward(x); }),
              "head.fc: the input (row 1) holds NaN or infinite values, which have no place on an integer scale; look for the "
              "layer before it that made them");
  }
  EXPECT_EQ(error_text([&] { module->forward(torch::ones({3, 5})); }),
            "head.fc: got an input of shape [3, 5], expected [..., 6]");
}

TEST(Int4Weight, RefusesQConfigsThatItHasNoKernelsFor) {
  torch::nn::Linear linear(64, 4);
  const auto error = [&](const PerGroupMinMaxObserverOptions& weight, const ObserverFactory& activation) {
    return error_text([&] { quantized(linear, {activation, PerGroupMinMaxObserver::with_args(weight)}); });
  };
  using Options = PerGroupMinMaxObserverOptions;
  EXPECT_EQ(error(Options().group_size(48), default_placeholder_observer),
            "fc: weight: got a weight observer of dtype quint4x2 in groups of 48, expected quint4x2 in groups of 32, 64 or 128, "
            "as int4_weight_only_qconfig() has it");
  EXPECT_NE(
      error(Options().dtype(qint8), default_placeholder_observer).find("of dtype qint8 in groups of 128, expected quint4x2"),
      std::string::npos);
  EXPECT_EQ(error(Options(), default_dynamic_quant_observer),
            "fc: got an activation observer of dtype quint8 beside a weight in groups, whose activations stay floats; use "
            "default_placeholder_observer, as int4_weight_only_qconfig() does");
  EXPECT_NE(error_text([&] {
              quantized(linear, float_qparams_weight_only_qconfig_4bit);
            }).find("of dtype quint4x2, expected qint8 or float16, or groups in quint4x2"),
            std::string::npos);
  EXPECT_EQ(error_text([&] {
              nn::quantized::LinearImpl::from_weight(linear->weight, linear->bias, int4_weight_only_qconfig(), {}, "fc");
            }),
            "fc: got weights of dtype quint4x2, but a statically quantized Linear has qint8 ones; float16 and quint4x2 are for "
            "quantize_dynamic()");
}

TEST(Int4Weight, RefusesWeightsThatNoScaleFits) {
  torch::nn::Linear linear(64, 4);
  torch::NoGradGuard no_grad;
  linear->weight[1][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(error_text([&] { quantized(linear, int4_weight_only_qconfig()); }).find("fc: weight: the weight holds NaN"),
            std::string::npos);
  linear->weight[1][2] = -3e38f;
  linear->weight[1][3] = 3e38f;
  EXPECT_EQ(error_text([&] { quantized(linear, int4_weight_only_qconfig()); }),
            "fc: weight: the values of a group lie so far apart that float32 cannot hold their range");
}

TEST(Int4Weight, IsRebuiltFromItsState) {
  for (const int64_t in : {1, 33, 64, 100, 200, 257}) {
    for (const int64_t group_size : {32, 64, 128}) {
      for (const QScheme qscheme : {per_channel_symmetric, per_channel_affine}) {
        const auto module = quantized(torch::nn::Linear(in, 17), int4_weight_only_qconfig(group_size, qscheme));
        const nn::StateDict state = module->state_dict();
        const auto rebuilt = dynamic::LinearImpl::from_state(state, module->attributes(), "fc");
        const at::Tensor x = torch::randn({4, in});
        EXPECT_TRUE(rebuilt->forward(x).equal(module->forward(x))) << in << " " << group_size << qscheme;
        EXPECT_EQ(c10::str(*rebuilt), c10::str(*module));
        EXPECT_EQ(rebuilt->weight_bytes(), module->weight_bytes());
        for (const auto& tensor : rebuilt->state_dict()) EXPECT_TRUE(tensor.value().equal(state[tensor.key()])) << tensor.key();
      }
    }
  }
}

TEST(Int4Weight, RefusesAStateThatIsNotWhole) {
  const auto module = quantized(torch::nn::Linear(70, 2), int4_weight_only_qconfig(32));
  const auto rebuild = [&](const std::function<void(nn::StateDict&)>& spoil) {
    return error_text([&] {
      nn::StateDict state = module->state_dict();
      spoil(state);
      dynamic::LinearImpl::from_state(state, module->attributes(), "fc");
    });
  };
  for (const char* name : {"weight_shape", "weight_scale", "weight_zero_point"}) {
    EXPECT_EQ(rebuild([&](auto& state) { state.erase(name); }), c10::str("fc: the tensor \"", name, "\" is missing"));
  }
  EXPECT_EQ(rebuild([](auto& state) { state["weight"] = state["weight"].slice(1, 0, 34); }),
            "fc: \"weight\" is a Byte tensor of shape [2, 34], expected Byte of shape [2, 35]");
  EXPECT_EQ(rebuild([](auto& state) { state["weight_scale"] = torch::ones({2, 4}); }),
            "fc: \"weight_scale\" is a Float tensor of shape [2, 4], expected Float of shape [2, groups] for groups of 32, 64 or "
            "128 of the 70 inputs");
  EXPECT_NE(rebuild([](auto& state) { state["weight_scale"] = torch::ones({3, 3}); }).find("expected Float of shape [2, groups]"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto& state) { state["weight_scale"] = torch::ones({2}); }).find("expected Float of shape [2, groups]"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto& state) { state["weight_scale"] = torch::ones({2, 3}, torch::kHalf); }).find("a Half tensor"),
            std::string::npos);
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_EQ(rebuild([&](auto& state) { state["weight_scale"][1][2] = bad; }),
              "fc: \"weight_scale\" holds values that are not positive and finite");
  }
  EXPECT_EQ(rebuild([](auto& state) { state["weight_zero_point"][0][1] = 16; }),
            "fc: \"weight_zero_point\" holds values outside of 0 .. 15");
  EXPECT_EQ(rebuild([](auto& state) { state["weight_zero_point"] = torch::zeros({2, 3}, torch::kInt); }),
            "fc: \"weight_zero_point\" is a Int tensor of shape [2, 3], expected Byte of shape [2, 3]");
  EXPECT_NE(rebuild([](auto& state) { state["bias"] = torch::ones({3}); }).find("\"bias\""), std::string::npos);
  const auto with_shape = [&](int64_t n, int64_t k) {
    return rebuild([&](auto& state) { state["weight_shape"] = torch::tensor({n, k}, torch::kLong); });
  };
  EXPECT_EQ(with_shape(2, 69), "no error");  // the last nibble is then no weight
  EXPECT_EQ(with_shape(2, 71), "fc: \"weight\" is a Byte tensor of shape [2, 35], expected Byte of shape [2, 36]");
  for (const int64_t bad : {int64_t{-1}, int64_t{1} << 31, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(with_shape(2, bad), c10::str("fc: \"weight_shape\" says [2, ", bad, "], expected [out_features, in_features]"));
    EXPECT_NE(with_shape(bad, 70), "no error");
  }
  EXPECT_NE(rebuild([](auto& state) { state["weight_shape"] = torch::tensor({2.0, 70.0}); }).find("expected Long of shape [2]"),
            std::string::npos);
}

/// What a recurrent module gives with 4-bit weights, and what its float original gives with the values of these.
template <class Quantized, class Module>
void expect_weights_alone_to_err(const Module& module, const at::Tensor& x) {
  for (const QScheme qscheme : {per_channel_symmetric, per_channel_affine}) {
    const QConfig qconfig = int4_weight_only_qconfig(32, qscheme);
    const auto small = Quantized::from_float(*module, qconfig, "rnn");
    auto copy = std::dynamic_pointer_cast<typename Module::ContainedType>(module->clone());
    const torch::NoGradGuard no_grad;
    for (auto& parameter : copy->named_parameters()) {
      if (parameter.value().dim() != 2) continue;
      torch::nn::Linear map(torch::nn::LinearOptions(parameter.value().size(1), parameter.value().size(0)).bias(false));
      map->weight = parameter.value();
      parameter.value().set_data(quantized(map, qconfig)->weight());
    }
    const auto first = [](auto result) { return nn::detail::tensors_of(result)[0]; };
    const at::Tensor out = first(small->forward(x, {})), expected = first(copy->forward(x));
    EXPECT_GT(sqnr_db(expected, out), 70) << small->kind();
    EXPECT_NE(c10::str(*small).find("dtype=quint4x2"), std::string::npos) << *small;
    const auto rebuilt = Quantized::from_state(small->state_dict(), small->attributes(), "rnn");
    EXPECT_TRUE(first(rebuilt->forward(x, {})).equal(out)) << small->kind();
  }
}

TEST(Int4Weight, IsInRecurrentModulesToo) {
  torch::manual_seed(6);
  const at::Tensor sequence = torch::randn({5, 3, 40}), step = torch::randn({3, 40});
  expect_weights_alone_to_err<dynamic::LSTMImpl>(
      torch::nn::LSTM(torch::nn::LSTMOptions(40, 35).num_layers(2).bidirectional(true)), sequence);
  expect_weights_alone_to_err<dynamic::GRUImpl>(torch::nn::GRU(40, 35), sequence);
  expect_weights_alone_to_err<dynamic::LSTMCellImpl>(torch::nn::LSTMCell(40, 35), step);
  expect_weights_alone_to_err<dynamic::GRUCellImpl>(torch::nn::GRUCell(40, 35), step);
  expect_weights_alone_to_err<dynamic::RNNCellImpl>(torch::nn::RNNCell(40, 35), step);
}

}  // namespace
}  // namespace octet
