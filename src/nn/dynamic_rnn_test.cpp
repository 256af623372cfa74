#include <octet/nn/dynamic_rnn.h>
#include <octet/nn/dynamic_rnn_cells.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>

#include <cmath>
#include <sstream>
#include <utility>
#include <vector>

namespace octet {
namespace {

namespace dynamic = nn::quantized::dynamic;
using nn::detail::tensors_of;
using test::error_text;
using test::sqnr_db;
using torch::nn::utils::rnn::pack_padded_sequence;
using torch::nn::utils::rnn::pad_packed_sequence;
using Tensors = std::vector<at::Tensor>;
using Answer = c10::Dict<c10::IValue, c10::IValue>;

/// The options of a module's float original: torch::nn::LSTMOptions for dynamic::LSTMImpl.
template <class Quantized>
using OptionsOf = decltype(Quantized::Float::options);

/// {h} or {h, c} as forward takes them.
template <class Quantized>
auto hidden_argument(const Tensors& hx) {
  if constexpr (std::is_same_v<std::remove_cvref_t<typename Quantized::Hidden>, at::Tensor>) {
    return hx[0];
  } else {
    return typename Quantized::Hidden(std::tuple(hx[0], hx[1]));
  }
}

template <class Quantized>
Tensors call(Quantized& module, const at::Tensor& x, const Tensors& hx) {
  auto result = module.forward(x, hidden_argument<Quantized>(hx));
  return tensors_of(result);
}

/// Activations in 0..127, as torch.ao's x86 engine has them.
QConfig with_seven_bits(const QConfig& qconfig) {
  return {PlaceholderObserver::with_args(PlaceholderObserverOptions().dtype(quint8).quant_min(0).quant_max(127).is_dynamic(true)),
          qconfig.weight};
}

Tensors to_tensors(const c10::IValue& list) {
  Tensors tensors;
  for (const c10::IValue& item : list.toListRef()) tensors.push_back(item.toTensor());
  return tensors;
}

/// All that a module answers in the oracle: for sequences, to a padded and to a packed input.
template <class Quantized>
Tensors answers_of(Quantized& module, const Answer& answer) {
  const at::Tensor x = answer.at("x").toTensor();
  const Tensors hx = to_tensors(answer.at("hx"));
  Tensors results = call(module, x, hx);
  if constexpr (requires { &Quantized::forward_with_packed_input; }) {
    const auto packed = pack_padded_sequence(x, answer.at("lengths").toTensor(), answer.at("batch_first").toBool(), false);
    auto result = module.forward_with_packed_input(packed, hidden_argument<Quantized>(hx));
    for (const at::Tensor& tensor : tensors_of(result)) results.push_back(tensor);
  }
  return results;
}

at::Tensor joined(const Tensors& tensors) {
  Tensors flat;
  for (const at::Tensor& tensor : tensors) flat.push_back(tensor.flatten());
  return at::cat(flat);
}

template <class Quantized>
void expect_parity(const OptionsOf<Quantized>& options, const Answer& answer, const std::string& which) {
  typename Quantized::Float module(options);
  auto parameters = module.named_parameters();
  for (const auto& entry : answer.at("parameters").toGenericDict()) {
    parameters[entry.key().toStringRef()].set_data(entry.value().toTensor());
  }
  const at::Tensor exact = joined(to_tensors(answer.at("float")));
  for (const auto& [name, qconfig] : {std::pair{"qint8", default_dynamic_qconfig},
                                      {"qint8_per_channel", per_channel_dynamic_qconfig},
                                      {"float16", float16_dynamic_qconfig}}) {
    const std::string where = which + name;
    const auto quantized = Quantized::from_float(module, qconfig, "rnn");
    const Tensors results = answers_of(*quantized, answer);
    const auto python = answer.at(name).toGenericDict();
    const Tensors python_results = to_tensors(python.at("results"));
    ASSERT_EQ(results.size(), python_results.size()) << where;
    for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].sizes(), python_results[i].sizes()) << where << i;

