#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>

#include <functional>
#include <sstream>

namespace octet {
namespace {

using test::error_text;

/// Gives a batch norm statistics and weights that folding has to get right.
void stir(torch::nn::Module& model) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model.named_parameters()) parameter.value().normal_();
  for (auto& buffer : model.named_buffers()) {
    if (buffer.key().ends_with("running_mean")) buffer.value().normal_();
    if (buffer.key().ends_with("running_var")) buffer.value().uniform_(0.5, 2);
  }
}

/// A model of the sequence, the modules to fuse, and an input.
struct Case {
  const char* name;
  torch::nn::Sequential model;
  std::vector<int64_t> input;
};

std::vector<Case> all_sequences() {
  using namespace octet::nn;
  return {
      {"Conv1d BN", Sequential(Conv1d(3, 4, 3), BatchNorm1d(4)), {2, 3, 8}},
      {"Conv2d BN", Sequential(Conv2d(Conv2dOptions(3, 4, 3).bias(false)), BatchNorm2d(4)), {2, 3, 8, 8}},
      {"Conv3d BN", Sequential(Conv3d(3, 4, 3), BatchNorm3d(BatchNormOptions(4).affine(false))), {2, 3, 5, 5, 5}},
      {"Conv1d BN ReLU", Sequential(Conv1d(3, 4, 3), BatchNorm1d(4), ReLU()), {2, 3, 8}},
      {"Conv2d BN ReLU", Sequential(Conv2d(Conv2dOptions(4, 4, 3).groups(2).stride(2)), BatchNorm2d(4), ReLU()), {2, 4, 8, 8}},
      {"Conv3d BN ReLU", Sequential(Conv3d(3, 4, 3), BatchNorm3d(4), ReLU()), {2, 3, 5, 5, 5}},
      {"Conv1d ReLU", Sequential(Conv1d(3, 4, 3), ReLU()), {2, 3, 8}},
      {"Conv2d ReLU", Sequential(Conv2d(3, 4, 3), ReLU()), {2, 3, 8, 8}},
      {"Conv3d ReLU", Sequential(Conv3d(3, 4, 3), ReLU()), {2, 3, 5, 5, 5}},
      {"Linear BN", Sequential(Linear(LinearOptions(5, 4).bias(false)), BatchNorm1d(4)), {6, 5}},
      {"Linear BN ReLU", Sequential(Linear(5, 4), BatchNorm1d(4), ReLU()), {6, 5}},
      {"Linear ReLU", Sequential(Linear(5, 4), ReLU()), {6, 5}},
      {"BN2d ReLU", Sequential(BatchNorm2d(4), ReLU()), {2, 4, 3, 3}},
      {"BN3d ReLU", Sequential(BatchNorm3d(4), ReLU()), {2, 4, 3, 3, 3}},
      {"ConvTranspose1d BN", Sequential(ConvTranspose1d(3, 4, 3), BatchNorm1d(4)), {2, 3, 8}},
      {"ConvTranspose2d BN",
       Sequential(ConvTranspose2d(ConvTranspose2dOptions(4, 6, 3).groups(2)), BatchNorm2d(6)),
       {2, 4, 5, 5}},
      {"ConvTranspose3d BN", Sequential(ConvTranspose3d(3, 4, 2), BatchNorm3d(4)), {2, 3, 3, 3, 3}},
  };
}

void expect_fusing_changes_nothing(const std::vector<Case>& sequences, const FuserMethodMappings& mappings) {
  torch::manual_seed(1);
  for (Case sequence : sequences) {
    stir(*sequence.model);
    sequence.model->eval();
    const at::Tensor x = torch::randn(sequence.input);
    const at::Tensor expected = sequence.model->forward(x);
    std::vector<std::string> all;
    for (size_t i = 0; i < sequence.model->size(); ++i) all.push_back(std::to_string(i));
    Report report;
    auto fused = fuse_modules(sequence.model, all, false, mappings, &report);
    EXPECT_TRUE(at::allclose(fused->forward(x), expected, 1e-4, 1e-4)) << sequence.name;
    EXPECT_EQ(report.count(ModuleStatus::fused), static_cast<int64_t>(all.size())) << sequence.name;
    for (const auto& parameter : fused->named_parameters()) EXPECT_TRUE(parameter.key().starts_with("0.")) << parameter.key();
    auto clone = clone_model(fused);  // the fused model clones, with its new biases
    EXPECT_TRUE(clone->forward(x).equal(fused->forward(x))) << sequence.name;
    EXPECT_TRUE(sequence.model->forward(x).equal(expected)) << sequence.name;
  }
}

TEST(FuseModules, ComputesWhatTheSequenceDidForEveryPattern) {
  expect_fusing_changes_nothing(all_sequences(), default_fuser_method_mappings());
}

