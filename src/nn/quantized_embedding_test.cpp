#include <octet/nn/quantized_embedding.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include "slot_test_support.h"

#include <gtest/gtest.h>
#include <support/oracle.h>
#include <support/threads.h>

#include <cmath>
#include <limits>

namespace octet {
namespace {

using nn::quantized::EmbeddingBagImpl;
using nn::quantized::EmbeddingImpl;
using nn::test::error_text;
using nn::test::text_of;

const QConfig& qconfig_of(DType dtype) {
  return dtype == quint8     ? float_qparams_weight_only_qconfig
         : dtype == quint4x2 ? float_qparams_weight_only_qconfig_4bit
                             : float_qparams_weight_only_qconfig_2bit;
}

constexpr std::array kDTypes{quint8, quint4x2, quint2x4};

std::shared_ptr<EmbeddingImpl> quantized(const torch::nn::EmbeddingOptions& options, DType dtype) {
  return EmbeddingImpl::from_float(*torch::nn::Embedding(options), qconfig_of(dtype), "embedding");
}

std::shared_ptr<EmbeddingBagImpl> quantized_bag(const torch::nn::EmbeddingBagOptions& options, DType dtype) {
  return EmbeddingBagImpl::from_float(*torch::nn::EmbeddingBag(options), qconfig_of(dtype), "bag");
}

torch::nn::EmbeddingOptions table_options(const at::Tensor& weight) {
  return torch::nn::EmbeddingOptions(weight.size(0), weight.size(1))._weight(weight);
}
torch::nn::EmbeddingBagOptions bag_options(const at::Tensor& weight) {
  return torch::nn::EmbeddingBagOptions(weight.size(0), weight.size(1))._weight(weight);
}

/// The written formula in plain loops: fma(q, scale, -zero_point * scale), from the packed bytes of the state dict.
at::Tensor plain_table(const nn::StateDict& state, int64_t dim, int bits) {
  const at::Tensor packed = state["weight"];
  const auto bytes = packed.accessor<uint8_t, 2>();
  const auto scale = state["weight_scale"].accessor<float, 1>(), zero_point = state["weight_zero_point"].accessor<float, 1>();
  const at::Tensor out = torch::empty({packed.size(0), dim});
  auto values = out.accessor<float, 2>();
  for (int64_t r = 0; r < packed.size(0); ++r) {
    const float bias = -(zero_point[r] * scale[r]);
    for (int64_t i = 0; i < dim; ++i) {
      const int q = bytes[r][i * bits / 8] >> (i * bits % 8) & ((1 << bits) - 1);
      values[r][i] = std::fma(static_cast<float>(q), scale[r], bias);
    }
  }
  return out;
}

TEST(QuantizedEmbedding, HasTheTableOfTorchAo) {
  const auto answers = test::load_oracle("nn/quantized_embedding");
  for (const c10::IValue& item : answers.at("cases").toListRef()) {
    const auto oracle = item.toGenericDict();
    const auto tensor = [&](const char* name) { return oracle.at(name).toTensor(); };
    const DType dtype = dtype_from_name(oracle.at("dtype").toStringRef());
    const at::Tensor weight = tensor("weight");
    SCOPED_TRACE(c10::str(dtype, weight.sizes()));
    const auto module = quantized(table_options(weight), dtype);
    EXPECT_TRUE(octet::int_repr(module->weight()).flatten().equal(tensor("int_repr")));
    EXPECT_TRUE(octet::q_per_channel_scales(module->weight()).equal(tensor("scale")));
    EXPECT_TRUE(octet::q_per_channel_zero_points(module->weight()).equal(tensor("zero_point")));
    EXPECT_TRUE(octet::dequantize(module->weight()).equal(tensor("dequantized")));
    EXPECT_TRUE(module->state_dict()["weight_scale"].equal(tensor("scale")));
    EXPECT_TRUE(module->state_dict()["weight_zero_point"].equal(tensor("zero_point")));

    const int bits = info(dtype).bits;
    const at::Tensor rows = module->forward(torch::arange(weight.size(0)));
    EXPECT_TRUE(rows.equal(plain_table(module->state_dict(), weight.size(1), bits)));
    const at::Tensor step = tensor("scale").unsqueeze(1), reach = (tensor("zero_point") * tensor("scale")).abs().unsqueeze(1);
    EXPECT_TRUE(((rows - weight).abs() <= step * 0.5001 + reach * 1e-6).all().item<bool>());

    if (!oracle.contains("bag")) continue;
    // torch.ao rounds scale and bias of four bits to half precision, whose smallest step is 2^-24. Eight bits are float32.
    const double relative = bits == 8 ? 0x1p-22 : 0x1p-11, absolute = bits == 8 ? 0 : 0x1p-24;
    const double levels = (1 << bits) - 1;
    const at::Tensor bound = ((levels * step + reach) * relative + (levels + 1) * absolute).index_select(0, tensor("indices"));
    EXPECT_TRUE(((module->forward(tensor("indices")) - tensor("embedding")).abs() <= bound).all().item<bool>());
    const at::Tensor weights = tensor("per_sample_weights");
    const at::Tensor sum =
        quantized_bag(bag_options(weight).mode(torch::kSum), dtype)->forward(tensor("indices"), tensor("offsets"), weights);
    const at::Tensor total = (bound * weights.abs().unsqueeze(1)).sum() + (rows.abs().max() * weights.abs().sum()) * 1e-6;
    EXPECT_TRUE(((sum - tensor("bag")).abs() <= total).all().item<bool>());
  }
}

TEST(QuantizedEmbedding, TakesIndicesOfAnyShapeAndBothWidths) {
  for (const DType dtype : kDTypes) {
    const at::Tensor weight = torch::randn({7, 5});
    const auto module = quantized(table_options(weight).padding_idx(-1), dtype);
    EXPECT_EQ(module->options().padding_idx(), 6);
    const at::Tensor table = module->forward(torch::arange(7)), indices = torch::tensor({{6, 0, 3}, {3, 3, 1}});
    EXPECT_TRUE(module->forward(indices).equal(table.index({indices})));
    EXPECT_TRUE(module->forward(indices.to(torch::kInt)).equal(table.index({indices})));
    EXPECT_TRUE(module->forward(indices.t()).equal(table.index({indices.t()})));
    EXPECT_TRUE(module->forward(torch::tensor(4)).equal(table[4]));
    EXPECT_EQ(module->forward(torch::empty({2, 0, 3}, torch::kLong)).sizes(), (std::vector<int64_t>{2, 0, 3, 5}));
  }
}

TEST(QuantizedEmbedding, NamesTheIndexThatIsOutOfRange) {
  const auto module = quantized(torch::nn::EmbeddingOptions(7, 5), quint8);
  const auto bag = quantized_bag(torch::nn::EmbeddingBagOptions(7, 5), quint4x2);
  const ModulePathScope scope("encoder.embedding");
  for (const int64_t bad : {-1, 7}) {
    const std::string expected =
        c10::str("encoder.embedding: embedding: index ", bad, " at position 3 is out of range for a table of 7 rows");
    const at::Tensor indices = torch::tensor({{0, 6}, {2, static_cast<int>(bad)}});
    EXPECT_EQ(error_text([&] { module->forward(indices); }), expected);
    EXPECT_EQ(error_text([&] { bag->forward(indices); }), expected);
  }
  EXPECT_NE(error_text([&] {
              module->forward(torch::randn({2}));
            }).find("encoder.embedding: indices is a Float tensor on cpu, expected int64 or int32"),
            std::string::npos);
  EXPECT_NE(error_text([&] { module->forward(at::Tensor()); }).find("undefined"), std::string::npos);
  const at::Tensor activation = octet::quantize_per_tensor(torch::randn({2}), 0.1, 0, quint8);
  EXPECT_THROW(module->forward(activation), Error);
}

// The float EmbeddingBag over the dequantized table is what a bag of each kind must come to.
TEST(QuantizedEmbeddingBag, ReducesAsTheFloatModule) {
  torch::manual_seed(2);
  struct Call {
    at::Tensor input, offsets;
    bool include_last_offset = false;
  };
  const at::Tensor indices = torch::randint(0, 11, {20});
  const std::vector<Call> calls{{torch::randint(0, 11, {4, 6}), {}},
                                {torch::randint(0, 11, {3, 1}, torch::kInt), {}},
                                {indices, torch::tensor({0, 4, 4, 9, 20})},
                                {indices.to(torch::kInt), torch::tensor({0, 19}, torch::kInt)},
                                {indices, torch::tensor({0})},
                                {indices, torch::tensor({0, 0, 7, 20}), true},
                                {torch::empty({0}, torch::kLong), torch::tensor({0, 0})},
                                {torch::empty({0}, torch::kLong), torch::empty({0}, torch::kLong)},
                                {torch::empty({0, 3}, torch::kLong), {}}};
  for (const DType dtype : kDTypes) {
    for (const int64_t dim : {1, 6, 35}) {
      for (const auto& mode : std::vector<torch::nn::EmbeddingBagMode>{torch::kSum, torch::kMean, torch::kMax}) {
        for (const std::optional<int64_t> padding_idx : {std::optional<int64_t>(), std::optional<int64_t>(3)}) {
          for (const Call& call : calls) {
            auto options = bag_options(torch::randn({11, dim})).mode(mode).padding_idx(padding_idx);
            options.include_last_offset(call.include_last_offset);
            const auto module = quantized_bag(options, dtype);
            torch::nn::EmbeddingBag expected(options._weight(plain_table(module->state_dict(), dim, info(dtype).bits)));
            SCOPED_TRACE(c10::str(*module, ", padding ", padding_idx.value_or(-1), ", input ", call.input.sizes()));
            EXPECT_TRUE(
                at::allclose(module->forward(call.input, call.offsets), expected->forward(call.input, call.offsets), 1e-5, 1e-5));
            if (!std::holds_alternative<torch::enumtype::kSum>(mode)) continue;
            const at::Tensor weights = torch::randn(call.input.sizes());
            const at::Tensor weighted = expected->forward(call.input, call.offsets, weights);
            EXPECT_TRUE(at::allclose(module->forward(call.input, call.offsets, weights), weighted, 1e-5, 1e-5));
            EXPECT_TRUE(
                at::allclose(module->forward(call.input, call.offsets, weights.to(torch::kDouble)), weighted, 1e-5, 1e-5));
          }
        }
      }
    }
  }
}

TEST(QuantizedEmbeddingBag, GivesZerosForTwoDimensionalInputWithoutIndices) {
  // The float module fails here ("step must be nonzero").
  const auto bag = quantized_bag(torch::nn::EmbeddingBagOptions(5, 4), quint8);
  EXPECT_TRUE(bag->forward(torch::empty({2, 0}, torch::kLong)).equal(torch::zeros({2, 4})));
}

TEST(QuantizedEmbeddingBag, LeavesIndicesAfterTheLastOffsetOut) {
  const at::Tensor weight = torch::randn({5, 4}), indices = torch::tensor({1, 2, 3});
  for (const auto& mode : std::vector<torch::nn::EmbeddingBagMode>{torch::kSum, torch::kMean, torch::kMax}) {
    const auto bag = quantized_bag(bag_options(weight).mode(mode).include_last_offset(true), quint8);
    const at::Tensor rows = quantized(table_options(weight), quint8)->forward(torch::tensor({1, 2}));
    EXPECT_TRUE(bag->forward(indices, torch::tensor({0, 1, 2})).equal(rows));
    EXPECT_EQ(bag->forward(indices, torch::tensor({0})).sizes(), (std::vector<int64_t>{0, 4}));
  }
}

TEST(QuantizedEmbeddingBag, RefusesArgumentsThatDoNotFit) {
  const auto sum = quantized_bag(torch::nn::EmbeddingBagOptions(5, 4).mode(torch::kSum), quint8);
  const auto mean = quantized_bag(torch::nn::EmbeddingBagOptions(5, 4), quint8);
  const auto last = quantized_bag(torch::nn::EmbeddingBagOptions(5, 4).include_last_offset(true), quint8);
  const at::Tensor indices = torch::tensor({1, 2, 3}), zero = torch::tensor({0});
  const auto expect_error = [&](EmbeddingBagImpl& bag, const at::Tensor& input, const at::Tensor& offsets,
                                const at::Tensor& weights, const std::string& text) {
    const ModulePathScope scope("net.bag");
    const std::string error = error_text([&] { bag.forward(input, offsets, weights); });
    EXPECT_TRUE(error.starts_with("net.bag: ") && error.find(text) != std::string::npos) << error << "\nexpected: " << text;
  };
  expect_error(*sum, indices, {}, {}, "input of shape [3] and no offsets");
  expect_error(*sum, indices.unsqueeze(0), zero, {}, "input of shape [1, 3] and offsets of shape [1]");
  expect_error(*sum, indices, zero.unsqueeze(0), {}, "offsets of shape [1, 1]");
  expect_error(*sum, indices.reshape({1, 1, 3}), {}, {}, "input of shape [1, 1, 3]");
  expect_error(*sum, indices, torch::zeros({1}), {}, "offsets is a Float tensor");
  expect_error(*sum, indices, torch::tensor({1, 2}), {}, "the first offset must be 0, got 1");
  expect_error(*sum, indices, torch::tensor({0, 2, 1}), {}, "offset 1 at position 2");
  expect_error(*sum, indices, torch::tensor({0, 4}), {}, "offset 4 at position 1");
  expect_error(*last, indices, torch::empty({0}, torch::kLong), {}, "got no offsets");
  expect_error(*last, indices, torch::tensor({0, 4}), {}, "the last offset is 4, expected 0 .. 3");
  expect_error(*mean, indices, zero, torch::ones({3}), "per_sample_weights with mode mean");
  expect_error(*sum, indices, zero, torch::ones({2}), "per_sample_weights of shape [2]");
  expect_error(*sum, indices, zero, torch::ones({3}, torch::kLong), "got Long per_sample_weights");
}

TEST(QuantizedEmbedding, ShortensLongRowsToMaxNormAsLookingThemUpDoes) {
  const at::Tensor weight = torch::randn({9, 6}) * 3, original = weight.clone();
  for (const double norm_type : {2.0, 1.0}) {
    const auto options = table_options(weight.clone()).max_norm(1.5).norm_type(norm_type);
    torch::nn::Embedding module(options);
    module->weight.requires_grad_(false);
    const auto quantized_module = EmbeddingImpl::from_float(*module, float_qparams_weight_only_qconfig, "embedding");
    EXPECT_TRUE(module->weight.equal(original));  // converting does not change the float model, as its forward does
    const at::Tensor expected = module->forward(torch::arange(9));
    EXPECT_FALSE(expected.equal(original));
    EXPECT_TRUE(quantized_module->weight().int_repr().equal(quantized(table_options(expected), quint8)->weight().int_repr()));
    EXPECT_EQ(quantized_module->options().max_norm(), std::nullopt);
  }
}

TEST(QuantizedEmbedding, IsQuantizedFromAnyFloatingTable) {
  const at::Tensor weight = torch::randn({6, 4}).to(torch::kHalf);
  const auto expected = quantized(table_options(weight.to(torch::kFloat)), quint4x2);
  for (const auto dtype : {torch::kHalf, torch::kDouble}) {
    EXPECT_TRUE(
        quantized(table_options(weight.to(dtype)), quint4x2)->state_dict()["weight"].equal(expected->state_dict()["weight"]));
  }
  // A narrower range of an observer's own is kept, as torch.ao does by clamping.
  const QConfig narrow{
      ObserverFactory(),
      PerChannelMinMaxObserver::with_args(
          PerChannelMinMaxObserverOptions().qscheme(per_channel_affine_float_qparams).quant_min(0).quant_max(100))};
  const auto module = EmbeddingImpl::from_float(*torch::nn::Embedding(50, 40), narrow, "embedding");
  EXPECT_EQ(module->state_dict()["weight"].max().item<int64_t>(), 100);
}

TEST(QuantizedEmbedding, RefusesWeightsAndQConfigsThatItCannotTake) {
  torch::nn::Embedding module(6, 4);
  const auto refusal = [&](const QConfig& qconfig) {
    return error_text([&] { EmbeddingImpl::from_float(*module, qconfig, "net.embedding"); });
  };
  for (const QConfig& qconfig : {QConfig(), default_dynamic_qconfig, per_channel_dynamic_qconfig, float16_dynamic_qconfig}) {
    const std::string error = refusal(qconfig);
    EXPECT_TRUE(error.starts_with("net.embedding: weight: ")) << error;
    EXPECT_NE(error.find("use float_qparams_weight_only_qconfig"), std::string::npos) << error;
  }
  const torch::NoGradGuard no_grad;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    module->weight[2][1] = bad;
    EXPECT_NE(refusal(float_qparams_weight_only_qconfig).find("net.embedding: weight: the weight holds NaN"), std::string::npos);
  }
  const float huge = std::numeric_limits<float>::max();
  module->weight[2] = torch::tensor({huge, -huge, 0.0f, 0.0f});
  EXPECT_NE(refusal(float_qparams_weight_only_qconfig).find("net.embedding: weight: "), std::string::npos);
  module->weight = at::Tensor();
  EXPECT_NE(refusal(float_qparams_weight_only_qconfig).find("got no tensor"), std::string::npos);
}

TEST(QuantizedEmbedding, IsRebuiltFromItsState) {
  const at::Tensor indices = torch::tensor({{0, 3}, {8, 3}});
  for (const DType dtype : kDTypes) {
    const auto module = quantized(torch::nn::EmbeddingOptions(9, 7).padding_idx(2).sparse(true), dtype);
    const auto rebuilt = EmbeddingImpl::from_state(module->state_dict(), module->attributes(), "embedding");
    EXPECT_TRUE(rebuilt->forward(indices).equal(module->forward(indices)));
    EXPECT_EQ(rebuilt->attributes(), module->attributes());
    EXPECT_EQ(rebuilt->options().padding_idx(), 2);
    for (const auto& mode : std::vector<torch::nn::EmbeddingBagMode>{torch::kSum, torch::kMean, torch::kMax}) {
      const auto bag = quantized_bag(torch::nn::EmbeddingBagOptions(9, 7).mode(mode).padding_idx(3), dtype);
      const auto rebuilt_bag = EmbeddingBagImpl::from_state(bag->state_dict(), bag->attributes(), "bag");
      EXPECT_TRUE(rebuilt_bag->forward(indices).equal(bag->forward(indices)));
      EXPECT_EQ(rebuilt_bag->attributes(), bag->attributes());
      EXPECT_EQ(text_of(*rebuilt_bag), text_of(*bag));
    }
  }
}

TEST(QuantizedEmbedding, RefusesAStateThatIsNotWhole) {
  const auto bag = quantized_bag(torch::nn::EmbeddingBagOptions(3, 5).padding_idx(1), quint4x2);
  const auto rebuild = [&](const std::function<void(nn::StateDict&, nn::Attributes&)>& spoil) {
    return error_text([&] {
      nn::StateDict state = bag->state_dict();
      nn::Attributes attributes = bag->attributes();
      spoil(state, attributes);
      EmbeddingBagImpl::from_state(state, attributes, "net.bag");
    });
  };
  EXPECT_EQ(rebuild([](auto&, auto&) {}), "no error");
  EXPECT_EQ(rebuild([](auto& state, auto&) { state.erase("weight_scale"); }), "net.bag: the tensor \"weight_scale\" is missing");
  EXPECT_NE(rebuild([](auto& state, auto&) {
              state["weight"] = torch::ones({3, 5}, torch::kByte);
            }).find("expected Byte of shape [3, 3]"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto& state, auto&) { state["weight"] = torch::ones({3, 3}); }).find("is a Float tensor"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto& state, auto&) { state["weight_scale"] = torch::zeros({3}); }).find("not positive and finite"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto& state, auto&) { state["weight_zero_point"] = torch::full({3}, NAN); }).find("not finite"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto&, auto& attributes) { attributes["embedding_dim"] = int64_t{-8}; }).find("dimension -8"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto&, auto& attributes) { attributes["num_embeddings"] = int64_t{4}; }).find("of shape [4, 3]"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto&, auto& attributes) { attributes["dtype"] = std::string("qint8"); }).find("expected quint8"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto&, auto& attributes) { attributes["mode"] = std::string("min"); }).find("expected sum, mean or max"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto&, auto& attributes) { attributes["padding_idx"] = int64_t{3}; }).find("got padding_idx 3"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto&, auto& attributes) {
              attributes.erase("include_last_offset");
            }).find("\"include_last_offset\" is missing"),
            std::string::npos);
}

