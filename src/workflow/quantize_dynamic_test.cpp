#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>

#include <functional>
#include <limits>
#include <sstream>

namespace octet {
namespace {

namespace dynamic = nn::quantized::dynamic;
using test::error_text;
using test::sqnr_db;

struct ClassifierImpl : nn::Cloneable<ClassifierImpl> {
  nn::Embedding embedding{nullptr};
  nn::LSTM lstm{nullptr};
  nn::LayerNorm norm{nullptr};
  nn::Sequential head{nullptr};
  ClassifierImpl() { reset(); }
  void reset() override {
    embedding = register_module("embedding", nn::Embedding(30, 16));
    lstm = register_module("lstm", nn::LSTM(nn::LSTMOptions(16, 12).batch_first(true).bidirectional(true)));
    norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({24})));
    head = register_module("head", nn::Sequential(nn::Linear(24, 20), nn::ReLU(), nn::Linear(20, 4)));
  }
  at::Tensor forward(const at::Tensor& tokens) {
    return head->forward(norm->forward(std::get<0>(lstm->forward(embedding->forward(tokens)))));
  }
};
TORCH_MODULE(Classifier);

struct TypedMembersImpl : torch::nn::Cloneable<TypedMembersImpl> {
  torch::nn::Linear plain{nullptr};
  nn::Linear slot{nullptr};
  torch::nn::Sequential list{nullptr};
  TypedMembersImpl() { reset(); }
  void reset() override {
    plain = register_module("plain", torch::nn::Linear(4, 4));
    slot = register_module("slot_", nn::Linear(4, 4));
    list = register_module("list", torch::nn::Sequential(torch::nn::Linear(4, 4), torch::nn::ReLU(), torch::nn::Dropout(0.5)));
  }
  at::Tensor forward(const at::Tensor& x) { return list->forward(slot->forward(plain->forward(x))); }
};
TORCH_MODULE(TypedMembers);

TEST(QuantizeDynamic, ReturnsAQuantizedCopyAndLeavesTheModelAlone) {
  torch::manual_seed(1);
  Classifier net;
  const at::Tensor tokens = torch::randint(0, 30, {3, 7});
  net->eval();
  const at::Tensor expected = net->forward(tokens);
  Report report;
  Classifier small = quantize_dynamic(net, {}, qint8, default_dynamic_quant_module_mappings(), false, &report);
  EXPECT_TRUE(net->forward(tokens).equal(expected));
  EXPECT_EQ(nn::as_slot(*net->lstm)->implementation(), nullptr);
  EXPECT_GT(sqnr_db(expected, small->forward(tokens)), 25);
  EXPECT_FALSE(small->forward(tokens).equal(expected));
  EXPECT_EQ(report.count(ModuleStatus::quantized), 3);
  EXPECT_EQ(report.find("lstm")->detail, "octet::nn::quantized::dynamic::LSTM");
  EXPECT_EQ(report.find("head.2")->detail, "octet::nn::quantized::dynamic::Linear");
  EXPECT_EQ(report.find("embedding")->detail, "no qconfig for it");
  EXPECT_EQ(report.find("norm")->status, ModuleStatus::kept);
  EXPECT_EQ(report.find("head.1")->status, ModuleStatus::kept);
  EXPECT_EQ(report.rows().size(), 6u);
}

TEST(QuantizeDynamic, WorksInPlaceAndTwiceChangesNothingMore) {
  Classifier net;
  const Report first = quantize_dynamic(*net);
  EXPECT_EQ(first.count(ModuleStatus::quantized), 3);
  EXPECT_FALSE(net->is_training());
  const auto implementation = nn::as_slot(*net->lstm)->implementation();
  const Report second = quantize_dynamic(*net);
  EXPECT_EQ(second.count(ModuleStatus::quantized), 0);
  EXPECT_EQ(second.find("lstm")->detail, "was octet::nn::quantized::dynamic::LSTM before");
  EXPECT_EQ(nn::as_slot(*net->lstm)->implementation(), implementation);
}

