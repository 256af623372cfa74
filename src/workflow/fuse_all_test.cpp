#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>

#include <ATen/record_function.h>

#include <functional>
#include <future>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace octet {
namespace {

using test::error_text;

/// Statistics that folding has to get right, and eval mode.
template <class Model>
Model stirred(Model model) {
  torch::manual_seed(2);
  const torch::NoGradGuard no_grad;
  for (auto& buffer : model->named_buffers()) {
    if (buffer.key().ends_with("running_mean")) buffer.value().normal_();
    if (buffer.key().ends_with("running_var")) buffer.value().uniform_(0.5, 2);
  }
  model->eval();
  return model;
}

/// Fuses the model, whose outputs must stay what they are. @return what was done
template <class Model>
Report fused(Model& model, const at::Tensor& x, const FuserMethodMappings& mappings = default_fuser_method_mappings()) {
  const torch::NoGradGuard no_grad;
  const at::Tensor expected = model->forward(x);
  const Report report = fuse_all(*model, x, mappings);
  EXPECT_TRUE(at::allclose(model->forward(x), expected, 1e-4, 1e-4)) << report;
  return report;
}

std::string detail(const Report& report, const std::string& path) {
  const ReportRow* const row = report.find(path);
  return row ? row->detail : "no row";
}

struct ResidualBlockImpl : nn::Cloneable<ResidualBlockImpl> {
  nn::Conv2d conv1{nullptr}, conv2{nullptr};
  nn::BatchNorm2d bn1{nullptr}, bn2{nullptr};
  nn::ReLU relu1{nullptr}, relu2{nullptr};
  nn::FloatFunctional add{nullptr};

  ResidualBlockImpl() { reset(); }
  void reset() override {
    // Not in the order in which they run.
    bn1 = register_module("bn1", nn::BatchNorm2d(4));
    bn2 = register_module("bn2", nn::BatchNorm2d(4));
    relu1 = register_module("relu1", nn::ReLU(nn::ReLUOptions(/*inplace=*/true)));
    relu2 = register_module("relu2", nn::ReLU());
    conv1 = register_module("conv1", nn::Conv2d(nn::Conv2dOptions(4, 4, 3).padding(1).bias(false)));
    conv2 = register_module("conv2", nn::Conv2d(nn::Conv2dOptions(4, 4, 3).padding(1).bias(false)));
    add = register_module("add", nn::FloatFunctional());
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor inner = bn2->forward(conv2->forward(relu1->forward(bn1->forward(conv1->forward(x)))));
    return relu2->forward(add->add(inner, x));
  }
};
TORCH_MODULE(ResidualBlock);

struct ResNetImpl : nn::Cloneable<ResNetImpl> {
  nn::Conv2d stem{nullptr};
  nn::BatchNorm2d norm{nullptr};
  nn::Sequential blocks{nullptr};
  nn::Linear fc{nullptr};

  ResNetImpl() { reset(); }
  void reset() override {
    stem = register_module("stem", nn::Conv2d(3, 4, 3));
    norm = register_module("norm", nn::BatchNorm2d(4));
    blocks = register_module("blocks", nn::Sequential(ResidualBlock(), ResidualBlock()));
    fc = register_module("fc", nn::Linear(4, 2));
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor features = blocks->forward(torch::relu(norm->forward(stem->forward(x))));
    return torch::log_softmax(fc->forward(features.mean({2, 3})), 1);
  }
};
TORCH_MODULE(ResNet);

TEST(FuseAll, FindsTheChainsOfResidualBlocks) {
  ResNet model = stirred(ResNet());
  const at::Tensor x = torch::randn({2, 3, 8, 8});
  const Report report = fused(model, x);
  EXPECT_EQ(detail(report, "stem"), "computes for 2 modules, as Conv2d");
  EXPECT_EQ(detail(report, "norm"), "Identity; part of stem");
  for (const std::string block : {"blocks.0.", "blocks.1."}) {
    EXPECT_EQ(detail(report, block + "conv1"), "computes for 3 modules, as ConvReLU2d");
    EXPECT_EQ(detail(report, block + "conv2"), "computes for 2 modules, as Conv2d");
    EXPECT_EQ(detail(report, block + "relu1"), "Identity; part of " + block + "conv1");
    EXPECT_EQ(detail(report, block + "relu2"), "the output of " + block + "add, its input, goes to " + block +
                                                   "relu2, and nothing is known that fuses (FloatFunctional, ReLU)");
  }
  EXPECT_EQ(detail(report, "fc"), "its output goes to aten::log_softmax, a function, and only modules can be fused");
  EXPECT_EQ(report.count(ModuleStatus::fused), 2 + 2 * 5);
  EXPECT_EQ(report.rows().size(), 2u + 2 * 6 + 1);

  const Report again = fused(model, x);
  EXPECT_EQ(detail(again, "blocks.0.conv1"), "was fused before");
  EXPECT_EQ(detail(again, "stem"), "its output goes to norm, which was fused before");
}

/// Two modules and a forward of the test's own.
struct PairImpl : nn::Cloneable<PairImpl> {
  using Forward = std::function<at::Tensor(PairImpl&, const at::Tensor&)>;
  nn::Conv2d conv{nullptr};
  nn::BatchNorm2d norm{nullptr};
  nn::ReLU relu{nullptr};
  nn::Conv2d other{nullptr};
  at::Tensor kept;
  Forward run;