TEST(QuantizedEmbedding, FitsTheSlotAndGoesWithItsClones) {
  nn::Sequential model(nn::EmbeddingBag(nn::EmbeddingBagOptions(9, 7).mode(torch::kMax)));
  auto& slot = *nn::as_slot(*model[0]);
  slot.set_path("0");
  const at::Tensor indices = torch::tensor({{0, 3}, {8, 3}}), before = model->forward(indices);
  const auto bag = EmbeddingBagImpl::from_float(*model[0]->as<torch::nn::EmbeddingBag>(), float_qparams_weight_only_qconfig, "0");
  slot.set_implementation(bag);
  const at::Tensor after = model->forward(indices);
  EXPECT_TRUE(at::allclose(after, before, 0, 0.02));
  EXPECT_TRUE(nn::test::clone_of(model.ptr())->forward(indices).equal(after));
  EXPECT_NE(error_text([&] { model->forward(torch::tensor({{9}})); }).find("0: embedding: index 9"), std::string::npos);

  const auto copy = nn::test::clone_of(bag);
  EXPECT_TRUE(copy->state_dict()["weight"].is_alias_of(bag->state_dict()["weight"]));  // a table is never written to
  EXPECT_TRUE(bag->parameters().empty());
  EXPECT_THROW(bag->clone(torch::Device("meta")), Error);
}

