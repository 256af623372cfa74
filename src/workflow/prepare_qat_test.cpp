// All steps of quantization-aware training on networks: fuse, prepare, train, convert.
#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>
#include <torch/torch.h>
#include <workflow/residual_test_support.h>

#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <vector>

namespace octet {
namespace {

using test::error_text;
using test::kGroups;
using test::Residual;
using test::sqnr_db;
using test::tensors_of;

constexpr int64_t kFreezeBnAt = 100, kDisableObserverAt = 130;  // as in prepare_qat_oracle.py

Residual prepared(const QConfigMapping& qconfigs = get_default_qat_qconfig("octet")) {
  return prepare_qat(fuse_modules_qat(Residual(), kGroups), qconfigs);
}

/// One step on a batch. @return the loss
template <class Model>
at::Tensor train_step(Model& net, torch::optim::Optimizer& optimizer, const at::Tensor& x, const at::Tensor& labels) {
  optimizer.zero_grad();
  const at::Tensor loss = torch::nn::functional::cross_entropy(net->forward(x), labels);
  loss.backward();
  optimizer.step();
  return loss.detach();
}

torch::optim::SGD optimizer_for(torch::nn::Module& net) {
  return torch::optim::SGD(net.parameters(), torch::optim::SGDOptions(0.05).momentum(0.9).weight_decay(1e-4));
}

/// Some steps on random batches.
template <class Model>
void train(Model& net, at::IntArrayRef input, int64_t classes, int64_t steps = 6) {
  auto optimizer = optimizer_for(*net);
  for (int64_t i = 0; i < steps; ++i) {
    train_step(net, optimizer, torch::randn(input), torch::randint(classes, {input[0]}, at::kLong));
  }
}

TEST(QuantizationAwareTraining, FollowsTorchAoFromTheSameWeightsBatchesAndRate) {
  const auto answers = test::load_oracle("workflow/prepare_qat");
  for (const c10::IValue& item : answers.at("cases").toListRef()) {
    const auto oracle = item.toGenericDict();
    const std::string name = oracle.at("name").toStringRef();
    Residual net;
    test::set_state(*net, tensors_of(oracle, "state"));
    fuse_modules_qat(*net, kGroups);
    prepare_qat(*net, name == "default" ? default_qat_qconfig : get_default_qat_qconfig(name));
    std::set<std::string> keys, expected_keys;
    for (const auto& entry : state_dict(*net)) keys.insert(entry.key());
    for (const auto& key : oracle.at("keys").toListRef()) expected_keys.insert(key.toStringRef());
    EXPECT_EQ(keys, expected_keys) << name;

    const at::Tensor x = oracle.at("x").toTensor(), labels = oracle.at("labels").toTensor(),
                     losses = oracle.at("losses").toTensor();
    auto optimizer = optimizer_for(*net);
    const QATSchedule schedule{kFreezeBnAt, kDisableObserverAt};
    double late_difference = 0;
    for (int64_t step = 0; step < x.size(0); ++step) {
      schedule.begin_epoch(*net, step);
      const double loss = train_step(net, optimizer, x[step], labels[step]).item<double>(),
                   expected = losses[step].item<double>();
      // A value at a tie may round the other way, and with time the two trainings part.
      if (step < 20) {
        EXPECT_NEAR(loss, expected, step == 0 ? 1e-4 : 0.02) << name << step;
      }
      if (step >= kDisableObserverAt) late_difference += loss - expected;
      if (step > 0) continue;
      const auto parameters = net->named_parameters();
      for (const auto& [key, gradient] : tensors_of(oracle, "gradient")) {
        if (key == "conv2.bias") continue;  // before a batch norm; it has none
        EXPECT_GT(sqnr_db(gradient, parameters[key].grad()), 30) << name << key;
      }
    }
    EXPECT_LT(late_difference / static_cast<double>(x.size(0) - kDisableObserverAt), 0.1) << name;

    const torch::NoGradGuard no_grad;
    net->eval();
    convert(*net);
    const at::Tensor test_x = oracle.at("test_x").toTensor(), test_labels = oracle.at("test_labels").toTensor();
    const auto accuracy = [&](const at::Tensor& scores) {
      return (scores.argmax(1) == test_labels).to(at::kDouble).mean().item<double>();
    };
    EXPECT_GE(accuracy(net->forward(test_x)), accuracy(oracle.at("out").toTensor()) - 0.02) << name;
  }
}

/// How many steps of the output's scale a converted network is away from the fake-quantized one, at most and on average.
void expect_agreement(const at::Tensor& fake_quantized, const at::Tensor& converted, double scale, const std::string& name) {
  const at::Tensor steps = ((fake_quantized - converted) / scale).round().abs();
  EXPECT_LE(steps.max().item<double>(), 2) << name;
  EXPECT_GE((steps == 0).to(at::kDouble).mean().item<double>(), 0.97) << name;
}

TEST(QuantizationAwareTraining, ConvertsToWhatWasTrainedUpToRoundingTies) {
  for (const char* backend : {"octet", "x86", "qnnpack", "fbgemm", "onednn"}) {
    for (const int version : {0, 1}) {
      Residual net = prepared(get_default_qat_qconfig(backend, version));
      train(net, {16, 3, 9, 9}, 5);
      net->eval();
      const torch::NoGradGuard no_grad;
      const at::Tensor x = 2 * torch::randn({64, 3, 9, 9});  // beyond the range of training
      net->apply(disable_observer);
      // An average of integers is rounded to an integer, which training does not show; so up to there.
      const at::Tensor fake_quantized = net->features(x);
      const Report report = convert(*net);
      EXPECT_EQ(report.count(ModuleStatus::quantized), 10) << report;
      for (const auto& entry : state_dict(*net)) {
        EXPECT_EQ(entry.key().find("fake_quant"), std::string::npos);
        EXPECT_EQ(entry.key().find(".bn."), std::string::npos);
      }
      expect_agreement(fake_quantized, octet::dequantize(net->features(x)), state_dict(*net)["join.scale"].item<double>(),
                       backend);
    }
  }
}

/// A network of one kind of layers, with an input for it.
struct HeldOut {
  std::string name;
  torch::nn::Sequential net;
  ModulesToFuse groups;
  std::vector<int64_t> input;
  std::string last;
};

TEST(QuantizationAwareTraining, TrainsDepthwiseVolumetricAndTransposedNetworks) {
  using namespace torch::nn;
  const std::vector<HeldOut> networks{
      {"depthwise",
       Sequential(nn::QuantStub(), nn::Conv2d(Conv2dOptions(3, 12, 3).bias(false)), nn::BatchNorm2d(12), nn::ReLU6(),
                  nn::Conv2d(Conv2dOptions(12, 12, 3).groups(12)), nn::BatchNorm2d(12), nn::ReLU(),
                  nn::Conv2d(Conv2dOptions(12, 4, 1)), nn::BatchNorm2d(4), Flatten(), nn::DeQuantStub()),
       {{"1", "2"}, {"4", "5", "6"}, {"7", "8"}},
       {8, 3, 9, 9},
       "7"},
      {"3-D",
       Sequential(nn::QuantStub(), nn::Conv3d(Conv3dOptions(2, 6, 3).padding(1)), nn::BatchNorm3d(6), nn::ReLU(),
                  nn::Conv3d(Conv3dOptions(6, 4, 2).stride(2)), nn::ReLU(), Flatten(), nn::Linear(4 * 27, 4), nn::DeQuantStub()),
       {{"1", "2", "3"}, {"4", "5"}},
       {8, 2, 6, 6, 6},
       "7"},
      {"transposed",
       Sequential(nn::QuantStub(), nn::ConvTranspose2d(ConvTranspose2dOptions(3, 6, 3).stride(2).groups(3)), nn::BatchNorm2d(6),
                  nn::ReLU(), nn::ConvTranspose2d(ConvTranspose2dOptions(6, 4, 2)), Flatten(), nn::DeQuantStub()),
       {{"1", "2"}},
       {8, 3, 5, 5},
       "4"},
      {"linear",
       Sequential(nn::QuantStub(), nn::Linear(10, 16), nn::BatchNorm1d(16), nn::ReLU(), nn::Linear(16, 8), nn::BatchNorm1d(8),
                  nn::Linear(8, 4), nn::ReLU(), nn::DeQuantStub()),
       {{"1", "2", "3"}, {"4", "5"}, {"6", "7"}},
       {16, 10},
       "6"}};
  for (const HeldOut& held_out : networks) {
    torch::nn::Sequential net = prepare_qat(fuse_modules_qat(held_out.net, held_out.groups), get_default_qat_qconfig("octet"));
    train(net, held_out.input, 4);
    net->eval();
    net->apply(disable_observer);
    const torch::NoGradGuard no_grad;
    const at::Tensor x = torch::randn(held_out.input);
    const at::Tensor fake_quantized = net->forward(x);
    convert(*net);
    const double scale = state_dict(*net)[held_out.last + ".scale"].item<double>();
    expect_agreement(fake_quantized, net->forward(x), scale, held_out.name);
  }
}

struct ClassifierImpl : torch::nn::Cloneable<ClassifierImpl> {
  nn::LSTM lstm{nullptr};
  nn::QuantStub quant{nullptr};
  nn::Linear head{nullptr};
  nn::DeQuantStub dequant{nullptr};
  ClassifierImpl() { reset(); }
  void reset() override {
    lstm = register_module("lstm", nn::LSTM(torch::nn::LSTMOptions(6, 8).batch_first(true)));
    quant = register_module("quant", nn::QuantStub());
    head = register_module("head", nn::Linear(8, 4));
    dequant = register_module("dequant", nn::DeQuantStub());
  }
  at::Tensor forward(const at::Tensor& x) {
    if (quant_first) return dequant->forward(head->forward(std::get<0>(lstm->forward(quant->forward(x))).select(1, -1)));
    return dequant->forward(head->forward(quant->forward(std::get<0>(lstm->forward(x)).select(1, -1))));
  }

