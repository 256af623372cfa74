// The networks of the zoo against torchvision's.

#include <octet/models/mobilenet_v2.h>
#include <octet/models/resnet.h>
#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

namespace octet::models {
namespace {

using test::error_text;

/// Any of the networks.
struct Network {
  std::string name;
  std::shared_ptr<torch::nn::Module> module;
  std::function<at::Tensor(const at::Tensor&)> forward;
  std::function<Report()> fuse_model;
  std::function<Network()> fresh;  // another of the same options
};

template <class Make>
Network network(std::string name, const Make& make) {
  torch::manual_seed(11);
  auto net = make();
  return {name, net.ptr(), [net](const at::Tensor& x) mutable { return net->forward(x); },
          [net]() mutable { return net->fuse_model(); }, [name, make] { return network(name, make); }};
}

/// Those of the oracle, one after the other (all at once would be a lot of memory).
void for_each_network(const std::function<void(Network)>& visit) {
  visit(network("resnet18", [] { return resnet18(); }));
  visit(network("resnet50", [] { return resnet50(ResNetOptions().num_classes(10)); }));
  visit(network("resnext", [] {
    return ResNet(ResNetOptions()
                      .block(ResNetBlock::bottleneck)
                      .layers({1, 2, 1, 1})
                      .num_classes(7)
                      .zero_init_residual(true)
                      .groups(8)
                      .width_per_group(12));
  }));
  visit(network("mobilenet_v2", [] { return MobileNetV2(); }));
  visit(network("narrow_mobilenet_v2", [] { return MobileNetV2(MobileNetV2Options().num_classes(10).width_mult(0.35)); }));
}

using Answer = c10::Dict<c10::IValue, c10::IValue>;

at::Tensor tensor(const Answer& answer, const std::string& key) { return answer.at(key).toTensor(); }

/// Gives the batch norms the statistics of the oracle's.
void settle(Network& network, const Answer& answer) {
  const torch::NoGradGuard no_grad;
  const auto statistics = answer.at("statistics").toGenericDict();
  for (auto& buffer : network.module->named_buffers()) {
    if (buffer.key().find("running") != std::string::npos) buffer.value().copy_(tensor(statistics, buffer.key()));
  }
  network.module->eval();
}

class Zoo : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() /
      (std::string("octet_zoo_") + testing::UnitTest::GetInstance()->current_test_info()->name());
  const torch::NoGradGuard no_grad_;
  const Answer oracle_ = test::load_oracle("models/zoo");
};

TEST_F(Zoo, HasTheNamesTheShapesAndForASeedTheWeightsOfTorchvision) {
  for_each_network([&](const Network& network) {
    const Answer answer = oracle_.at(network.name).toGenericDict();
    const Answer shapes = answer.at("shapes").toGenericDict();
    const auto first_values = answer.at("first_values").toGenericDict(), sums = answer.at("sums").toGenericDict();
    const nn::StateDict state = state_dict(*network.module);
    EXPECT_EQ(state.size(), shapes.size()) << network.name;
    for (const auto& entry : state) {
      const std::string where = network.name + " " + entry.key();
      ASSERT_TRUE(shapes.contains(entry.key())) << where;
      EXPECT_TRUE(at::tensor(entry.value().sizes()).equal(tensor(shapes, entry.key()))) << where;
      EXPECT_TRUE(entry.value().flatten().slice(0, 0, 8).equal(tensor(first_values, entry.key()))) << where;
      EXPECT_EQ(entry.value().to(at::kDouble).sum().item<double>(), tensor(sums, entry.key()).item<double>()) << where;
    }
  });
}

TEST_F(Zoo, ComputesWhatTorchvisionDoes) {
  for_each_network([&](Network network) {
    const Answer answer = oracle_.at(network.name).toGenericDict();
    settle(network, answer);
    EXPECT_TRUE(at::allclose(network.forward(tensor(answer, "x")), tensor(answer, "out"), 1e-4, 1e-5)) << network.name;
  });
}

TEST_F(Zoo, LoadsAConvertedCheckpoint) {
  const Answer answer = oracle_.at("narrow_mobilenet_v2").toGenericDict();
  const auto pt = folder_ / "checkpoint.pt", safetensors = folder_ / "checkpoint.safetensors";
  const at::Tensor bytes = tensor(answer, "checkpoint");
  std::ofstream(pt, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data_ptr<uint8_t>()), bytes.numel());
  const std::string command =
      c10::str("\"", OCTET_PYTHON, "\" -B -W ignore \"", OCTET_SOURCE_DIR, "/tools/convert_checkpoint.py\" \"", pt.string(),
               "\" \"", safetensors.string(), "\" > \"", (folder_ / "log").string(), "\"");
  ASSERT_EQ(std::system(command.c_str()), 0);
  MobileNetV2 net(MobileNetV2Options().num_classes(10).width_mult(0.35));
  load(*net, safetensors);
  net->eval();
  EXPECT_TRUE(at::allclose(net->forward(tensor(answer, "x")), tensor(answer, "out"), 1e-4, 1e-5));
}