TEST(QuantizedEmbedding, PrintsAndCountsWhatItIs) {
  const auto module = quantized(torch::nn::EmbeddingOptions(100, 64), quint4x2);
  EXPECT_EQ(text_of(*module),
            "octet::nn::quantized::Embedding(num_embeddings=100, embedding_dim=64, dtype=quint4x2, "
            "qscheme=per_channel_affine_float_qparams)");
  EXPECT_EQ(module->kind(), "octet::nn::quantized::Embedding");
  EXPECT_EQ(module->weight_bytes(), 100 * (64 / 2 + 3 * 4));
  const auto bag = quantized_bag(torch::nn::EmbeddingBagOptions(10, 4), quint8);
  EXPECT_EQ(text_of(*bag),
            "octet::nn::quantized::EmbeddingBag(num_embeddings=10, embedding_dim=4, dtype=quint8, "
            "qscheme=per_channel_affine_float_qparams, mode=mean)");
  EXPECT_EQ(bag->kind(), "octet::nn::quantized::EmbeddingBag");
}

TEST(QuantizedEmbedding, GivesTheSameBitsAtEveryThreadCountAndFromManyThreads) {
  torch::manual_seed(3);
  const auto bag = quantized_bag(torch::nn::EmbeddingBagOptions(500, 96).mode(torch::kSum), quint2x4);
  const at::Tensor indices = torch::randint(0, 500, {200, 30});
  const int count = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor expected = bag->forward(indices);
  at::set_num_threads(4);
  EXPECT_TRUE(bag->forward(indices).equal(expected));
  at::set_num_threads(count);
  EXPECT_TRUE(bag->forward(indices[7].unsqueeze(0)).equal(expected[7].unsqueeze(0)));
  EXPECT_EQ(test::equal_results_of_four_threads(10, expected, [&] { return bag->forward(indices); }), 40);
}

}  // namespace
}  // namespace octet