  explicit PairImpl(Forward forward) : run(std::move(forward)) { reset(); }
  void reset() override {
    conv = register_module("conv", nn::Conv2d(3, 3, 1));
    norm = register_module("norm", nn::BatchNorm2d(3));
    relu = register_module("relu", nn::ReLU());
    other = register_module("other", nn::Conv2d(3, 3, 1));
  }
  at::Tensor forward(const at::Tensor& x) { return run(*this, x); }
};
TORCH_MODULE(Pair);

TEST(FuseAll, DoesNotFuseAcrossAnOutputThatIsNeededElsewhere) {
  const at::Tensor x = torch::randn({2, 3, 4, 4});
  struct Case {
    const char* what;
    PairImpl::Forward forward;
    std::string conv, norm;  // the details of their rows
  };
  const std::string fused_norm = "computes for 2 modules, as BNReLU2d";
  const std::vector<Case> cases{
      {"added",
       [](PairImpl& m, const at::Tensor& x) {
         const auto y = m.conv->forward(x);
         return m.relu->forward(m.norm->forward(y)) + y;
       },
       "its output goes to norm and aten::add", fused_norm},
      {"added in place",
       [](PairImpl& m, const at::Tensor& x) {
         auto y = m.conv->forward(x);
         y.add_(1);
         return m.relu->forward(m.norm->forward(y));
       },
       "its output goes to norm and aten::add_", fused_norm},
      {"read through a list",
       [](PairImpl& m, const at::Tensor& x) {
         const auto y = m.conv->forward(x);
         return torch::cat({m.relu->forward(m.norm->forward(y)), y}, 1);
       },
       "its output goes to norm and aten::cat", fused_norm},
      {"added in a profiled range",
       [](PairImpl& m, const at::Tensor& x) {
         RECORD_FUNCTION("a user's range", std::vector<c10::IValue>());
         const auto y = m.conv->forward(x);
         return m.relu->forward(m.norm->forward(y)) + y;
       },
       "its output goes to norm and aten::add", fused_norm},
      {"viewed",
       [](PairImpl& m, const at::Tensor& x) { return m.relu->forward(m.norm->forward(m.conv->forward(x).transpose(2, 3))); },
       "its output goes to aten::transpose, a function, and only modules can be fused", fused_norm},
      {"kept",
       [](PairImpl& m, const at::Tensor& x) {
         m.kept = m.conv->forward(x);
         return m.relu->forward(m.norm->forward(m.kept));
       },
       "its output goes to norm and is returned or kept by the model", fused_norm},
      {"taken by two modules",
       [](PairImpl& m, const at::Tensor& x) {
         const auto y = m.conv->forward(x);
         return m.relu->forward(m.norm->forward(y)) + m.other->forward(y);
       },
       "its output goes to norm and other", fused_norm},
      {"functional relu", [](PairImpl& m, const at::Tensor& x) { return m.norm->forward(torch::relu(m.conv->forward(x))); },
       "its output goes to aten::relu, a function, and only modules can be fused", "its output is returned or kept by the model"},
      {"dropped",
       [](PairImpl& m, const at::Tensor& x) {
         m.conv->forward(x);
         return m.relu->forward(m.norm->forward(x));
       },
       "its output is not used", fused_norm},
      {"not run", [](PairImpl& m, const at::Tensor& x) { return m.relu->forward(m.norm->forward(x)); },
       "did not run in this forward pass", fused_norm},
      {"only its shape is read",
       [](PairImpl& m, const at::Tensor& x) {
         const auto y = m.conv->forward(x);
         return m.relu->forward(m.norm->forward(y)).reshape({y.size(0), y.size(1), -1});
       },
       "computes for 3 modules, as ConvReLU2d", "Identity; part of conv"},
  };
  for (const Case& known : cases) {
    Pair model = stirred(Pair(known.forward));
    const Report report = fused(model, x);
    EXPECT_EQ(detail(report, "conv"), known.conv) << known.what;
    EXPECT_EQ(detail(report, "norm"), known.norm) << known.what;
  }
}

TEST(FuseAll, FusesAModuleUsedTwiceOnlyWhereItHasTheSameCompany) {
  const at::Tensor x = torch::randn({2, 3, 4, 4});
  Pair shared_relu = stirred(Pair([](PairImpl& m, const at::Tensor& x) {
    return m.relu->forward(m.other->forward(m.relu->forward(m.norm->forward(m.conv->forward(x)))));
  }));
  const Report report = fused(shared_relu, x);
  EXPECT_EQ(detail(report, "conv"), "computes for 2 modules, as Conv2d");
  EXPECT_EQ(detail(report, "other"),
            "its output goes to relu, which is used after norm and other; give each place a module of its own");
  EXPECT_EQ(detail(report, "relu"), "it is used after norm and other; give each place a module of its own");

  Pair loop = stirred(Pair([](PairImpl& m, const at::Tensor& x) {
    at::Tensor y = x;
    for (int i = 0; i < 3; ++i) y = m.relu->forward(m.norm->forward(m.conv->forward(y)));
    return y;
  }));
  EXPECT_EQ(detail(fused(loop, x), "conv"), "computes for 3 modules, as ConvReLU2d");

  Pair after_function = stirred(
      Pair([](PairImpl& m, const at::Tensor& x) { return m.relu->forward(m.conv->forward(x)) + m.relu->forward(x + 1); }));
  EXPECT_EQ(
      detail(fused(after_function, x), "conv"),
      "its output goes to relu, which is used after conv and something that is no module; give each place a module of its own");
}

TEST(FuseAll, FusesPlainModulesInASequentialAndPutsTheOthersBack) {
  torch::nn::Sequential model(torch::nn::Linear(4, 4), torch::nn::BatchNorm1d(4), torch::nn::ReLU(), torch::nn::Dropout(),
                              torch::nn::Linear(4, 3), torch::nn::Sigmoid());
  stirred(model);
  const auto linear = model->ptr(4);
  const at::Tensor x = torch::randn({5, 4});
  const Report report = fused(model, x);
  EXPECT_EQ(detail(report, "0"), "computes for 3 modules, as LinearReLU");
  EXPECT_EQ(detail(report, "4"), "its output goes to 5, and nothing is known that fuses (Linear, Sigmoid)");
  EXPECT_EQ(model->ptr(4), linear);
  EXPECT_EQ(model->children()[4], linear);
  EXPECT_EQ(&model->at<torch::nn::LinearImpl>(4), linear.get());

  torch::nn::Sequential unfusible(torch::nn::Linear(4, 4), torch::nn::Linear(4, 4));
  unfusible->eval();
  const auto run = [](torch::nn::SequentialImpl&) -> at::Tensor { throw std::runtime_error("no data"); };
  EXPECT_THROW(fuse_all(*unfusible, run), std::runtime_error);
  unfusible->at<torch::nn::LinearImpl>(0);
  EXPECT_EQ(fused(unfusible, x).count(ModuleStatus::fused), 0);
  unfusible->at<torch::nn::LinearImpl>(1);
}

TEST(FuseAll, RunsWhatItIsGivenAndLeavesAModelAloneUnlessInPlace) {
  const at::Tensor x = torch::randn({2, 3, 8, 8});
  ResNet model = stirred(ResNet());
  const torch::NoGradGuard no_grad;
  const at::Tensor expected = model->forward(x);
  Report report;
  ResNet copy = fuse_all(model, x, /*inplace=*/false, default_fuser_method_mappings(), &report);
  EXPECT_EQ(report.count(ModuleStatus::fused), 12);
  EXPECT_TRUE(model->forward(x).equal(expected));
  EXPECT_TRUE(at::allclose(copy->forward(x), expected, 1e-4, 1e-4));

  int runs = 0;
  ResNet by_run = fuse_all(model, [&](ResNet net) {
    ++runs;
    for (int i = 0; i < 2; ++i) net->forward(torch::randn({1, 3, 9, 9}));
  });
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(by_run->forward(x).equal(copy->forward(x)));

  const Report in_place = fuse_all(*model, [&](ResNetImpl& net) { return std::make_tuple(net.forward(x), 1); });
  EXPECT_EQ(in_place.count(ModuleStatus::fused), 12);
  EXPECT_TRUE(model->forward(x).equal(copy->forward(x)));
}

TEST(FuseAll, SeesWhatARunReturns) {
  const at::Tensor x = torch::randn({2, 3, 4, 4});
  Pair model = stirred(Pair([](PairImpl&, const at::Tensor& x) { return x; }));
  const auto both = [&](PairImpl& m) {
    const at::Tensor features = m.conv->forward(x);
    return std::make_pair(m.norm->forward(features), features);
  };
  EXPECT_EQ(detail(fuse_all(*model, both), "conv"), "its output goes to norm and is returned or kept by the model");
}

TEST(FuseAll, KeepsHooksAndItsOwnOutOfTheWay) {
  const at::Tensor x = torch::randn({2, 3, 4, 4});
  const auto forward = [](PairImpl& m, const at::Tensor& x) { return m.relu->forward(m.norm->forward(m.conv->forward(x))); };
  Pair model = stirred(Pair(forward));
  int calls = 0;
  const auto handle = model->conv->register_forward_hook([&](auto&, auto&, auto& outputs) {
    ++calls;
    outputs[0] = outputs[0] * 2;
  });
  const Report report = fused(model, x);
  EXPECT_EQ(detail(report, "conv"), "fusing it with what follows would lose 1 hooks; fuse_modules() does it nevertheless");
  EXPECT_EQ(detail(report, "norm"), "computes for 2 modules, as BNReLU2d");
  EXPECT_EQ(calls, 3);

  Pair untouched = stirred(Pair(forward));
  EXPECT_THROW(fuse_all(*untouched, [](PairImpl& m) { m.conv->forward(torch::randn({1})); }), c10::Error);
  EXPECT_TRUE(untouched->conv->children().empty());
}

TEST(FuseAll, ReportsWhatAFuserMethodRefuses) {
  nn::Sequential model(nn::Conv2d(3, 4, 1), nn::BatchNorm2d(nn::BatchNormOptions(4).track_running_stats(false)), nn::ReLU());
  model->eval();
  const Report report = fused(model, torch::randn({2, 3, 4, 4}));
  EXPECT_NE(
      detail(report, "0").find("(Conv2d, BatchNorm2d, ReLU) (\"0\", \"1\", \"2\"): the batch norm has no running statistics"),
      std::string::npos);
  EXPECT_EQ(detail(report, "1"), "computes for 2 modules, as BNReLU2d");
}

TEST(FuseAll, WantsToRunInOneThread) {
  const at::Tensor x = torch::randn({2, 3, 4, 4});
  Pair model = stirred(Pair([](PairImpl& m, const at::Tensor& x) {
    return m.norm->forward(std::async(std::launch::async, [&] { return m.conv->forward(x); }).get());
  }));
  const auto fuse = [&] { fuse_all(*model, x); };
  EXPECT_EQ(error_text(fuse), "fuse_all: a module ran in another thread, where nothing can be watched");
}

struct TypedImpl : nn::Module {
  torch::nn::Linear plain;
  nn::Linear fc;
  nn::LeakyReLU leaky;
  TypedImpl() : plain(4, 4), fc(4, 4) {
    register_module("plain", plain);
    register_module("fc", fc);
    register_module("leaky", leaky);
  }
  at::Tensor forward(const at::Tensor& x) { return leaky->forward(fc->forward(plain->forward(x))); }
};
TORCH_MODULE(Typed);

TEST(FuseAll, ReportsModulesThatCannotBeSwapped) {
  Typed model = stirred(Typed());
  const at::Tensor x = torch::randn({2, 4});
  const Report report = fused(model, x);
  EXPECT_EQ(report.find("plain")->status, ModuleStatus::not_swappable);
  EXPECT_EQ(detail(report, "plain"), "a module of torch::nn in a member or list; declare it as octet::nn::Linear");
  EXPECT_EQ(detail(report, "fc"), "its output goes to leaky, and nothing is known that fuses (Linear, LeakyReLU)");
  EXPECT_EQ(report.find("leaky"), nullptr);  // of no known sequence
  EXPECT_EQ(detail(fused(model, x, onednn_fuser_method_mappings()), "fc"), "computes for 2 modules, as LinearLeakyReLU");
}

TEST(FuseAll, WantsEvalModeAndHasNothingToSayOfAModelWithoutSuchModules) {
  ResNet model;
  const auto fuse = [&] { fuse_all(*model, torch::randn({1, 3, 8, 8})); };
  EXPECT_EQ(error_text(fuse), "fuse_all: the model is in training mode; call eval() on the model first");
  nn::Sequential nothing{nn::Tanh(), nn::Sigmoid()};
  nothing->eval();
  EXPECT_TRUE(fused(nothing, torch::randn({2})).rows().empty());
}

TEST(FuseAll, PrintsAReport) {
  Pair model = stirred(Pair([](PairImpl& m, const at::Tensor& x) {
    return torch::relu(m.other->forward(m.relu->forward(m.norm->forward(m.conv->forward(x)))));
  }));
  std::ostringstream text;
  text << fuse_all(*model, torch::randn({1, 3, 2, 2}));
  EXPECT_EQ(text.str(),
            "module  type         status         detail\n"
            "conv    Conv2d       fused          computes for 3 modules, as ConvReLU2d\n"
            "norm    BatchNorm2d  fused          Identity; part of conv\n"
            "relu    ReLU         fused          Identity; part of conv\n"
            "other   Conv2d       kept           its output goes to aten::relu, a function, and only modules can be fused\n"
            "1 kept, 3 fused\n");
}

}  // namespace
}  // namespace octet