  bool quant_first = false;  // else the LSTM computes in float
};
TORCH_MODULE(Classifier);

TEST(QuantizationAwareTraining, TrainsTheLinearHeadOfAnLSTMThatStaysFloat) {
  Classifier net;
  net = prepare_qat(net, QConfigMapping(get_default_qat_qconfig("octet")).set_object_type<nn::LSTM>(std::nullopt));
  train(net, {8, 5, 6}, 4);
  net->eval();
  net->apply(disable_observer);
  const torch::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({8, 5, 6});
  const at::Tensor fake_quantized = net->forward(x);
  const Report report = convert(*net);
  EXPECT_EQ(report.find("lstm")->status, ModuleStatus::kept) << report;
  EXPECT_EQ(report.find("head")->detail, "octet::nn::quantized::Linear");
  expect_agreement(fake_quantized, net->forward(x), state_dict(*net)["head.scale"].item<double>(), "LSTM");
}

TEST(QuantizationAwareTraining, TrainsAnLSTMInItsObservedForm) {
  Classifier net;
  net->quant_first = true;
  net = prepare_qat(net, get_default_qat_qconfig("octet"));
  EXPECT_EQ(nn::as_slot(*net->lstm)->implementation()->kind(), "octet::nn::quantizable::LSTM");
  const at::Tensor before = net->lstm->named_parameters()["weight_hh_l0"].clone();
  train(net, {8, 5, 6}, 4);
  EXPECT_FALSE(net->lstm->named_parameters()["weight_hh_l0"].equal(before));
  net->eval();
  const torch::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({8, 5, 6});
  const at::Tensor fake_quantized = net->forward(x);
  const Report report = convert(*net);
  EXPECT_EQ(report.find("lstm")->detail, "octet::nn::quantized::LSTM") << report;
  EXPECT_GT(sqnr_db(fake_quantized, net->forward(x)), 20);
}

TEST(QuantizationAwareTraining, KeepsTheParametersThatAnOptimizerAlreadyHolds) {
  Residual net;
  const at::Tensor weight = net->conv1->weight, gamma = net->bn1->weight;
  fuse_modules_qat(*net, kGroups);
  prepare_qat(*net, get_default_qat_qconfig("octet"));
  const auto parameters = net->named_parameters();
  EXPECT_TRUE(parameters["conv1.weight"].is_same(weight));
  EXPECT_TRUE(parameters["conv1.bn.weight"].is_same(gamma));
  EXPECT_FALSE(parameters.contains("bn1.weight"));
}

TEST(QuantizationAwareTraining, ContinuesToTheBitAfterSavingAndLoadingInTheMiddle) {
  const auto file = std::filesystem::temp_directory_path() / "octet_prepare_qat_test.safetensors";
  for (const int version : {0, 1}) {
    const auto qconfig = get_default_qat_qconfig("octet", version);
    Residual net = prepared(qconfig), resumed = prepared(qconfig);
    train(net, {16, 3, 9, 9}, 5, 3);
    net->apply(nn::intrinsic::qat::freeze_bn_stats);
    net->fc->apply(disable_observer);
    save(*net, file);
    load(*resumed, file);
    EXPECT_FALSE(nn::as_slot(*resumed->fc)->activation_post_process()->as<FakeQuantizeBase>()->observer_enabled().item<bool>());
    for (Residual* const each : {&net, &resumed}) {
      torch::manual_seed(5);
      train(*each, {16, 3, 9, 9}, 5, 3);
      (*each)->eval();
    }
    const at::Tensor x = torch::randn({4, 3, 9, 9});
    EXPECT_TRUE(net->forward(x).equal(resumed->forward(x)));
    convert(*net);
    convert(*resumed);
    EXPECT_TRUE(net->forward(x).equal(resumed->forward(x)));
  }
  Residual plain;
  EXPECT_NE(
      error_text([&] { load(*plain, file); }).find("bring the model to where it was with fuse_modules_qat() and prepare_qat()"),
      std::string::npos);
  std::filesystem::remove(file);
}

TEST(QuantizationAwareTraining, StartsFromACalibratedModel) {
  Residual net;
  net->eval();
  fuse_modules(*net, kGroups);
  prepare(*net, get_default_qconfig("octet"));
  const at::Tensor x = torch::randn({16, 3, 9, 9});
  {
    const torch::NoGradGuard no_grad;
    net->forward(x);
  }
  const auto calibrated = nn::as_slot(*net->conv1)->activation_post_process()->calculate_qparams();
  net->train();
  prepare_qat(*net, get_default_qat_qconfig("octet"));
  const auto fake_quantize = std::dynamic_pointer_cast<FakeQuantizeBase>(nn::as_slot(*net->conv1)->activation_post_process());
  ASSERT_NE(fake_quantize, nullptr);
  EXPECT_TRUE(fake_quantize->is_calibrated());
  EXPECT_NEAR(fake_quantize->scale().item<double>() / calibrated.scale.item<double>(), 1, 1e-3);
  EXPECT_EQ(fake_quantize->zero_point().item<int64_t>(), calibrated.zero_point.item<int64_t>());
  train(net, {16, 3, 9, 9}, 5, 2);
  net->eval();
  EXPECT_EQ(convert(*net).count(ModuleStatus::quantized), 10);
}

TEST(QuantizationAwareTraining, IsOneCallToo) {
  Residual net;
  const at::Tensor before = net->conv1->weight.clone();
  Residual quantized =
      quantize_qat(net, [](Residual& model) { train(model, {16, 3, 9, 9}, 5, 3); }, get_default_qat_qconfig("octet"));
  EXPECT_EQ(nn::as_slot(*quantized->conv1)->implementation()->kind(), "octet::nn::quantized::Conv2d");
  EXPECT_TRUE(net->conv1->weight.equal(before));
}

TEST(QuantizationAwareTraining, RefusesTheWrongModeASecondPreparationAndAnEarlyConversion) {
  Residual net;
  net->eval();
  EXPECT_NE(error_text([&] { fuse_modules_qat(*net, kGroups); }).find("\"conv1\" is in eval mode, but this fuses for training"),
            std::string::npos);
  EXPECT_NE(error_text([&] { prepare_qat(*net, default_qat_qconfig); }).find("prepare_qat: the model is in eval mode"),
            std::string::npos);
  net->train();
  fuse_modules_qat(*net, kGroups);
  EXPECT_NE(error_text([&] { fuse_modules_qat(*net, kGroups); }).find("has been swapped"), std::string::npos);
  Residual evaluated = clone_model(net);
  evaluated->eval();
  const Report calibrating = prepare(*evaluated, get_default_qconfig("octet"));
  EXPECT_NE(calibrating.find("conv1")->detail.find("prepare_qat() takes it"), std::string::npos) << calibrating;
  prepare_qat(*net, default_qat_qconfig);
  EXPECT_NE(error_text([&] { prepare_qat(*net, default_qat_qconfig); }).find("was prepared for training before (quant"),
            std::string::npos);
  EXPECT_NE(error_text([&] { convert(*net); }).find("is in training mode; call eval()"), std::string::npos);
  net->eval();
  EXPECT_NE(error_text([&] { convert(*net); }).find("has seen no tensor"), std::string::npos);
  EXPECT_EQ(nn::as_slot(*net->conv1)->implementation()->kind(), "octet::nn::intrinsic::qat::ConvBnReLU2d");
  net->train();
  train(net, {16, 3, 9, 9}, 5, 1);

  Residual norm_without_weight;
  norm_without_weight->bn1 =
      norm_without_weight->replace_module("bn1", nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(8).affine(false)));
  EXPECT_NE(error_text([&] { fuse_modules_qat(*norm_without_weight, kGroups); }).find("affine = false"), std::string::npos);
}

TEST(QuantizationAwareTraining, NamesTheModuleWhereNotANumberComesIn) {
  Residual net = prepared();
  train(net, {16, 3, 9, 9}, 5, 1);
  const at::Tensor scale = nn::as_slot(*net->quant)->activation_post_process()->as<FakeQuantizeBase>()->scale().clone();
  const at::Tensor x = torch::full({2, 3, 9, 9}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_NE(error_text([&] { net->forward(x); }).find("quant"), std::string::npos);
  EXPECT_TRUE(nn::as_slot(*net->quant)->activation_post_process()->as<FakeQuantizeBase>()->scale().equal(scale));
  // What a step on a NaN loss leaves behind.
  {
    const torch::NoGradGuard no_grad;
    net->fc->weight.fill_(std::numeric_limits<float>::quiet_NaN());
  }
  EXPECT_NE(error_text([&] { net->forward(torch::randn({2, 3, 9, 9})); }).find("fc"), std::string::npos);
}

TEST(QATSchedule, FreezesBatchNormsAndThenObservers) {
  Residual net = prepared();
  const QATSchedule schedule{.num_batch_norm_update_epochs = 1, .num_observer_update_epochs = 2};
  const at::Tensor mean = net->named_buffers()["conv1.bn.running_mean"];
  const at::Tensor max_val = net->named_buffers()["conv1.activation_post_process.activation_post_process.max_val"];
  const auto change_in_epoch = [&](int64_t epoch) {
    const at::Tensor old_mean = mean.clone(), old_max = max_val.clone();
    schedule.begin_epoch(*net, epoch);
    net->forward(torch::randn({4, 3, 9, 9}));
    return std::pair(!mean.equal(old_mean), !max_val.equal(old_max));
  };
  EXPECT_EQ(change_in_epoch(0), std::pair(true, true));
  EXPECT_EQ(change_in_epoch(1), std::pair(false, true));
  EXPECT_EQ(change_in_epoch(2), std::pair(false, false));
  EXPECT_EQ(change_in_epoch(0), std::pair(true, true));
}

}  // namespace
}  // namespace octet
