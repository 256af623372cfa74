// All steps of static quantization on networks: fuse, prepare, calibrate, convert.
#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>
#include <torch/torch.h>
#include <workflow/residual_test_support.h>

#include <filesystem>
#include <map>
#include <sstream>
#include <string>

namespace octet {
namespace {

using test::error_text;
using test::kGroups;
using test::Residual;
using test::ResidualImpl;
using test::sqnr_db;
using test::tensors_of;

Residual evaluated() {
  torch::manual_seed(2);
  Residual net;
  net->eval();
  return net;
}

/// Fused, prepared and calibrated.
Residual calibrated(const QConfigMapping& qconfigs = default_per_channel_qconfig) {
  Residual net = evaluated();
  fuse_modules(*net, kGroups);
  prepare(*net, qconfigs);
  const torch::NoGradGuard no_grad;
  net->forward(torch::randn({8, 3, 9, 9}));
  return net;
}

QConfig qconfig_named(const std::string& name) {
  if (name == "default") return default_qconfig;
  if (name == "per_channel") return default_per_channel_qconfig;
  if (name == "full_range") return {HistogramObserver::with_args(), default_per_channel_weight_observer};
  return get_default_qconfig(name);
}

TEST(StaticQuantization, AgreesWithTorchAoOnAWholeNetwork) {
  const torch::NoGradGuard no_grad;
  const auto answers = test::load_oracle("workflow/static_quantization");
  for (const c10::IValue& item : answers.at("cases").toListRef()) {
    const auto oracle = item.toGenericDict();
    const std::string name = oracle.at("name").toStringRef();
    Residual net;
    test::set_state(*net, tensors_of(oracle, "state"));
    net->eval();
    const at::Tensor x = oracle.at("x").toTensor(), float_out = oracle.at("float_out").toTensor();
    EXPECT_TRUE(at::allclose(net->forward(x), float_out, 1e-5, 1e-6));
    fuse_modules(*net, kGroups);
    prepare(*net, qconfig_named(name));
    const at::Tensor calibration = oracle.at("calibration").toTensor();
    for (int64_t i = 0; i < calibration.size(0); ++i) net->forward(calibration[i]);
    const Report report = convert(*net);
    EXPECT_EQ(report.count(ModuleStatus::quantized), 10) << report;

    nn::StateDict state = state_dict(*net);
    for (const auto& [path, expected] : tensors_of(oracle, "qparams")) {
      EXPECT_NEAR(state[path + ".scale"].item<double>(), expected[0].item<double>(), 1e-6 * expected[0].item<double>())
          << name << path;
      EXPECT_EQ(state[path + ".zero_point"].item<int64_t>(), expected[1].item<int64_t>()) << name << path;
    }
    for (const auto& [path, expected] : tensors_of(oracle, "weights")) {
      const at::Tensor difference = state[path + ".weight"].to(at::kInt) - expected.to(at::kInt);
      EXPECT_LE(difference.abs().max().item<int>(), path == "conv1" || path == "conv2" ? 1 : 0) << name << path;
    }

    std::map<std::string, at::Tensor> outputs;
    for (const char* path : {"quant", "conv1", "conv2", "conv3", "conv4", "fc", "out"}) {
      nn::as_slot(*net->named_children()[path])
          ->register_forward_hook(
              [&, path](torch::nn::Module&, const std::vector<at::Tensor>&, std::vector<at::Tensor>& results) {
                outputs[path] = octet::int_repr(results.at(0));
              });
    }
    const at::Tensor out = net->forward(x);
    // With eight bits of activations the sums of torch.ao's depthwise kernel saturate, so there are no integers to compare.
    for (const auto& [path, expected] : tensors_of(oracle, name == "full_range" ? "none" : "outputs")) {
      const at::Tensor steps = (outputs.at(path).to(at::kInt) - expected.to(at::kInt)).abs();
      // Later layers see inputs that may differ by a step already.
      EXPECT_LE(steps.max().item<int>(), path == "quant" || path == "conv1" ? 1 : 2) << name << path;
      EXPECT_GE((steps == 0).to(at::kDouble).mean().item<double>(), path == "quant" || path == "conv1" ? 0.995 : 0.95)
          << name << path;
    }
    EXPECT_GE(sqnr_db(float_out, out), sqnr_db(float_out, oracle.at("out").toTensor()) - 0.5) << name;
  }
}

TEST(StaticQuantization, KeepsActivationsAsIntegersBetweenTheStubs) {
  Residual net = calibrated();
  convert(*net);
  int64_t quantized = 0;
  for (const char* path : {"conv1", "bn1", "relu1", "conv2", "skip_add", "join", "fc", "out"}) {
    nn::as_slot(*net->named_children()[path])
        ->register_forward_hook([&](torch::nn::Module&, const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) {
          quantized += is_quantized(inputs.at(0)) && is_quantized(outputs.at(0));
        });
  }
  EXPECT_FALSE(is_quantized(net->forward(torch::randn({2, 3, 9, 9}))));
  EXPECT_EQ(quantized, 8);
}

TEST(StaticQuantization, LeavesTheModelAndGivesACloneUnlessInPlace) {
  const torch::NoGradGuard no_grad;
  const Residual net = evaluated();
  const at::Tensor x = torch::randn({2, 3, 9, 9});
  Residual original = net;
  const at::Tensor before = original->forward(x);
  Residual prepared = prepare(fuse_modules(net, kGroups), get_default_qconfig("octet"));
  prepared->forward(x);
  Report report;
  Residual converted = convert(prepared, default_static_quant_module_mappings(), /*inplace=*/false, &report);
  EXPECT_GT(report.count(ModuleStatus::quantized), 0);
  EXPECT_TRUE(original->forward(x).equal(before));
  EXPECT_NE(nn::as_slot(*prepared->conv1)->activation_post_process(), nullptr);
  EXPECT_EQ(nn::as_slot(*converted->conv1)->activation_post_process(), nullptr);
  EXPECT_EQ(nn::as_slot(*converted->conv1)->implementation()->kind(), "octet::nn::intrinsic::quantized::ConvReLU2d");
  EXPECT_GT(sqnr_db(before, converted->forward(x)), 25);

  Residual clone = std::dynamic_pointer_cast<ResidualImpl>(converted->clone());
  EXPECT_TRUE(clone->forward(x).equal(converted->forward(x)));
}

TEST(StaticQuantization, IsOneCallToo) {
  const torch::NoGradGuard no_grad;
  Residual net = evaluated();
  const at::Tensor x = torch::randn({4, 3, 9, 9});
  Residual quantized = quantize(net, [&](Residual& model) { model->forward(x); }, get_default_qconfig_mapping("octet"));
  EXPECT_GT(sqnr_db(net->forward(x), quantized->forward(x)), 25);
}

TEST(StaticQuantization, SwapsPlainModulesInASequentialAndReportsThoseInMembers) {
  torch::nn::Sequential net(nn::QuantStub(), torch::nn::Conv2d(3, 4, 3), torch::nn::ReLU(), torch::nn::MaxPool2d(2),
                            nn::DeQuantStub());
  net->eval();
  const at::Tensor x = torch::randn({2, 3, 8, 8});
  const at::Tensor expected = net->forward(x);
  const Report prepared = prepare(*net, get_default_qconfig("octet"));
  EXPECT_EQ(prepared.find("1")->status, ModuleStatus::observed) << prepared;
  EXPECT_EQ(prepared.find("3")->detail, "needs nothing: MaxPool2d computes on quantized tensors as it is");
  net->forward(x);
  const Report report = convert(*net);
  EXPECT_EQ(report.find("1")->detail, "octet::nn::quantized::Conv2d");
  EXPECT_GT(sqnr_db(expected, net->forward(x)), 25);

  struct Typed : torch::nn::Module {
    nn::QuantStub quant;
    torch::nn::Linear fc{4, 4};
    Typed() {
      register_module("quant", quant);
      register_module("fc", fc);
    }
  } typed;
  typed.eval();
  const Report typed_report = prepare(typed, get_default_qconfig("octet"));
  EXPECT_EQ(typed_report.find("fc")->status, ModuleStatus::not_swappable);
  EXPECT_NE(typed_report.find("fc")->detail.find("declare it as octet::nn::Linear"), std::string::npos);
}

TEST(Prepare, PutsObserversWhereTorchAoDoes) {
  torch::nn::Sequential net(nn::QuantStub(), nn::Linear(4, 4), nn::Sigmoid(), nn::Tanh(), nn::ReLU(), nn::Dropout(),
                            nn::DeQuantStub());
  net->eval();
  prepare(*net, default_qconfig);
  const auto observer = [&](size_t i) {
    const auto found = nn::as_slot(*net->ptr(i))->activation_post_process();
    return found ? found->describe() : "none";
  };
  EXPECT_EQ(observer(0), default_qconfig.activation.describe());
  EXPECT_EQ(observer(1), default_qconfig.activation.describe());
  EXPECT_EQ(observer(2), default_fixed_qparams_range_0to1_observer.describe());
  EXPECT_EQ(observer(3), default_fixed_qparams_range_neg1to1_observer.describe());
  EXPECT_EQ(observer(4), "none");
  EXPECT_EQ(observer(5), "none");
  EXPECT_EQ(observer(6), "none");
}

TEST(Prepare, FollowsTheMappingTheAllowListAndTheSlotsOwnQConfig) {
  Residual net = evaluated();
  nn::as_slot(*net->conv4)->set_qconfig(default_qconfig);
  const Report report = prepare(*net, QConfigMapping(get_default_qconfig("octet"))
                                          .set_module_name("fc", std::nullopt)
                                          .set_object_type<nn::FloatFunctional>(std::nullopt)
                                          .set_module_name("conv4", std::nullopt));
  EXPECT_EQ(report.find("fc")->detail, "null qconfig by module_name 'fc'");
  EXPECT_EQ(report.find("join")->status, ModuleStatus::kept);
  EXPECT_EQ(report.find("conv4")->status, ModuleStatus::observed);
  EXPECT_EQ(nn::as_slot(*net->conv4)->activation_post_process()->describe(), default_qconfig.activation.describe());

  Residual listed = evaluated();
  const Report by_list =
      prepare(*listed, default_qconfig, PrepareOptions().allow_list(std::vector{ModuleType::of<nn::Linear>()}));
  EXPECT_EQ(by_list.count(ModuleStatus::observed), 2) << by_list;
  EXPECT_EQ(by_list.find("conv1")->detail, "not in the allow_list");
}

TEST(Prepare, RefusesWhatCannotBeRightAndLeavesTheModelAsItWas) {
  Residual net = evaluated();
  net->train();
  EXPECT_NE(error_text([&] { prepare(*net, default_qconfig); }).find("is in training mode"), std::string::npos);
  net->eval();
  EXPECT_NE(error_text([&] {
              prepare(*net, QConfigMapping(default_qconfig).set_module_name("conv9", default_qconfig));
            }).find("names the module \"conv9\", which the model does not have"),
            std::string::npos);
  EXPECT_NE(error_text([&] { prepare(*net, QConfigMapping()); }).find("no module of the model gets a qconfig"),
            std::string::npos);
  EXPECT_EQ(net->named_buffers().size(), evaluated()->named_buffers().size());
  prepare(*net, default_qconfig);
  EXPECT_NE(error_text([&] { prepare(*net, default_qconfig); }).find("was prepared before"), std::string::npos);
}

TEST(Prepare, TellsThatAFunctionalIsUsedTwiceInOneForwardPass) {
  struct Twice : torch::nn::Module {
    nn::QuantStub quant;
    nn::FloatFunctional add;
    Twice() {
      register_module("quant", quant);
      register_module("add", add);
    }
    at::Tensor once(const at::Tensor& x) {
      const at::Tensor q = quant->forward(x);
      return add->add(q, q);
    }
  } net;
  net.eval();
  net.once(torch::ones(3));
  prepare(net, default_qconfig);
  for (int i = 0; i < 3; ++i) net.once(torch::ones(3));
  const at::Tensor x = net.once(torch::ones(3));
  EXPECT_EQ(
      error_text([&] { net.add->add(x, x); }),
      "add: used twice in one forward pass, but an instance has the scale and zero point of one operation; give each operation "
      "an instance of its own");
  EXPECT_NO_THROW(net.once(torch::ones(3)));
}

TEST(Convert, RefusesWhatIsNotReadyAndLeavesTheModelAsItWas) {
  Residual net = evaluated();
  EXPECT_NE(error_text([&] { convert(*net); }).find("not prepared; call prepare() and calibrate"), std::string::npos);
  prepare(*net, default_qconfig);
  EXPECT_NE(error_text([&] { convert(*net); }).find("quant: its observer MinMaxObserver has seen no tensor"), std::string::npos);
  EXPECT_EQ(nn::as_slot(*net->quant)->implementation(), nullptr);
  net->forward(torch::randn({2, 3, 9, 9}));
  net->train();
  EXPECT_NE(error_text([&] { convert(*net); }).find("is in training mode; call eval()"), std::string::npos);
  net->eval();
  {
    const torch::NoGradGuard no_grad;
    const at::Tensor weight = net->out->weight.clone();
    net->out->weight.fill_(NAN);
    EXPECT_NE(error_text([&] { convert(*net); }).find("out: weight: the weight holds NaN"), std::string::npos);
    EXPECT_EQ(nn::as_slot(*net->conv1)->implementation(), nullptr);
    net->out->weight.copy_(weight);
  }
  EXPECT_NO_THROW(convert(*net));
}

TEST(Convert, NamesTheSlotWhereFloatsAndIntegersMeet) {
  Residual net = calibrated(QConfigMapping(default_qconfig).set_module_name("conv1", std::nullopt));
  const Report report = convert(*net);
  EXPECT_EQ(report.find("conv1")->status, ModuleStatus::kept) << report;
  const std::string at_float = error_text([&] { net->forward(torch::randn({1, 3, 9, 9})); });
  EXPECT_NE(at_float.find("conv1"), std::string::npos) << at_float;
  EXPECT_NE(at_float.find("DeQuantStub"), std::string::npos) << at_float;

  Residual without_stub = calibrated(QConfigMapping(default_qconfig).set_module_name("quant", std::nullopt));
  convert(*without_stub);
  const std::string at_integers = error_text([&] { without_stub->forward(torch::randn({1, 3, 9, 9})); });
  EXPECT_NE(at_integers.find("conv1: got a Float tensor for the input"), std::string::npos) << at_integers;
  EXPECT_NE(at_integers.find("QuantStub"), std::string::npos) << at_integers;
}

TEST(Convert, ScalarsNeedNoCalibration) {
  struct Scaled : torch::nn::Module {
    nn::QuantStub quant;
    nn::FloatFunctional scale;
    Scaled() {
      register_module("quant", quant);
      register_module("scale", scale);
    }
  } net;
  net.eval();
  prepare(net, default_qconfig);
  const at::Tensor x = torch::linspace(-1, 1, 9);
  net.scale->mul_scalar(net.quant->forward(x), 2.5);
  convert(net);
  const at::Tensor y = net.scale->mul_scalar(net.quant->forward(x), 2.5);
  EXPECT_TRUE(at::allclose(octet::dequantize(y), 2.5 * x, 0, 2.5 * 0.02));
}

TEST(StaticQuantization, SavesAndLoadsWhatWasConverted) {
  const auto file = std::filesystem::temp_directory_path() / "octet_static_quantization_test.safetensors";
  Residual net = calibrated(get_default_qconfig("octet"));
  convert(*net);
  save(*net, file);
  Residual fresh;
  fresh->eval();
  load(*fresh, file);
  const at::Tensor x = torch::randn({2, 3, 9, 9});
  EXPECT_TRUE(fresh->forward(x).equal(net->forward(x)));
  std::filesystem::remove(file);
}

TEST(StaticQuantization, GivesTheSameBitsForEveryThreadCountAndBatch) {
  Residual net = calibrated(get_default_qconfig("octet"));
  convert(*net);
  const at::Tensor x = torch::randn({5, 3, 33, 31});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = net->forward(x);
  at::set_num_threads(4);
  EXPECT_TRUE(net->forward(x).equal(one));
  at::set_num_threads(threads);
  for (int64_t i = 0; i < x.size(0); ++i) EXPECT_TRUE(net->forward(x.slice(0, i, i + 1)).equal(one.slice(0, i, i + 1)));
}

}  // namespace
}  // namespace octet