    const at::Tensor ours = joined(results), theirs = joined(python_results);
    if (quantized->state_dict()[0].value().scalar_type() == at::kHalf) {
      EXPECT_TRUE(at::allclose(ours, theirs, 0, 1e-5)) << where;
      continue;
    }
    for (const auto& weight : python.at("weights").toGenericDict()) {
      const std::string& weight_name = weight.key().toStringRef();
      EXPECT_TRUE(quantized->state_dict()[weight_name].equal(weight.value().toTensor())) << where << weight_name;
    }
    const auto seven_bits = Quantized::from_float(module, with_seven_bits(qconfig), "rnn");
    // The same numbers but for float rounding, which may move a hidden value over a rounding tie; another bit leaves 42 dB.
    EXPECT_GT(sqnr_db(theirs, joined(answers_of(*seven_bits, answer))), 60) << where;
    EXPECT_GT(sqnr_db(exact, ours), sqnr_db(exact, theirs)) << where;
  }
}

template <class Quantized>
void expect_sequence_parity(const Answer& answer) {
  OptionsOf<Quantized> options(12, 10);
  options.num_layers(answer.at("layers").toInt())
      .bidirectional(answer.at("bidirectional").toBool())
      .batch_first(answer.at("batch_first").toBool());
  expect_parity<Quantized>(options, answer,
                           c10::str(answer.at("class").toStringRef(), " layers=", options.num_layers(),
                                    " bidirectional=", options.bidirectional(), " batch_first=", options.batch_first(), " "));
}

TEST(DynamicRnn, ComputesWhatTorchAoDoesInSevenBitsAndIsMoreAccurateInEight) {
  const auto answers = test::load_oracle("nn/dynamic_rnn");
  for (const c10::IValue& item : answers.at("sequences").toListRef()) {
    const auto answer = item.toGenericDict();
    const bool is_lstm = answer.at("class").toStringRef() == "LSTM";
    is_lstm ? expect_sequence_parity<dynamic::LSTMImpl>(answer) : expect_sequence_parity<dynamic::GRUImpl>(answer);
  }
}

TEST(DynamicRnnCells, ComputeWhatTorchAoDoesInSevenBitsAndAreMoreAccurateInEight) {
  const auto answers = test::load_oracle("nn/dynamic_rnn");
  for (const c10::IValue& item : answers.at("cells").toListRef()) {
    const auto answer = item.toGenericDict();
    const std::string which = answer.at("class").toStringRef();
    if (which == "LSTMCell") {
      expect_parity<dynamic::LSTMCellImpl>({12, 10}, answer, which);
    } else if (which == "GRUCell") {
      expect_parity<dynamic::GRUCellImpl>({12, 10}, answer, which);
    } else {
      torch::nn::RNNCellOptions options(12, 10);
      if (answer.at("relu").toBool()) options.nonlinearity(torch::kReLU);
      expect_parity<dynamic::RNNCellImpl>(options, answer, which);
    }
  }
}

// The scheme in plain tensor operations.

/// Exact sums of integers, held in doubles; for halves, of products in double.
at::Tensor plain_linear(const at::Tensor& x, const nn::StateDict& state, const std::string& name, bool per_row) {
  if (per_row) {
    Tensors rows;
    for (const at::Tensor& row : x.reshape({-1, 1, x.size(-1)}).unbind()) rows.push_back(plain_linear(row, state, name, false));
    std::vector<int64_t> sizes = x.sizes().vec();
    sizes.back() = -1;
    return at::cat(rows).view(sizes);
  }
  const at::Tensor weight = state["weight_" + name].to(at::kDouble).t();
  at::Tensor y;
  if (const at::Tensor* const weight_scale = state.find("weight_" + name + "_scale")) {
    const auto [scale, zero_point] = at::_choose_qparams_per_tensor(x, /*reduce_range=*/false);
    const at::Tensor q = (x * (1.0f / static_cast<float>(scale))).round().add(zero_point).clamp(0, 255);
    y = (q - zero_point).to(at::kDouble).matmul(weight) * scale * weight_scale->to(at::kDouble);
  } else {
    y = x.to(at::kDouble).matmul(weight);
  }
  const at::Tensor* const bias = state.find("bias_" + name);
  return (bias ? y + bias->to(at::kDouble) : y).to(at::kFloat);
}

