#include <octet/nn/dynamic_rnn.h>
#include <octet/nn/dynamic_rnn_cells.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>

#include <cmath>
#include <functional>
#include <sstream>

namespace octet {
namespace {

namespace dynamic = nn::quantized::dynamic;
using test::error_text;
using test::sqnr_db;
using torch::nn::utils::rnn::pack_padded_sequence;
using torch::nn::utils::rnn::pad_packed_sequence;

template <class Module>
void set_parameters(Module& module, const c10::Dict<c10::IValue, c10::IValue>& values) {
  const torch::NoGradGuard no_grad;
  auto parameters = module.named_parameters();
  for (const auto& entry : values) parameters[entry.key().toStringRef()].copy_(entry.value().toTensor());
}

/// Holds a module that Python quantized against ours of the same float parameters.
template <class Quantized, class Float>
void expect_as_accurate_as_python(Float& module, const c10::Dict<c10::IValue, c10::IValue>& answer, const std::string& which) {
  set_parameters(module, answer.at("parameters").toGenericDict());
  const at::Tensor x = answer.at("x").toTensor(), expected = answer.at("float_out").toTensor();
  const auto output = [&](const QConfig& qconfig) {
    const auto result = Quantized::from_float(module, qconfig, "rnn")->forward(x);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(result)>, at::Tensor>) {
      return result;
    } else {
      return std::get<0>(result);
    }
  };
  EXPECT_TRUE(at::allclose(output(float16_dynamic_qconfig), answer.at("float16").toTensor(), 1e-4, 1e-5)) << which;
  const at::Tensor python = answer.at("qint8").toTensor();
  EXPECT_GT(sqnr_db(expected, output(default_dynamic_qconfig)), sqnr_db(expected, python) - 1) << which;
  const at::Tensor distance = (output(default_dynamic_qconfig) - python).abs();
  EXPECT_LT(distance.max().item().toDouble(), 0.04) << which;
}

TEST(DynamicRnn, IsAsAccurateAsTorchAoOverTheOptions) {
  const auto answers = test::load_oracle("nn/dynamic_rnn");
  for (const c10::IValue& item : answers.at("sequences").toListRef()) {
    const auto answer = item.toGenericDict();
    const int64_t layers = answer.at("layers").toInt();
    const bool bidirectional = answer.at("bidirectional").toBool();
    const std::string which = c10::str(answer.at("class").toStringRef(), layers, bidirectional);
    if (answer.at("class").toStringRef() == "LSTM") {
      torch::nn::LSTM module(torch::nn::LSTMOptions(12, 10).num_layers(layers).bidirectional(bidirectional));
      expect_as_accurate_as_python<dynamic::LSTMImpl>(*module, answer, which);
    } else {
      torch::nn::GRU module(torch::nn::GRUOptions(12, 10).num_layers(layers).bidirectional(bidirectional));
      expect_as_accurate_as_python<dynamic::GRUImpl>(*module, answer, which);
    }
  }
}

TEST(DynamicRnnCells, AreAsAccurateAsTorchAo) {
  const auto answers = test::load_oracle("nn/dynamic_rnn");
  for (const c10::IValue& item : answers.at("cells").toListRef()) {
    const auto answer = item.toGenericDict();
    const std::string which = answer.at("class").toStringRef();
    if (which == "LSTMCell") {
      expect_as_accurate_as_python<dynamic::LSTMCellImpl>(*torch::nn::LSTMCell(12, 10), answer, which);
    } else if (which == "GRUCell") {
      expect_as_accurate_as_python<dynamic::GRUCellImpl>(*torch::nn::GRUCell(12, 10), answer, which);
    } else {
      torch::nn::RNNCellOptions options(12, 10);
      if (answer.at("relu").toBool()) options.nonlinearity(torch::kReLU);
      expect_as_accurate_as_python<dynamic::RNNCellImpl>(*torch::nn::RNNCell(options), answer, which);
    }
  }
}

/// The scheme in plain tensor operations: exact sums of integers, held in doubles.
at::Tensor plain_linear(const at::Tensor& x, const nn::StateDict& state, const std::string& suffix) {
  const auto [scale, zero_point] = at::_choose_qparams_per_tensor(x, /*reduce_range=*/false);
  const at::Tensor q = (x * (1.0f / static_cast<float>(scale))).round().add(zero_point).clamp(0, 255).to(at::kDouble) -
                       static_cast<double>(zero_point);
  const at::Tensor sums = q.matmul(state["weight_" + suffix].to(at::kDouble).t());
  return (sums * scale * state["weight_" + suffix + "_scale"].to(at::kDouble) + state["bias_" + suffix].to(at::kDouble))
      .to(at::kFloat);
}

TEST(DynamicRnn, FollowsTheSchemeStepByStep) {
  torch::manual_seed(4);
  const at::Tensor x = torch::randn({5, 3, 8});
  {
    const auto lstm = dynamic::LSTMImpl::from_float(*torch::nn::LSTM(8, 6), per_channel_dynamic_qconfig, "lstm");
    const nn::StateDict state = lstm->state_dict();
    const at::Tensor x_gates = plain_linear(x, state, "ih_l0");
    at::Tensor h = torch::randn({3, 6}), c = torch::randn({3, 6});
    const auto [out, last] = lstm->forward(x, std::tuple(h.unsqueeze(0), c.unsqueeze(0)));
    for (int64_t t = 0; t < 5; ++t) {
      const auto gates = (x_gates[t] + plain_linear(h, state, "hh_l0")).chunk(4, 1);
      c = gates[1].sigmoid() * c + gates[0].sigmoid() * gates[2].tanh();
      h = gates[3].sigmoid() * c.tanh();
      EXPECT_TRUE(at::allclose(out[t], h, 0, 2e-3)) << t;  // a rounding tie of h may fall on the other side
      h = out[t];
    }
    EXPECT_TRUE(std::get<0>(last)[0].equal(out[4]));
    EXPECT_TRUE(at::allclose(std::get<1>(last)[0], c, 0, 5e-3));
  }
  const auto gru = dynamic::GRUImpl::from_float(*torch::nn::GRU(8, 6), default_dynamic_qconfig, "gru");
  const nn::StateDict state = gru->state_dict();
  const at::Tensor x_gates = plain_linear(x, state, "ih_l0");
  at::Tensor h = torch::zeros({3, 6});
  const at::Tensor out = std::get<0>(gru->forward(x));
  for (int64_t t = 0; t < 5; ++t) {
    const auto xs = x_gates[t].chunk(3, 1), hs = plain_linear(h, state, "hh_l0").chunk(3, 1);
    const at::Tensor z = (xs[1] + hs[1]).sigmoid(), n = (xs[2] + (xs[0] + hs[0]).sigmoid() * hs[2]).tanh();
    EXPECT_TRUE(at::allclose(out[t], (h - n) * z + n, 0, 1e-5)) << t;
    h = out[t];
  }
}

TEST(DynamicRnn, TakesBatchFirstAndUnbatchedInput) {
  torch::nn::LSTM float_lstm(torch::nn::LSTMOptions(8, 6).num_layers(2).bidirectional(true));
  const auto lstm = dynamic::LSTMImpl::from_float(*float_lstm, per_row_dynamic_qconfig, "lstm");
  float_lstm->options.batch_first(true);
  const auto batch_first = dynamic::LSTMImpl::from_float(*float_lstm, per_row_dynamic_qconfig, "lstm");
  const at::Tensor x = torch::randn({5, 3, 8});
  const auto [out, states] = lstm->forward(x);
  EXPECT_EQ(out.sizes(), (std::vector<int64_t>{5, 3, 12}));
  EXPECT_TRUE(std::get<0>(batch_first->forward(x.transpose(0, 1))).equal(out.transpose(0, 1)));
  // Per row, a sequence does not depend on the others in its batch.
  const auto [alone, last] = lstm->forward(x.select(1, 1));
  EXPECT_TRUE(alone.equal(out.select(1, 1)));
  EXPECT_TRUE(std::get<1>(last).equal(std::get<1>(states).select(1, 1)));
}

TEST(DynamicRnn, RunsPackedSequencesAsEachByItself) {
  torch::nn::GRU float_gru(torch::nn::GRUOptions(8, 6).num_layers(2).bidirectional(true));
  const auto gru = dynamic::GRUImpl::from_float(*float_gru, per_row_dynamic_qconfig, "gru");
  const at::Tensor x = torch::randn({7, 3, 8}), lengths = torch::tensor({4, 7, 2}), h0 = torch::randn({4, 3, 6});
  const auto packed = pack_padded_sequence(x, lengths, /*batch_first=*/false, /*enforce_sorted=*/false);
  const auto [packed_out, last] = gru->forward_with_packed_input(packed, h0);
  const at::Tensor out = std::get<0>(pad_packed_sequence(packed_out));
  for (int64_t i = 0; i < 3; ++i) {
    const int64_t length = lengths[i].item<int64_t>();
    const auto [alone, alone_last] = gru->forward(x.select(1, i).slice(0, 0, length), h0.select(1, i).contiguous());
    EXPECT_TRUE(out.select(1, i).slice(0, 0, length).equal(alone)) << i;
    EXPECT_TRUE(last.select(1, i).equal(alone_last)) << i;
  }
}

TEST(DynamicRnn, DropsOutBetweenLayersInTrainingOnly) {
  torch::nn::LSTM float_lstm(torch::nn::LSTMOptions(8, 6).num_layers(2).dropout(0.5));
  const auto lstm = dynamic::LSTMImpl::from_float(*float_lstm, default_dynamic_qconfig, "lstm");
  const at::Tensor x = torch::randn({5, 3, 8});
  lstm->eval();
  EXPECT_TRUE(std::get<0>(lstm->forward(x)).equal(std::get<0>(lstm->forward(x))));
  lstm->train();
  EXPECT_FALSE(std::get<0>(lstm->forward(x)).equal(std::get<0>(lstm->forward(x))));
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
}

TEST(DynamicRnn, DoesWithoutBiases) {  // which torch.ao refuses
  torch::nn::GRU float_gru(torch::nn::GRUOptions(8, 6).bias(false));
  const at::Tensor x = torch::randn({4, 3, 8});
  const auto gru = dynamic::GRUImpl::from_float(*float_gru, per_channel_dynamic_qconfig, "gru");
  EXPECT_GT(sqnr_db(std::get<0>(float_gru->forward(x)), std::get<0>(gru->forward(x))), 30);
  EXPECT_FALSE(gru->state_dict().contains("bias_ih_l0"));
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
            "encoder.rnn: got a hidden state of shape [2, 3, 6], expected [1, 3, 6] for 1 layers in 1 direction");
  EXPECT_NE(error_text([&] { lstm->forward(x, std::tuple(torch::full({1, 3, 6}, NAN), h)); }).find("holds NaN or infinite"),
            std::string::npos);
  EXPECT_NE(
      error_text([&] { lstm->forward(torch::full({4, 3, 8}, INFINITY)); }).find("encoder.rnn: the input holds NaN or infinite"),
      std::string::npos);
  const torch::nn::utils::rnn::PackedSequence torn(torch::randn({5, 8}), torch::tensor({2, 2}));
  EXPECT_NE(error_text([&] { lstm->forward_with_packed_input(torn); }).find("do not fit its 5 rows"), std::string::npos);
  EXPECT_EQ(
      error_text([] {
        dynamic::LSTMImpl::from_float(*torch::nn::LSTM(torch::nn::LSTMOptions(8, 6).proj_size(3)), default_dynamic_qconfig,
                                      "lstm");
      }),
      "lstm: got an LSTM with proj_size = 3, which has no quantized form; keep it in float with a null qconfig for this module");
  auto attributes = lstm->attributes();
  attributes["num_layers"] = int64_t{1} << 60;
  EXPECT_NE(error_text([&] {
              dynamic::LSTMImpl::from_state(lstm->state_dict(), attributes, "lstm");
            }).find("\"weight_ih_l1\" is missing"),
            std::string::npos);
  attributes = lstm->attributes();
  attributes["hidden_size"] = int64_t{7};
  EXPECT_NE(error_text([&] {
              dynamic::LSTMImpl::from_state(lstm->state_dict(), attributes, "lstm");
            }).find("expected [28, 8] for a LSTM"),
            std::string::npos);
}