TEST(FuseModules, KnowsTheSequencesOfOnednnWhenAsked) {
  using namespace octet::nn;
  const std::vector<Case> sequences{
      {"Linear LeakyReLU", Sequential(Linear(5, 4), LeakyReLU(LeakyReLUOptions().negative_slope(0.3))), {6, 5}},
      {"Linear BN LeakyReLU", Sequential(Linear(5, 4), BatchNorm1d(4), LeakyReLU()), {6, 5}},
      {"Linear Tanh", Sequential(Linear(5, 4), Tanh()), {6, 5}},
  };
  expect_fusing_changes_nothing(sequences, onednn_fuser_method_mappings());
  expect_fusing_changes_nothing(all_sequences(), onednn_fuser_method_mappings());
  const auto fuse = [&] { fuse_modules(*clone_model(sequences[0].model), {"0", "1"}); };
  EXPECT_NE(error_text(fuse).find("nothing is known that fuses (Linear, LeakyReLU)"), std::string::npos);

  Sequential model(Linear(5, 4), LeakyReLU(LeakyReLUOptions().negative_slope(0.3)));
  fuse_modules(*model, {"0", "1"}, onednn_fuser_method_mappings());
  std::ostringstream text;
  text << *model;
  EXPECT_NE(text.str().find("octet::nn::intrinsic::LinearLeakyReLU(negative_slope=0.3)"), std::string::npos) << text.str();
}

TEST(FuseModules, TakesOneListOrManyHoweverTheyAreWritten) {
  const std::string prefix = "m";
  const std::vector<std::string> list{"a", "b", "c"};
  const std::vector<std::vector<std::string>> lists{{"a", "b"}, {"c", "d"}};
  const auto read = [](const ModulesToFuse& modules) {
    return static_cast<const std::vector<std::vector<std::string>>&>(modules);
  };
  using Lists = std::vector<std::vector<std::string>>;
  EXPECT_EQ(read({"a", "b"}), (Lists{{"a", "b"}}));
  EXPECT_EQ(read({"a", "b", "c"}), Lists{list});
  EXPECT_EQ(read({{"a", "b"}}), (Lists{{"a", "b"}}));
  EXPECT_EQ(read({{"a", "b", "c"}}), Lists{list});
  EXPECT_EQ(read({{"a"}}), (Lists{{"a"}}));
  EXPECT_EQ(read({{"a", "b"}, {"c", "d"}}), lists);
  EXPECT_EQ(read({prefix + "a", "b"}), (Lists{{"ma", "b"}}));
  EXPECT_EQ(read({{prefix + "a", "b"}, list}), (Lists{{"ma", "b"}, {"a", "b", "c"}}));
  EXPECT_EQ(read(list), Lists{list});
  EXPECT_EQ(read({list}), Lists{list});
  EXPECT_EQ(read(lists), lists);
  EXPECT_TRUE(read({}).empty());
}

/// A fused module of a user's own.
class LinearSigmoidImpl : public nn::intrinsic::WithActivation<LinearSigmoidImpl, torch::nn::LinearImpl> {
 public:
  static constexpr const char* kKind = "LinearSigmoid";

 protected:
  at::Tensor activation(const at::Tensor& input) const override { return at::sigmoid(input); }
};

TEST(FuseModules, FusesSequencesOfAUsersOwn) {
  FuserMethodMappings mappings = default_fuser_method_mappings();
  mappings.set<nn::Linear, nn::Sigmoid>([](const torch::nn::LinearImpl&, const torch::nn::SigmoidImpl&) {
    return FusedModule{.implementation = std::make_shared<LinearSigmoidImpl>()};
  });
  // Two linear modules are one: parameters change, and nothing takes the place of the float module.
  mappings.set<nn::Linear, nn::Linear>([](const torch::nn::LinearImpl& first, const torch::nn::LinearImpl& second) {
    check(first.options.in_features() == second.options.out_features(), "only back to where it came from");
    return FusedModule{.weight = second.weight.mm(first.weight), .bias = second.weight.mv(first.bias) + second.bias};
  });
  nn::Sequential model(nn::Linear(4, 4), nn::Linear(4, 4), nn::Linear(4, 3), nn::Sigmoid(), nn::Linear(3, 2));
  const at::Tensor x = torch::randn({5, 4}), expected = model->forward(x);
  const auto impossible = [&] { fuse_modules(*model, {{"0", "1"}, {"2", "4"}}, mappings); };
  EXPECT_EQ(error_text(impossible), "fuse_modules: (Linear, Linear) (\"2\", \"4\"): only back to where it came from");
  EXPECT_TRUE(model->forward(x).equal(expected));

  const Report report = fuse_modules(*model, {{"0", "1"}, {"2", "3"}}, mappings);
  EXPECT_TRUE(at::allclose(model->forward(x), expected, 1e-5, 1e-5));
  EXPECT_EQ(report.find("0")->detail, "computes for 2 modules, as Linear");
  EXPECT_EQ(report.find("2")->detail, "computes for 2 modules, as LinearSigmoid");
  EXPECT_EQ(nn::as_slot(*model[0])->implementation(), nullptr);

  mappings.erase<nn::Linear, nn::Sigmoid>();
  EXPECT_EQ(mappings.find({typeid(torch::nn::LinearImpl), typeid(torch::nn::SigmoidImpl)}), nullptr);
}