/// One step: the next {h} or {h, c}.
Tensors plain_step(const std::string& kind, const at::Tensor& x_gates, const at::Tensor& h_gates, const Tensors& hx) {
  if (kind == "LSTM") {
    const Tensors gates = (x_gates + h_gates).chunk(4, -1);
    const at::Tensor c = gates[1].sigmoid() * hx[1] + gates[0].sigmoid() * gates[2].tanh();
    return {gates[3].sigmoid() * c.tanh(), c};
  }
  if (kind == "GRU") {
    const Tensors xs = x_gates.chunk(3, -1), hs = h_gates.chunk(3, -1);
    const at::Tensor z = (xs[1] + hs[1]).sigmoid(), n = (xs[2] + (xs[0] + hs[0]).sigmoid() * hs[2]).tanh();
    return {(hx[0] - n) * z + n};
  }
  return {kind == "relu" ? (x_gates + h_gates).relu() : (x_gates + h_gates).tanh()};
}

const std::vector<std::pair<QConfig, bool>> kSchemes{{default_dynamic_qconfig, false},
                                                     {per_channel_dynamic_qconfig, false},
                                                     {per_row_dynamic_qconfig, true},
                                                     {float16_dynamic_qconfig, false}};

template <class Quantized>
void expect_cell_scheme(OptionsOf<Quantized> options, const std::string& kind) {
  const at::Tensor x = torch::randn({3, 8});
  const Tensors hx{torch::randn({3, 6}), torch::randn({3, 6})};
  for (const bool bias : {true, false}) {
    const typename Quantized::Float module(options.bias(bias));
    for (const auto& [qconfig, per_row] : kSchemes) {
      const auto cell = Quantized::from_float(module, qconfig, "cell");
      const nn::StateDict state = cell->state_dict();
      EXPECT_EQ(state.contains("bias_ih"), bias);
      const Tensors expected =
          plain_step(kind, plain_linear(x, state, "ih", per_row), plain_linear(hx[0], state, "hh", per_row), hx);
      const Tensors got = call(*cell, x, hx);
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::allclose(got[i], expected[i], 0, 1e-5)) << kind << qconfig << bias;
    }
  }
}

TEST(DynamicRnnCells, FollowTheScheme) {
  torch::manual_seed(4);
  expect_cell_scheme<dynamic::LSTMCellImpl>({8, 6}, "LSTM");
  expect_cell_scheme<dynamic::GRUCellImpl>({8, 6}, "GRU");
  expect_cell_scheme<dynamic::RNNCellImpl>({8, 6}, "tanh");
  expect_cell_scheme<dynamic::RNNCellImpl>(torch::nn::RNNCellOptions(8, 6).nonlinearity(torch::kReLU), "relu");
}

/// One layer in one direction. Each step begins at the hidden state that the module computed, so that a rounding tie that falls
/// on the other side could show in one step only.
template <class Quantized>
void expect_sequence_scheme(const std::string& kind) {
  const at::Tensor x = torch::randn({5, 3, 8});
  for (const bool bias : {true, false}) {  // torch.ao refuses modules without biases
    const typename Quantized::Float module(OptionsOf<Quantized>(8, 6).bias(bias));
    for (const auto& [qconfig, per_row] : kSchemes) {
      Tensors hx{torch::randn({3, 6}), torch::randn({3, 6})};
      const auto rnn = Quantized::from_float(module, qconfig, "rnn");
      const nn::StateDict state = rnn->state_dict();
      EXPECT_EQ(state.contains("bias_ih_l0"), bias);
      const Tensors got = call(*rnn, x, {hx[0].unsqueeze(0), hx[1].unsqueeze(0)});
      const at::Tensor x_gates = plain_linear(x, state, "ih_l0", per_row);
      for (int64_t t = 0; t < x.size(0); ++t) {
        hx = plain_step(kind, x_gates[t], plain_linear(hx[0], state, "hh_l0", per_row), hx);
        EXPECT_TRUE(at::allclose(got[0][t], hx[0], 0, 1e-5)) << kind << qconfig << bias << t;
        hx[0] = got[0][t];
      }
      EXPECT_EQ(got.size(), hx.size() + 1);
      for (size_t i = 0; i < hx.size(); ++i) EXPECT_TRUE(at::allclose(got[i + 1][0], hx[i], 0, 1e-5)) << kind << qconfig << i;
    }
  }
}

