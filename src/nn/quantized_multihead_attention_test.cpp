#include <octet/io/save_load.h>
#include <octet/nn/modules.h>
#include <octet/nn/quantizable_multihead_attention.h>
#include <octet/nn/quantized_multihead_attention.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/tensor/quantize.h>
#include <octet/workflow/convert.h>
#include <octet/workflow/prepare.h>

#include <nn/quantized_module_test_support.h>

#include <torch/torch.h>

namespace octet {
namespace {

using nn::test::oracle_cases;
using nn::test::OracleCase;
using nn::test::random_quantized;
using nn::test::same_quantized;
using test::error_text;
using test::sqnr_db;
using torch::nn::MultiheadAttentionOptions;
using Result = std::tuple<at::Tensor, at::Tensor>;

struct Masks {
  at::Tensor key_padding_mask, attn_mask;
};

/// Attention behind stubs.
struct ModelImpl : nn::Cloneable<ModelImpl> {
  explicit ModelImpl(const MultiheadAttentionOptions& attention_options) : options(attention_options) { reset(); }

  void reset() override {
    quant_q = register_module("quant_q", nn::QuantStub());
    quant_k = register_module("quant_k", nn::QuantStub());
    quant_v = register_module("quant_v", nn::QuantStub());
    attention = register_module("attention", nn::MultiheadAttention(options));
  }
  Result forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Masks& masks = {},
                 bool need_weights = true, bool average = true) {
    return attention->forward(quant_q->forward(query), quant_k->forward(key), quant_v->forward(value), masks.key_padding_mask,
                              need_weights, masks.attn_mask, average);
  }