TEST(FuseModules, RefusesWhatAFuserMethodMustNotReturn) {
  nn::Sequential model(nn::ReLU(), nn::Tanh(), nn::EmbeddingBag(3, 3), nn::Tanh());
  FuserMethodMappings mappings;
  mappings.set<nn::ReLU, nn::Tanh>(
      [](const torch::nn::ReLUImpl&, const torch::nn::TanhImpl&) { return FusedModule{.weight = torch::ones({1})}; });
  // An embedding bag takes three arguments, which no activation answers.
  mappings.set<nn::EmbeddingBag, nn::Tanh>([](const torch::nn::EmbeddingBagImpl&, const torch::nn::TanhImpl&) {
    return FusedModule{.implementation = std::make_shared<LinearSigmoidImpl>()};
  });
  const auto weight = [&] { fuse_modules(*model, {"0", "1"}, mappings); };
  EXPECT_NE(error_text(weight).find("returned a weight, but the first module has none"), std::string::npos);
  const auto signature = [&] { fuse_modules(*model, {"2", "3"}, mappings); };
  EXPECT_NE(error_text(signature).find("LinearSigmoid does not answer the calls of this slot"), std::string::npos);
}

TEST(FuseModules, MovesHooksAsPythonDoes) {
  for (const bool plain_first : {false, true}) {
    nn::Sequential model = plain_first ? nn::Sequential(torch::nn::Linear(4, 4), nn::BatchNorm1d(4), nn::ReLU())
                                       : nn::Sequential(nn::Linear(4, 4), nn::BatchNorm1d(4), nn::ReLU());
    model->eval();
    std::string calls;
    at::Tensor seen;
    const auto pre_hook = [&](const std::string& name) { return [&, name](auto&, auto&) { calls += name; }; };
    const auto hook = [&](const std::string& name) { return [&, name](auto&, auto&, auto&) { calls += name; }; };
    for (size_t i = plain_first ? 1 : 0; i < 3; ++i) {
      nn::as_slot(*model[i])->register_forward_pre_hook(pre_hook("<" + std::to_string(i)));
      nn::as_slot(*model[i])->register_forward_hook(hook(std::to_string(i) + ">"));
    }
    nn::as_slot(*model[2])->register_forward_hook([&](auto&, auto&, auto& outputs) { seen = outputs[0]; });
    const Report report = fuse_modules(*model, {"0", "1", "2"});
    const at::Tensor y = model->forward(torch::randn({2, 4}));
    EXPECT_EQ(calls, plain_first ? "2>" : "<02>");
    EXPECT_TRUE(seen.is_same(y));
    EXPECT_EQ(report.find("0")->detail, plain_first ? "computes for 3 modules, as LinearReLU; 3 hooks between them are gone"
                                                    : "computes for 3 modules, as LinearReLU; 4 hooks between them are gone");
  }
}

TEST(FuseModules, LeavesModulesThatShareTheWeightAlone) {
  nn::Linear first(4, 4), second(4, 4);
  nn::detail::ModuleInternals::parameters(*second)["weight"] = second->weight = first->weight;
  nn::Sequential model(first, nn::BatchNorm1d(4), second);
  stir(*model);
  model->eval();
  const at::Tensor x = torch::randn({3, 4}), expected = model->forward(x);
  fuse_modules(*model, {"0", "1"});
  EXPECT_TRUE(at::allclose(model->forward(x), expected, 1e-4, 1e-5));
  EXPECT_FALSE(first->weight.equal(second->weight));
}

TEST(FuseModules, PlainModulesInASequentialFuseToo) {
  torch::nn::Sequential model(torch::nn::Linear(5, 4), torch::nn::ReLU());
  const at::Tensor x = torch::randn({3, 5}), expected = model->forward(x);
  fuse_modules(*model, {{"0", "1"}});
  EXPECT_TRUE(model->forward(x).equal(expected));
  std::ostringstream text;
  text << *model;
  EXPECT_NE(text.str().find("octet::nn::intrinsic::LinearReLU()"), std::string::npos) << text.str();
}