TEST(DynamicRnn, FollowsTheSchemeStepByStep) {
  torch::manual_seed(5);
  expect_sequence_scheme<dynamic::LSTMImpl>("LSTM");
  expect_sequence_scheme<dynamic::GRUImpl>("GRU");
}

/// The cell `suffix` of a module as a module of its own.
template <class Quantized>
std::shared_ptr<Quantized> single(Quantized& module, const std::string& suffix, int64_t input_size) {
  nn::StateDict state;
  for (const auto& tensor : module.state_dict()) {
    for (const std::string ending : {"", "_scale", "_zero_point"}) {
      const std::string& name = tensor.key();
      if (name.ends_with(suffix + ending)) {
        state.insert(name.substr(0, name.size() - (suffix + ending).size()) + "_l0" + ending, at::Tensor(tensor.value()));
      }
    }
  }
  nn::Attributes attributes = module.attributes();
  attributes["num_layers"] = int64_t{1};
  attributes["bidirectional"] = false;
  attributes["input_size"] = input_size;
  return Quantized::from_state(state, attributes, suffix);
}

template <class Quantized>
void expect_stack_of_singles() {
  const typename Quantized::Float module(OptionsOf<Quantized>(8, 6).num_layers(2).bidirectional(true));
  const auto stack = Quantized::from_float(module, per_channel_dynamic_qconfig, "rnn");
  const at::Tensor x = torch::randn({5, 3, 8});
  const Tensors hx{torch::randn({4, 3, 6}), torch::randn({4, 3, 6})}, got = call(*stack, x, hx);
  at::Tensor data = x;
  for (int64_t layer = 0; layer < 2; ++layer) {
    Tensors outputs;
    for (int64_t direction = 0; direction < 2; ++direction) {
      const int64_t index = 2 * layer + direction;
      const auto one = single(*stack, c10::str("_l", layer, direction ? "_reverse" : ""), data.size(2));
      const Tensors alone =
          call(*one, direction ? data.flip(0) : data, {hx[0].slice(0, index, index + 1), hx[1].slice(0, index, index + 1)});
      outputs.push_back(direction ? alone[0].flip(0) : alone[0]);
      for (size_t i = 1; i < alone.size(); ++i) EXPECT_TRUE(alone[i][0].equal(got[i][index])) << index;
    }
    data = at::cat(outputs, 2);
  }
  EXPECT_TRUE(data.equal(got[0]));
}

TEST(DynamicRnn, StacksLayersAndDirections) {
  expect_stack_of_singles<dynamic::LSTMImpl>();
  expect_stack_of_singles<dynamic::GRUImpl>();
}

template <class Quantized>
void expect_rounded_weights() {
  for (const bool bias : {true, false}) {
    auto options = OptionsOf<Quantized>(8, 6).num_layers(2).bidirectional(true).bias(bias).batch_first(bias);
    typename Quantized::Float module(options);
    const auto quantized = Quantized::from_float(module, float16_dynamic_qconfig, "rnn");
    for (auto& parameter : module.named_parameters()) {
      if (parameter.key().starts_with("weight")) parameter.value().set_data(parameter.value().to(at::kHalf).to(at::kFloat));
    }
    const at::Tensor x = torch::randn({5, 3, 8});
    auto expected = module.forward(x);
    auto got = quantized->forward(x);
    EXPECT_TRUE(at::allclose(joined(tensors_of(got)), joined(tensors_of(expected)), 0, 1e-5)) << bias;
  }
}

TEST(DynamicRnn, ComputesInFloatWithHalves) {
  expect_rounded_weights<dynamic::LSTMImpl>();
  expect_rounded_weights<dynamic::GRUImpl>();
}