TEST(QuantizeDynamic, SwapsPlainModulesInASequentialAndReportsThoseInTypedMembers) {
  TypedMembers net;
  const at::Tensor x = torch::randn({2, 4});
  net->eval();
  const at::Tensor expected = net->forward(x);
  const Report report = quantize_dynamic(*net);
  EXPECT_EQ(report.find("plain")->status, ModuleStatus::not_swappable);
  EXPECT_EQ(report.find("plain")->detail, "a module of torch::nn in a member or list; declare it as octet::nn::Linear");
  EXPECT_EQ(report.find("slot_")->status, ModuleStatus::quantized);
  EXPECT_EQ(report.find("list.0")->status, ModuleStatus::quantized);
  EXPECT_EQ(report.find("list.1")->status, ModuleStatus::kept);
  EXPECT_GT(sqnr_db(expected, net->forward(x)), 25);
  for (const auto& parameter : net->named_parameters()) EXPECT_TRUE(parameter.key().starts_with("plain.")) << parameter.key();
}

TEST(QuantizeDynamic, TakesASetOfClassesAndPaths) {
  Classifier net;
  Report report = quantize_dynamic(*clone_model(net), {ModuleType::of<nn::Linear>()});
  EXPECT_EQ(report.count(ModuleStatus::quantized), 2);
  report = quantize_dynamic(*clone_model(net), {ModuleType::of<torch::nn::LSTM>(), "head.0"});
  EXPECT_EQ(report.count(ModuleStatus::quantized), 2);
  EXPECT_EQ(report.find("head.2")->status, ModuleStatus::kept);
}

TEST(QuantizeDynamic, TakesAMapInWhichTheMostSpecificRuleWins) {
  Classifier net;
  const QConfigMapping mapping = QConfigMapping()
                                     .set_object_type<nn::Linear>(per_row_dynamic_qconfig)
                                     .set_object_type<nn::LSTM>(float16_dynamic_qconfig)
                                     .set_object_type<nn::Embedding>(float_qparams_weight_only_qconfig)
                                     .set_module_name("head.2", std::nullopt);
  const Report report = quantize_dynamic(*net, mapping);
  EXPECT_EQ(report.find("embedding")->detail, "octet::nn::quantized::Embedding");
  EXPECT_EQ(report.find("head.0")->status, ModuleStatus::quantized);
  EXPECT_EQ(report.find("head.2")->detail, "null qconfig by module_name 'head.2'");
  std::ostringstream text;
  text << *net;
  EXPECT_NE(text.str().find("per_row=true"), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("dtype=float16"), std::string::npos) << text.str();
}

TEST(QuantizeDynamic, HasADefaultForEveryDtype) {
  for (const auto& [dtype, rows] :
       std::vector<std::pair<DType, int64_t>>{{qint8, 3}, {float16, 3}, {quint8, 1}, {quint4x2, 1}, {quint2x4, 1}}) {
    Classifier net;
    EXPECT_EQ(quantize_dynamic(*net, {}, dtype).count(ModuleStatus::quantized), rows) << dtype;
    EXPECT_EQ(net->forward(torch::randint(0, 30, {2, 5})).sizes(), (std::vector<int64_t>{2, 5, 4})) << dtype;
  }
  Classifier net;
  EXPECT_NE(error_text([&] { quantize_dynamic(*net, {}, qint32); }).find("got dtype qint32, expected qint8 or float16"),
            std::string::npos);
}

TEST(QuantizeDynamic, LeavesTheModelAsItWasWhenAnyModuleFails) {
  Classifier net;
  net->train();
  {
    torch::NoGradGuard no_grad;
    torch::nn::Module& last = *net->head[2];
    last.as<torch::nn::Linear>()->weight[0][0] = std::numeric_limits<float>::infinity();
  }
  EXPECT_NE(error_text([&] { quantize_dynamic(*net); }).find("head.2: weight: the weight holds NaN or infinite"),
            std::string::npos);
  EXPECT_EQ(nn::as_slot(*net->lstm)->implementation(), nullptr);
  EXPECT_TRUE(net->is_training());
}

TEST(QuantizeDynamic, RefusesAPathThatTheModelLacks) {
  Classifier net;
  EXPECT_EQ(
      error_text([&] { quantize_dynamic(*net, {"haed.0"}); }),
      "quantize_dynamic: the qconfig names the module \"haed.0\", which the model does not have; its modules are: embedding, "
      "lstm, norm, head, head.0, head.1, head.2");
}