TEST(FuseModules, FoldsAsPythonDoes) {
  const auto oracle = test::load_oracle("workflow/fuse_modules");
  const auto check_case = [&](const char* name, torch::nn::Sequential model) {
    const auto answer = oracle.at(name).toGenericDict();
    const torch::NoGradGuard no_grad;
    auto tensors = state_dict(*model);
    for (const auto& entry : answer.at("before").toGenericDict())
      tensors[entry.key().toStringRef()].copy_(entry.value().toTensor());
    model->eval();
    fuse_modules(*model, {{"0", "1"}});
    tensors = state_dict(*model);
    EXPECT_TRUE(at::allclose(tensors["0.weight"], answer.at("weight").toTensor(), 1e-6, 1e-7)) << name;
    EXPECT_TRUE(at::allclose(tensors["0.bias"], answer.at("bias").toTensor(), 1e-6, 1e-7)) << name;
  };
  using namespace octet::nn;
  check_case("conv2d", Sequential(Conv2d(Conv2dOptions(3, 4, 3).bias(false)), BatchNorm2d(4)));
  check_case("conv1d", Sequential(Conv1d(3, 4, 3), BatchNorm1d(BatchNormOptions(4).affine(false))));
  check_case("conv_transpose2d", Sequential(ConvTranspose2d(3, 4, 3), BatchNorm2d(4)));
  check_case("linear", Sequential(Linear(5, 4), BatchNorm1d(4)));
}

TEST(FuseModules, AFusedLinearReLUQuantizesDynamically) {
  nn::Sequential model(nn::Linear(16, 8), nn::ReLU(), nn::Linear(8, 2));
  const at::Tensor x = torch::randn({4, 16}), expected = model->forward(x);
  fuse_modules(*model, {{"0", "1"}});
  const Report report = quantize_dynamic(*model);
  EXPECT_EQ(report.find("0")->detail, "octet::nn::intrinsic::quantized::dynamic::LinearReLU");
  EXPECT_EQ(report.find("0")->type, "LinearReLU");
  EXPECT_TRUE(at::allclose(model->forward(x), expected, 0.1, 0.05));
  EXPECT_TRUE(model->named_parameters().is_empty());
}

TEST(FuseModules, TrainingOfAFusedModelReachesItsParameters) {
  nn::Sequential model(nn::Linear(4, 4), nn::ReLU());
  fuse_modules(*model, {{"0", "1"}});
  model->forward(torch::ones({2, 4})).sum().backward();
  EXPECT_TRUE(model->named_parameters()["0.weight"].grad().defined());
}

TEST(FuseModules, RefusesWhatItCannotFuseAndLeavesTheModelAlone) {
  nn::Sequential model(nn::Conv2d(3, 4, 3), nn::BatchNorm2d(4), nn::ReLU(), nn::Sigmoid(), nn::BatchNorm2d(5),
                       nn::BatchNorm2d(nn::BatchNormOptions(4).track_running_stats(false)));
  const auto error = [&](const ModulesToFuse& lists) {
    const std::string text = error_text([&] { fuse_modules(*model, lists); });
    EXPECT_EQ(nn::as_slot(*model[0])->implementation(), nullptr);
    return text;
  };
  EXPECT_NE(error({{"0", "1"}}).find("(Conv2d, BatchNorm2d) (\"0\", \"1\"): a module is in training mode"), std::string::npos);
  model->eval();
  EXPECT_EQ(error({{"0", "9"}}), "fuse_modules: the model has no module \"9\"");
  EXPECT_NE(
      error({{"0", "3"}}).find("nothing is known that fuses (Conv2d, Sigmoid) (\"0\", \"3\"); known: (BatchNorm2d, ReLU), "),
      std::string::npos);
  EXPECT_NE(error({{"0", "1"}, {"0", "2"}}).find("\"0\" appears twice"), std::string::npos);
  EXPECT_NE(error({{"0", "4"}}).find("(\"0\", \"4\"): the first module has 4 output channels, but the batch norm has 5 features"),
            std::string::npos);
  EXPECT_NE(error({{"0", "5"}}).find("has no running statistics"), std::string::npos);
  EXPECT_NE(error({{"0", "1", "2"}, {"3"}}).find("nothing is known that fuses (Sigmoid)"), std::string::npos);
  fuse_modules(*model, {{"0", "1", "2"}});
  EXPECT_NE(error_text([&] {
              fuse_modules(*model, {{"0", "1"}});
            }).find("has been swapped for octet::nn::intrinsic::ConvReLU2d before"),
            std::string::npos);
}

}  // namespace
}  // namespace octet