TEST(DynamicRnn, TakesBatchFirstUnbatchedAndStridedInput) {
  torch::nn::LSTM float_lstm(torch::nn::LSTMOptions(8, 6).num_layers(2).bidirectional(true));
  const auto lstm = dynamic::LSTMImpl::from_float(*float_lstm, per_row_dynamic_qconfig, "lstm");
  float_lstm->options.batch_first(true);
  const auto batch_first = dynamic::LSTMImpl::from_float(*float_lstm, per_row_dynamic_qconfig, "lstm");
  const at::Tensor x = torch::randn({5, 3, 8});
  const Tensors hx{torch::randn({4, 3, 6}), torch::randn({4, 3, 6})}, got = call(*lstm, x, hx);
  EXPECT_EQ(got[0].sizes(), (std::vector<int64_t>{5, 3, 12}));
  EXPECT_TRUE(call(*batch_first, x.transpose(0, 1), hx)[0].equal(got[0].transpose(0, 1)));
  EXPECT_TRUE(call(*lstm, at::stack({x, -x}, -1).select(-1, 0), hx)[0].equal(got[0]));
  // Per row, a sequence does not depend on the others in its batch.
  const Tensors alone = call(*lstm, x.select(1, 1), {hx[0].select(1, 1), hx[1].select(1, 1)});
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(alone[i].equal(got[i].select(1, 1))) << i;
}

TEST(DynamicRnn, RunsPackedSequencesAsEachByItself) {
  torch::nn::GRU float_gru(torch::nn::GRUOptions(8, 6).num_layers(2).bidirectional(true));
  const auto gru = dynamic::GRUImpl::from_float(*float_gru, per_row_dynamic_qconfig, "gru");
  const at::Tensor x = torch::randn({7, 3, 8}), lengths = torch::tensor({4, 7, 1}), h0 = torch::randn({4, 3, 6});
  const auto packed = pack_padded_sequence(x, lengths, /*batch_first=*/false, /*enforce_sorted=*/false);
  const auto [packed_out, last] = gru->forward_with_packed_input(packed, h0);
  const at::Tensor out = std::get<0>(pad_packed_sequence(packed_out));
  for (int64_t i = 0; i < 3; ++i) {
    const int64_t length = lengths[i].item<int64_t>();
    const auto [alone, alone_last] = gru->forward(x.select(1, i).slice(0, 0, length), h0.select(1, i));
    EXPECT_TRUE(out.select(1, i).slice(0, 0, length).equal(alone)) << i;
    EXPECT_TRUE(last.select(1, i).equal(alone_last)) << i;
  }
}

TEST(DynamicRnn, DropsOutBetweenLayersInTrainingOnly) {
  torch::nn::LSTM float_lstm(torch::nn::LSTMOptions(8, 6).num_layers(2).dropout(0.5));
  const auto lstm = dynamic::LSTMImpl::from_float(*float_lstm, default_dynamic_qconfig, "lstm");
  const at::Tensor x = torch::randn({5, 3, 8});
  EXPECT_FALSE(std::get<0>(lstm->forward(x)).equal(std::get<0>(lstm->forward(x))));
  lstm->eval();
  EXPECT_TRUE(std::get<0>(lstm->forward(x)).equal(std::get<0>(lstm->forward(x))));
  float_lstm->eval();
  EXPECT_FALSE(dynamic::LSTMImpl::from_float(*float_lstm, default_dynamic_qconfig, "lstm")->is_training());
}

TEST(DynamicRnn, GivesTheSameBitsAtEveryThreadCountAndAfterACopy) {
  const auto lstm = dynamic::LSTMImpl::from_float(*torch::nn::LSTM(40, 70), default_dynamic_qconfig, "lstm");
  const at::Tensor x = torch::randn({9, 20, 40});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = std::get<0>(lstm->forward(x));
  at::set_num_threads(4);
  EXPECT_TRUE(std::get<0>(lstm->forward(x)).equal(one));
  at::set_num_threads(threads);
  const auto copy = std::dynamic_pointer_cast<dynamic::LSTMImpl>(lstm->clone());
  EXPECT_TRUE(std::get<0>(copy->forward(x)).equal(one));
  const auto rebuilt = dynamic::LSTMImpl::from_state(lstm->state_dict(), lstm->attributes(), "lstm");
  EXPECT_TRUE(std::get<0>(rebuilt->forward(x)).equal(one));
  EXPECT_FALSE(std::get<0>(lstm->forward(x.clone().requires_grad_())).requires_grad());
  const c10::InferenceMode inference;
  EXPECT_TRUE(std::get<0>(lstm->forward(x)).equal(one));
}