TEST(QuantizeDynamic, SwapsAModuleThatIsUsedTwiceOnce) {
  nn::Linear shared(4, 4);
  torch::nn::Sequential net(shared, nn::ReLU(), shared);
  const Report report = quantize_dynamic(*net);
  EXPECT_EQ(report.find("2")->detail, "the same module as 0");
  EXPECT_EQ(nn::as_slot(*net[0])->implementation(), nn::as_slot(*net[2])->implementation());
  torch::nn::Linear plain(4, 4);
  torch::nn::Sequential plain_net(plain, plain);
  EXPECT_EQ(quantize_dynamic(*plain_net).find("0")->status, ModuleStatus::not_swappable);
}

/// A class of a user's own that takes the place of Linear.
struct SignLinearImpl : nn::LinearImpl::Implementation {
  at::Tensor weight;
  static std::shared_ptr<SignLinearImpl> from_float(const torch::nn::LinearImpl& module, const QConfig&, const std::string&) {
    auto made = std::make_shared<SignLinearImpl>();
    made->weight = module.weight.detach().sign();
    return made;
  }
  at::Tensor forward(const at::Tensor& x) override { return torch::linear(x, weight); }
  std::string kind() const override { return "user::SignLinear"; }
  nn::StateDict state_dict() const override {
    nn::StateDict state;
    state.insert("weight", at::Tensor(weight));
    return state;
  }
  nn::Attributes attributes() const override { return {}; }
  int64_t weight_bytes() const override { return static_cast<int64_t>(weight.nbytes()); }
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>&) const override {
    return std::make_shared<SignLinearImpl>(*this);
  }
};

TEST(QuantizeDynamic, TakesPairsOfTheUsersOwn) {
  nn::Linear fc(6, 3);
  const at::Tensor x = torch::randn({2, 6}), expected = torch::linear(x, fc->weight.detach().sign());
  auto mappings = default_dynamic_quant_module_mappings();
  mappings.set<nn::Linear, SignLinearImpl>();
  EXPECT_EQ(quantize_dynamic(*fc, {}, qint8, mappings).find("")->detail, "user::SignLinear");
  EXPECT_TRUE(fc->forward(x).equal(expected));
  mappings.set(typeid(torch::nn::GRUImpl),
               [](const auto&, const auto&, const auto&) { return std::make_shared<SignLinearImpl>(); });
  nn::GRU gru(4, 4);
  EXPECT_NE(error_text([&] { quantize_dynamic(*gru, {}, qint8, mappings); }).find("does not answer the calls of this slot"),
            std::string::npos);
}

TEST(QuantizeDynamic, KeepsHooksAndNamesOfASequential) {
  torch::nn::Sequential net;
  net->push_back("first", nn::Linear(4, 4));
  net->push_back("second", nn::Linear(4, 4));
  int calls = 0;
  nn::as_slot(*net[0])->register_forward_hook([&](auto&, auto&, auto&) { ++calls; });
  auto small = quantize_dynamic(net);
  small->forward(torch::randn({1, 4}));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(small->named_children().contains("second"));
}

TEST(QuantizeDynamic, KeepsATransformerAccurateWithPerRowActivations) {
  // Rows of very different size, as in real encoders, ruin a scale that they must share.
  torch::manual_seed(5);
  torch::nn::Sequential net(nn::Linear(64, 256), torch::nn::GELU(), nn::Linear(256, 64));
  at::Tensor x = torch::randn({32, 64});
  x[0] *= 200;
  const at::Tensor expected = net->forward(x);
  const auto row_sqnr = [&](const QConfig& qconfig) {
    auto small = quantize_dynamic(net, QConfigMapping().set_object_type<nn::Linear>(qconfig));
    return sqnr_db(expected.slice(0, 1), small->forward(x).slice(0, 1));
  };
  EXPECT_GT(row_sqnr(per_row_dynamic_qconfig), 35);
  EXPECT_LT(row_sqnr(per_channel_dynamic_qconfig), 20);
}

TEST(Report, IsATableThatCounts) {
  Report report;
  report.add({"encoder.fc", "Linear", ModuleStatus::quantized, "octet::nn::quantized::dynamic::Linear"});
  report.add({"", "Net", ModuleStatus::kept, "no qconfig for it"});
  std::ostringstream text;
  text << report;
  EXPECT_EQ(text.str(),
            "module      type    status         detail\n"
            "encoder.fc  Linear  quantized      octet::nn::quantized::dynamic::Linear\n"
            "(model)     Net     kept           no qconfig for it\n"
            "1 quantized, 1 kept\n");
  EXPECT_EQ(report.find("nowhere"), nullptr);
}

}  // namespace
}  // namespace octet