TEST_F(Zoo, FusingKeepsWhatIsComputedAndLeavesNoBatchNorm) {
  const std::map<std::string, int64_t> fused_modules{{"resnet18", 3 + 8 * 5 + 3 * 2},
                                                     {"resnet50", 3 + 16 * 8 + 4 * 2},
                                                     {"resnext", 3 + 5 * 8 + 4 * 2},
                                                     {"mobilenet_v2", 35 * 3 + 17 * 2},
                                                     {"narrow_mobilenet_v2", 35 * 3 + 17 * 2}};
  for_each_network([&](Network network) {
    const Answer answer = oracle_.at(network.name).toGenericDict();
    settle(network, answer);
    const Report report = network.fuse_model();
    EXPECT_EQ(report.count(ModuleStatus::fused), fused_modules.at(network.name)) << network.name;
    EXPECT_TRUE(at::allclose(network.forward(tensor(answer, "x")), tensor(answer, "out"), 1e-3, 1e-4)) << network.name;
    for (const auto& entry : state_dict(*network.module)) {
      EXPECT_EQ(entry.key().find("running_mean"), std::string::npos) << network.name << " " << entry.key();
    }
  });
}

TEST_F(Zoo, AModelInTrainingModeIsFusedForTrainingAndConvertsAfterIt) {
  MobileNetV2 net(MobileNetV2Options().width_mult(0.35).num_classes(5));
  net->fuse_model();
  prepare_qat(*net, get_default_qat_qconfig("octet"));
  const at::AutoGradMode with_gradients(true);  // the fixture is without
  torch::optim::SGD optimizer(net->parameters(), 0.01);
  for (int i = 0; i < 2; ++i) {
    optimizer.zero_grad();
    torch::nn::functional::cross_entropy(net->forward(torch::randn({4, 3, 32, 32})), torch::randint(5, {4}, torch::kLong))
        .backward();
    optimizer.step();
  }
  net->eval();
  const Report report = convert(*net);
  EXPECT_EQ(report.count(ModuleStatus::not_swappable), 0) << report;
  EXPECT_EQ(nn::as_slot(*net->named_modules()["features.0.0"])->implementation()->kind(),
            "octet::nn::intrinsic::quantized::ConvReLU2d");
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(at::isfinite(net->forward(torch::randn({2, 3, 32, 32}))).all().item<bool>());
}

TEST_F(Zoo, AModelFusedBeforeIsNotFused) {
  MobileNetV2 net(MobileNetV2Options().width_mult(0.35));
  const auto fuse = [&] { net->fuse_model(); };
  net->eval();
  net->fuse_model();
  EXPECT_NE(error_text(fuse).find("fuse the float model, once"), std::string::npos);
}

TEST_F(Zoo, AModelWithoutAnythingToFuseIsLeftAlone) {
  nn::Sequential model(nn::Linear(3, 3), nn::ReLU());
  EXPECT_TRUE(fuse_model(*model).rows().empty());
}

TEST_F(Zoo, ClonesComputeTheSameAndShareNothing) {
  const auto check_clone = [](auto net) {
    net->eval();
    const at::Tensor x = torch::randn({1, 3, 32, 32}), expected = net->forward(x);
    auto fused = clone_model(net);
    fused->fuse_model();
    auto clone = clone_model(fused);
    EXPECT_TRUE(clone->forward(x).equal(fused->forward(x)));
    for (auto& parameter : clone->parameters()) parameter.zero_();
    EXPECT_TRUE(net->forward(x).equal(expected));
    EXPECT_TRUE(at::allclose(fused->forward(x), expected, 1e-3, 1e-4));
  };
  torch::manual_seed(1);
  for (const ResNetBlock block : {ResNetBlock::basic, ResNetBlock::bottleneck}) {
    check_clone(ResNet(ResNetOptions().block(block).layers({1, 1, 1, 1})));
  }
  check_clone(MobileNetV2(MobileNetV2Options().width_mult(0.35)));
}

TEST_F(Zoo, EveryWeightBecomesAnIntegerAndComesBackFromAFile) {
  for_each_network([&](Network network) {
    if (network.name == "resnet50" || network.name == "narrow_mobilenet_v2") return;  // more of the same
    const Answer answer = oracle_.at(network.name).toGenericDict();
    const at::Tensor x = tensor(answer, "x");
    settle(network, answer);
    network.fuse_model();
    save(*network.module, folder_ / "float");
    const at::Tensor expected = network.forward(x);
    prepare(*network.module, get_default_qconfig("octet"));
    network.forward(x);
    const Report report = convert(*network.module);
    EXPECT_EQ(report.count(ModuleStatus::not_swappable), 0) << network.name << '\n' << report;
    for (const auto& entry : state_dict(*network.module)) {
      if (entry.key().ends_with(".weight")) {
        EXPECT_EQ(entry.value().scalar_type(), at::kChar) << network.name << " " << entry.key();
      }
    }
    const at::Tensor out = network.forward(x);
    EXPECT_GT(test::sqnr_db(expected, out), 15) << network.name;

    save(*network.module, folder_ / "int8");
    EXPECT_LT(file_size(folder_ / "int8"), 0.27 * static_cast<double>(file_size(folder_ / "float"))) << network.name;
    Network fresh = network.fresh();
    load(*fresh.module, folder_ / "int8");
    fresh.module->eval();
    EXPECT_TRUE(fresh.forward(x).equal(out)) << network.name;
  });
}

TEST_F(Zoo, BasicBlocksHaveNoGroups) {
  EXPECT_EQ(error_text([] { resnet18(ResNetOptions().groups(2)); }),
            "ResNet: groups = 2 and width_per_group = 64, but basic blocks have 1 and 64; use ResNetBlock::bottleneck");
}

}  // namespace
}  // namespace octet::models