TEST(DynamicRnnCells, TakeStatesAndUnbatchedInputAndRoundTrip) {
  const auto cell = dynamic::LSTMCellImpl::from_float(*torch::nn::LSTMCell(8, 6), per_row_dynamic_qconfig, "cell");
  const at::Tensor x = torch::randn({3, 8}), h = torch::randn({3, 6}), c = torch::randn({3, 6});
  const auto [h1, c1] = cell->forward(x, std::tuple(h, c));
  const auto [h_alone, c_alone] = cell->forward(x[1], std::tuple(h[1], c[1]));
  EXPECT_TRUE(h_alone.equal(h1[1]) && c_alone.equal(c1[1]));
  const auto rebuilt = dynamic::LSTMCellImpl::from_state(cell->state_dict(), cell->attributes(), "cell");
  EXPECT_TRUE(std::get<0>(rebuilt->forward(x, std::tuple(h, c))).equal(h1));
  const ModulePathScope scope("decoder.cell");
  EXPECT_EQ(error_text([&] { cell->forward(x, std::tuple(h, c[0])); }),
            "decoder.cell: got a hidden state of shape [6], expected [3, 6]");
  const auto relu = dynamic::RNNCellImpl::from_float(
      *torch::nn::RNNCell(torch::nn::RNNCellOptions(8, 6).nonlinearity(torch::kReLU)), default_dynamic_qconfig, "cell");
  const auto relu_again = dynamic::RNNCellImpl::from_state(relu->state_dict(), relu->attributes(), "cell");
  EXPECT_TRUE(relu_again->forward(x).equal(relu->forward(x)));
  EXPECT_GE(relu->forward(x).min().item<float>(), 0);
}

TEST(DynamicRnn, PrintsWhatItIs) {
  std::ostringstream text;
  dynamic::GRUImpl::from_float(*torch::nn::GRU(torch::nn::GRUOptions(8, 6).num_layers(2)), float16_dynamic_qconfig, "gru")
      ->pretty_print(text);
  dynamic::LSTMCellImpl::from_float(*torch::nn::LSTMCell(8, 6), default_dynamic_qconfig, "cell")->pretty_print(text);
  EXPECT_EQ(text.str(),
            "octet::nn::quantized::dynamic::GRU(input_size=8, hidden_size=6, num_layers=2, bias=true, batch_first=false, "
            "dropout=0, bidirectional=false, dtype=float16)octet::nn::quantized::dynamic::LSTMCell(8, 6, dtype=qint8)");
}

}  // namespace
}  // namespace octet