TEST(DynamicRnn, TakesEmptyBatches) {
  const auto gru = dynamic::GRUImpl::from_float(*torch::nn::GRU(8, 6), default_dynamic_qconfig, "gru");
  EXPECT_EQ(std::get<0>(gru->forward(torch::zeros({4, 0, 8}))).sizes(), (std::vector<int64_t>{4, 0, 6}));
}

TEST(DynamicRnn, RefusesWhatItCannotTake) {
  const ModulePathScope scope("encoder.rnn");
  const auto lstm = dynamic::LSTMImpl::from_float(*torch::nn::LSTM(8, 6), default_dynamic_qconfig, "lstm");
  const at::Tensor x = torch::randn({4, 3, 8}), h = torch::zeros({1, 3, 6});
  EXPECT_EQ(error_text([&] { lstm->forward(torch::randn({4, 3, 7})); }),
            "encoder.rnn: got an input of shape [4, 3, 7], expected [time, batch, 8] or [time, 8]");
  EXPECT_NE(error_text([&] { lstm->forward(torch::randn({0, 3, 8})); }).find("at least one time step"), std::string::npos);
  EXPECT_NE(error_text([&] { lstm->forward(x.to(at::kDouble)); }).find("expected a float32 tensor"), std::string::npos);
  EXPECT_EQ(error_text([&] { lstm->forward(x, std::tuple(torch::zeros({2, 3, 6}), h)); }),
            "encoder.rnn: got a hidden state of shape [2, 3, 6], expected [1, 3, 6]");
  EXPECT_EQ(error_text([&] { lstm->forward(x.select(1, 0), std::tuple(h, h)); }),
            "encoder.rnn: got a hidden state of shape [1, 3, 6], expected [1, 6]");
  EXPECT_EQ(error_text([&] { lstm->forward(x, std::tuple(h, at::Tensor())); }), "encoder.rnn: got an undefined tensor for hx");
  EXPECT_NE(error_text([&] { lstm->forward(x, std::tuple(torch::full({1, 3, 6}, NAN), h)); }).find("holds NaN or infinite"),
            std::string::npos);
  EXPECT_NE(error_text([&] { lstm->forward(torch::full({4, 3, 8}, INFINITY)); }).find("encoder.rnn: the input holds NaN"),
            std::string::npos);
}

TEST(DynamicRnn, RefusesPackedSequencesThatDoNotFit) {
  const ModulePathScope scope("encoder.rnn");
  const auto gru = dynamic::GRUImpl::from_float(*torch::nn::GRU(8, 6), default_dynamic_qconfig, "gru");
  const torch::nn::utils::rnn::PackedSequence torn(torch::randn({5, 8}), torch::tensor({2, 2}));
  EXPECT_EQ(error_text([&] { gru->forward_with_packed_input(torn); }),
            "encoder.rnn: the batch sizes of the packed sequence do not fit its 5 rows; make it with pack_padded_sequence");
  const auto packed = pack_padded_sequence(torch::randn({4, 2, 8}), torch::tensor({2, 4}), false, /*enforce_sorted=*/false);
  for (const at::Tensor& hx : {torch::zeros({6}), torch::zeros({1, 1, 6})}) {
    EXPECT_EQ(error_text([&] { gru->forward_with_packed_input(packed, hx); }),
              c10::str("encoder.rnn: got a hidden state of shape ", hx.sizes(), ", expected [1, 2, 6]"));
  }
}