  MultiheadAttentionOptions options;
  nn::QuantStub quant_q{nullptr}, quant_k{nullptr}, quant_v{nullptr};
  nn::MultiheadAttention attention{nullptr};
};
TORCH_MODULE(Model);

nn::quantized::MultiheadAttentionImpl& quantized_attention(Model& model) {
  return dynamic_cast<nn::quantized::MultiheadAttentionImpl&>(*model->attention->implementation());
}

at::Tensor optional_tensor(const c10::IValue& value) { return value.isNone() ? at::Tensor() : value.toTensor(); }

MultiheadAttentionOptions options_of(const OracleCase& oracle) {
  return MultiheadAttentionOptions(16, 4)
      .bias(oracle.at("bias").toBool())
      .add_zero_attn(oracle.at("zero_attn").toBool())
      .kdim(oracle.at("kdim").toInt())
      .vdim(oracle.at("vdim").toInt());
}

Result run(Model& model, const OracleCase& oracle, const c10::IValue& batch) {
  const auto& inputs = batch.toListRef();
  return model->forward(inputs[0].toTensor(), inputs[1].toTensor(), inputs[2].toTensor(),
                        {optional_tensor(oracle.at("key_padding_mask")), optional_tensor(oracle.at("attn_mask"))}, true,
                        oracle.at("average").toBool());
}

/// The oracle's model, calibrated on its data and converted; and what it gives for the last of them.
std::pair<Model, Result> model_of(const OracleCase& oracle) {
  Model model(options_of(oracle));
  model->eval();
  auto parameters = model->attention->named_parameters();
  for (const auto& entry : oracle.at("parameters").toGenericDict()) {
    parameters[entry.key().toStringRef()].set_data(entry.value().toTensor());
  }
  const auto& batches = oracle.at("calibration").toListRef();
  prepare(*model, default_qconfig);
  at::Tensor observed;
  for (const c10::IValue& batch : batches) observed = std::get<0>(run(model, oracle, batch));
  EXPECT_TRUE(at::allclose(observed, oracle.at("float").toTensor(), 0, 1e-5));
  convert(*model);
  Result result = run(model, oracle, batches[batches.size() - 1]);
  return {model, std::move(result)};
}

void expect_close(const at::Tensor& result, const c10::IValue& answer, const char* what) {
  const auto entry = answer.toGenericDict();
  const at::Tensor expected = entry.at("integers").toTensor();
  ASSERT_EQ(result.sizes(), expected.sizes()) << what;
  EXPECT_NEAR(octet::q_scale(result) / entry.at("scale").toDouble(), 1, 1e-5) << what;
  EXPECT_EQ(octet::q_zero_point(result), entry.at("zero_point").toInt()) << what;
  const at::Tensor distance = (octet::int_repr(result).to(at::kInt) - expected.to(at::kInt)).abs();
  EXPECT_LE(distance.max().item<int>(), 1) << what;
  EXPECT_LE(distance.count_nonzero().item<double>(), 0.05 * static_cast<double>(distance.numel())) << what;
}

void expect_contains(const std::string& text, const std::string& part) { EXPECT_NE(text.find(part), std::string::npos) << text; }

Model converted_model(const MultiheadAttentionOptions& options) {
  Model model(options);
  model->eval();
  prepare(*model, default_qconfig);
  model->forward(torch::randn({5, 3, 16}), torch::randn({7, 3, options.kdim()}), torch::randn({7, 3, options.vdim()}));
  convert(*model);
  return model;
}

TEST(QuantizedMultiheadAttention, GivesTheScalesAndIntegersOfTorchAo) {
  for (const OracleCase& oracle : oracle_cases("nn/quantized_multihead_attention")) {
    auto [model, result] = model_of(oracle);
    const nn::StateDict state = quantized_attention(model).state_dict();
    for (const auto& entry : oracle.at("qparams").toGenericDict()) {
      const std::string part = entry.key().toStringRef();
      const auto& qparams = entry.value().toListRef();
      EXPECT_NEAR(state[part + ".scale"].item<double>() / qparams[0].toDouble(), 1, 1e-5) << part;
      EXPECT_EQ(state[part + ".zero_point"].item<double>(), qparams[1].toDouble()) << part;
    }
    expect_close(std::get<0>(result), oracle.at("output"), "output");
    expect_close(std::get<1>(result), oracle.at("weights"), "weights");
  }
}

TEST(QuantizedMultiheadAttention, AttendsToTheBiasesOfKeyAndValue) {
  for (const bool add_zero_attn : {false, true}) {
    Model model(MultiheadAttentionOptions(16, 4).add_bias_kv(true).add_zero_attn(add_zero_attn));
    model->eval();
    const at::Tensor query = torch::randn({5, 3, 16}), source = torch::randn({7, 3, 16});
    const Masks masks{torch::rand({3, 7}) < 0.3, torch::zeros({5, 7}).masked_fill(torch::rand({5, 7}) < 0.3, -INFINITY)};
    const auto [exact, exact_weights] = model->forward(query, source, source, masks);
    prepare(*model, default_qconfig);
    model->forward(query, source, source, masks);
    convert(*model);
    const auto [output, weights] = model->forward(query, source, source, masks);
    EXPECT_GT(sqnr_db(exact, octet::dequantize(output)), 20);
    EXPECT_GT(sqnr_db(exact_weights, octet::dequantize(weights)), 20);
    EXPECT_EQ(weights.size(2), add_zero_attn ? 9 : 8);
  }
}

TEST(QuantizedMultiheadAttention, LeavesTheWeightsOutOnRequest) {
  Model model = converted_model({16, 4});
  const at::Tensor query = torch::randn({5, 3, 16}), source = torch::randn({7, 3, 16});
  const auto [output, weights] = model->forward(query, source, source);
  const auto [same, none] = model->forward(query, source, source, {}, /*need_weights=*/false);
  EXPECT_TRUE(same_quantized(same, output));
  EXPECT_FALSE(none.defined());
}

TEST(QuantizedMultiheadAttention, GivesMaskedKeysNoWeight) {
  Model model = converted_model({16, 4});
  const at::Tensor query = torch::randn({5, 3, 16}), source = torch::randn({7, 3, 16});
  const at::Tensor causal = torch::ones({5, 7}).triu(1).to(torch::kBool);
  const auto [output, weights] = model->forward(query, source, source, {{}, causal}, true, /*average=*/false);
  EXPECT_EQ(octet::dequantize(weights).masked_select(causal).abs().max().item<float>(), 0);
  const auto bytes = model->forward(query, source, source, {{}, causal.to(torch::kByte)});
  EXPECT_TRUE(same_quantized(std::get<0>(bytes), output));
  // What is masked for all queries has no influence at all.
  at::Tensor other = source.clone();
  other[6] = 1;
  const at::Tensor last = torch::zeros({3, 7}, torch::kBool).index_fill(1, torch::tensor({6}), true);
  EXPECT_TRUE(same_quantized(std::get<0>(model->forward(query, source, source, {last, {}})),
                             std::get<0>(model->forward(query, other, other, {last, {}}))));
}

TEST(QuantizedMultiheadAttention, ClonesAndIsRebuiltFromItsState) {
  for (const auto& options : {MultiheadAttentionOptions(16, 4).add_bias_kv(true), MultiheadAttentionOptions(16, 4).bias(false),
                              MultiheadAttentionOptions(16, 2).kdim(12).vdim(20).add_zero_attn(true)}) {
    Model model = converted_model(options);
    const at::Tensor query = torch::randn({5, 3, 16}), key = torch::randn({7, 3, options.kdim()}),
                     value = torch::randn({7, 3, options.vdim()});
    const auto [output, weights] = model->forward(query, key, value);
    const auto path = std::filesystem::path(testing::TempDir()) / "quantized_multihead_attention.safetensors";
    save(*model, path);
    Model loaded(options);
    loaded->eval();
    load(*loaded, path);
    std::filesystem::remove(path);
    for (auto& other : {std::dynamic_pointer_cast<ModelImpl>(model->clone()), loaded.ptr()}) {
      const auto [other_output, other_weights] = other->forward(query, key, value);
      EXPECT_TRUE(same_quantized(other_output, output));
      EXPECT_TRUE(same_quantized(other_weights, weights));
      EXPECT_EQ(c10::str(*other->attention), c10::str(*model->attention));
      EXPECT_TRUE(other->parameters().empty());
    }
    EXPECT_EQ(quantized_attention(loaded).attributes(), quantized_attention(model).attributes());
    EXPECT_EQ(quantized_attention(loaded).weight_bytes(), quantized_attention(model).weight_bytes());
  }
}

TEST(QuantizedMultiheadAttention, RefusesStatesThatContradictThemselves) {
  Model model = converted_model(MultiheadAttentionOptions(16, 4).add_bias_kv(true));
  const auto rebuild = [&](auto change) {
    nn::StateDict state;
    for (const auto& tensor : quantized_attention(model).state_dict()) state.insert(tensor.key(), at::Tensor(tensor.value()));
    nn::Attributes attributes = quantized_attention(model).attributes();
    change(state, attributes);
    return error_text([&] { nn::quantized::MultiheadAttentionImpl::from_state(state, attributes, "net.attn"); });
  };
  expect_contains(rebuild([](auto& state, auto&) { state.erase("quant_attn_output.scale"); }),
                  "net.attn.quant_attn_output: the tensor \"scale\" is missing");
  expect_contains(rebuild([](auto& state, auto&) { state.erase("bias_v.int_repr"); }),
                  "net.attn: got only one of bias_k and bias_v");
  expect_contains(rebuild([](auto& state, auto&) { state["bias_k.int_repr"] = torch::zeros({1, 1, 8}, torch::kByte); }),
                  "net.attn: \"bias_k.int_repr\" is a Byte tensor of shape [1, 1, 8], expected Byte and [1, 1, 16]");
  expect_contains(rebuild([](auto&, auto& attributes) { attributes["num_heads"] = int64_t{3}; }),
                  "got 3 heads for embed_dim = 16");
  expect_contains(rebuild([](auto& state, auto&) { state["out_proj.weight"] = torch::zeros({16, 8}, torch::kChar); }),
                  "net.attn.out_proj: got a weight of shape [16, 8], expected [16, 16]");
}

TEST(QuantizedMultiheadAttention, NamesWhatItCannotTake) {
  Model model = converted_model({16, 4});
  auto& attention = *model->attention;
  const at::Tensor query = random_quantized({5, 3, 16}, 0.02, 128), source = random_quantized({7, 3, 16}, 0.02, 128);
  const auto error_of = [&](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Masks& masks = {}) {
    return error_text([&] { attention.forward(q, k, v, masks.key_padding_mask, true, masks.attn_mask); });
  };
  expect_contains(error_of(octet::dequantize(query), source, source), "attention: got a Float tensor for the query");
  expect_contains(error_of(query[0], source, source),
                  "attention: got a query of shape [3, 16], expected [target length, batch, 16]");
  expect_contains(error_of(query, source.slice(1, 0, 2), source), "got a key of shape [7, 2, 16]");
  expect_contains(error_of(query, source, source.slice(0, 0, 6)), "got 7 keys but 6 values");
  expect_contains(error_of(query, source, source, {torch::zeros({7, 3}, torch::kBool), {}}),
                  "got a key_padding_mask of Bool and shape [7, 3]");
  expect_contains(error_of(query, source, source, {{}, torch::zeros({5, 7}, torch::kLong)}), "got an attn_mask of Long");
  expect_contains(error_of(query, source, source, {{}, torch::zeros({3, 5, 7})}), "expected [5, 7] or [12, 5, 7]");
}

TEST(QuantizableMultiheadAttention, NamesThePartThatCalibrationDidNotReach) {
  Model model(MultiheadAttentionOptions(16, 4));
  model->eval();
  prepare(*model, default_qconfig);
  for (auto& stub : {model->quant_q, model->quant_k, model->quant_v}) nn::QuantStub(stub)->forward(torch::randn({5, 3, 16}));
  expect_contains(error_text([&] { convert(*model); }), "attention.linear_Q: its observer MinMaxObserver has seen no tensor");
}

TEST(QuantizableMultiheadAttention, ComputesWhatTheFloatModuleDoes) {
  Model model(MultiheadAttentionOptions(16, 4).add_bias_kv(true).add_zero_attn(true));
  model->eval();
  const at::Tensor query = torch::randn({5, 3, 16}), source = torch::randn({7, 3, 16});
  const Masks masks{torch::rand({3, 7}) < 0.3, torch::randn({5, 7})};
  const auto [output, weights] = model->forward(query, source, source, masks);
  const auto each_head = std::get<1>(model->forward(query, source, source, masks, true, /*average=*/false));
  prepare(*model, default_qconfig);
  const auto [observed, observed_weights] = model->forward(query, source, source, masks);
  EXPECT_TRUE(at::allclose(observed, output, 0, 1e-6));
  EXPECT_TRUE(at::allclose(observed_weights, weights, 0, 1e-6));
  EXPECT_TRUE(at::allclose(std::get<1>(model->forward(query, source, source, masks, true, false)), each_head, 0, 1e-6));
}

TEST(QuantizableMultiheadAttention, StaysTheFloatModuleForItsParameters) {
  Model model(MultiheadAttentionOptions(16, 4).kdim(12));
  model->eval();
  const auto names = model->named_parameters().keys();
  prepare(*model, default_qconfig);
  EXPECT_EQ(model->named_parameters().keys(), names);
  const auto clone = std::dynamic_pointer_cast<ModelImpl>(model->clone());
  const at::Tensor query = torch::randn({5, 3, 16}), key = torch::randn({7, 3, 12}), value = torch::randn({7, 3, 16});
  EXPECT_TRUE(std::get<0>(clone->forward(query, key, value)).equal(std::get<0>(model->forward(query, key, value))));
  clone->attention->q_proj_weight.data().zero_();
  clone->attention->out_proj->weight.data().zero_();
  EXPECT_NE(model->attention->q_proj_weight.abs().sum().item<float>(), 0);
  EXPECT_NE(model->attention->out_proj->weight.abs().sum().item<float>(), 0);
}

TEST(MultiheadAttention, RunsHooksAndKeepsTheDefaultsOfTheFloatModule) {
  torch::manual_seed(1);
  nn::MultiheadAttention slot(MultiheadAttentionOptions(16, 4));
  torch::manual_seed(1);
  torch::nn::MultiheadAttention plain(MultiheadAttentionOptions(16, 4));
  const at::Tensor query = torch::randn({5, 3, 16}), source = torch::randn({7, 3, 16});
  size_t inputs_seen = 0, outputs_seen = 0;
  slot->register_forward_hook([&](auto&, const auto& inputs, auto& outputs) {
    inputs_seen = inputs.size();
    outputs_seen = outputs.size();
  });
  const auto [output, weights] = slot->forward(query, source, source);
  const auto [expected, expected_weights] = plain->forward(query, source, source);
  EXPECT_TRUE(output.equal(expected));
  EXPECT_TRUE(weights.equal(expected_weights));
  EXPECT_EQ(inputs_seen, 5);
  EXPECT_EQ(outputs_seen, 2);
}

}  // namespace
}  // namespace octet