TEST(DynamicRnn, RefusesModulesAndStatesThatItCannotBeMadeOf) {
  EXPECT_EQ(
      error_text([] {
        const torch::nn::LSTM projected(torch::nn::LSTMOptions(8, 6).proj_size(3));
        dynamic::LSTMImpl::from_float(*projected, default_dynamic_qconfig, "lstm");
      }),
      "lstm: got an LSTM with proj_size = 3, which has no quantized form; keep it in float with a null qconfig for this module");
  const auto lstm = dynamic::LSTMImpl::from_float(*torch::nn::LSTM(8, 6), default_dynamic_qconfig, "lstm");
  const auto error = [&](const std::string& name, int64_t value) {
    nn::Attributes attributes = lstm->attributes();
    attributes[name] = value;
    return error_text([&] { dynamic::LSTMImpl::from_state(lstm->state_dict(), attributes, "lstm"); });
  };
  EXPECT_EQ(error("num_layers", int64_t{1} << 60), "lstm: the tensor \"weight_ih_l1\" is missing");
  EXPECT_EQ(error("hidden_size", int64_t{1} << 62),
            "lstm: got a weight_ih of shape [24, 8], expected [4 * 4611686018427387904, 8] for a LSTM");
  EXPECT_EQ(error("bias", 1), "lstm: the attribute \"bias\" has the wrong type");
  nn::Attributes attributes = lstm->attributes();
  attributes["bias"] = false;
  EXPECT_EQ(error_text([&] { dynamic::LSTMImpl::from_state(lstm->state_dict(), attributes, "lstm"); }),
            "lstm: the tensor \"bias_ih_l0\" is there, but the module has no biases");
  nn::StateDict state;
  for (const auto& tensor : lstm->state_dict()) {
    if (tensor.key() != "bias_hh_l0") state.insert(tensor.key(), at::Tensor(tensor.value()));
  }
  EXPECT_EQ(error_text([&] { dynamic::LSTMImpl::from_state(state, lstm->attributes(), "lstm"); }),
            "lstm: got only one of bias_ih and bias_hh, expected both or none");
}

TEST(DynamicRnnCells, TakeUnbatchedInputAndRoundTrip) {
  const auto cell = dynamic::LSTMCellImpl::from_float(*torch::nn::LSTMCell(8, 6), per_row_dynamic_qconfig, "cell");
  const at::Tensor x = torch::randn({3, 8});
  const Tensors hx{torch::randn({3, 6}), torch::randn({3, 6})}, next = call(*cell, x, hx);
  const Tensors alone = call(*cell, x[1], {hx[0][1], hx[1][1]});
  EXPECT_TRUE(alone[0].equal(next[0][1]) && alone[1].equal(next[1][1]));
  const auto rebuilt = dynamic::LSTMCellImpl::from_state(cell->state_dict(), cell->attributes(), "cell");
  EXPECT_TRUE(call(*rebuilt, x, hx)[0].equal(next[0]));
  EXPECT_TRUE(call(*cell, x, {torch::zeros({3, 6}), torch::zeros({3, 6})})[1].equal(std::get<1>(cell->forward(x))));
  const ModulePathScope scope("decoder.cell");
  EXPECT_EQ(error_text([&] { call(*cell, x, {hx[0], hx[1][0]}); }),
            "decoder.cell: got a hidden state of shape [6], expected [3, 6]");
  const torch::nn::RNNCell float_relu(torch::nn::RNNCellOptions(8, 6).nonlinearity(torch::kReLU));
  const auto relu = dynamic::RNNCellImpl::from_float(*float_relu, default_dynamic_qconfig, "cell");
  const auto relu_again = dynamic::RNNCellImpl::from_state(relu->state_dict(), relu->attributes(), "cell");
  EXPECT_TRUE(relu_again->forward(x).equal(relu->forward(x)));
}

TEST(DynamicRnn, PrintsWhatItIs) {
  std::ostringstream text;
  const torch::nn::GRU gru(torch::nn::GRUOptions(8, 6).num_layers(2));
  dynamic::GRUImpl::from_float(*gru, float16_dynamic_qconfig, "gru")->pretty_print(text);
  dynamic::LSTMCellImpl::from_float(*torch::nn::LSTMCell(8, 6), default_dynamic_qconfig, "cell")->pretty_print(text);
  EXPECT_EQ(text.str(),
            "octet::nn::quantized::dynamic::GRU(input_size=8, hidden_size=6, num_layers=2, bias=true, batch_first=false, "
            "dropout=0, bidirectional=false, dtype=float16)octet::nn::quantized::dynamic::LSTMCell(8, 6, dtype=qint8)");
}

}  // namespace
}  // namespace octet
