#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <functional>

namespace octet {
namespace {

using nlohmann::json;

struct TaggerImpl : nn::Cloneable<TaggerImpl> {
  nn::EmbeddingBag bag{nullptr};
  nn::GRU gru{nullptr};
  nn::BatchNorm1d bn{nullptr};
  nn::Sequential head{nullptr};
  TaggerImpl() { reset(); }
  void reset() override {
    bag = register_module("bag", nn::EmbeddingBag(20, 8));
    gru = register_module("gru", nn::GRU(nn::GRUOptions(8, 6).num_layers(2).bidirectional(true)));
    bn = register_module("bn", nn::BatchNorm1d(12));
    head = register_module("head", nn::Sequential(nn::Linear(12, 10), nn::ReLU(), torch::nn::Linear(10, 3)));
  }
  at::Tensor forward(const at::Tensor& words) {
    const at::Tensor hidden = std::get<0>(gru->forward(bag->forward(words).unsqueeze(1))).squeeze(1);
    return head->forward(bn->forward(hidden));
  }
};
TORCH_MODULE(Tagger);

class SaveLoad : public testing::Test {
 protected:
  void SetUp() override {
    const auto* const info = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() / (std::string("octet_") + info->name() + ".safetensors");
  }
  void TearDown() override { std::filesystem::remove(path_); }

  /// Saves a model, changes the file's content, and returns what loading it into a fresh model says.
  std::string error_of(const std::function<void(Safetensors&)>& spoil) {
    Tagger net;
    quantize_dynamic(*net);
    save(*net, path_);
    Safetensors content = read_safetensors(path_);
    spoil(content);
    write_safetensors(path_, content);
    return load_error(*Tagger());
  }

  std::string load_error(torch::nn::Module& model) {
    const nn::StateDict before = state_dict(model);
    try {
      load(model, path_);
    } catch (const Error& error) {
      const nn::StateDict after = state_dict(model);
      EXPECT_EQ(before.keys(), after.keys());
      for (const auto& tensor : before) EXPECT_TRUE(tensor.value().equal(after[tensor.key()])) << tensor.key();
      return error.what();
    }
    return "no error";
  }

  std::filesystem::path path_;
};

TEST_F(SaveLoad, AFreshFloatModelBecomesTheQuantizedOne) {
  const at::Tensor words = torch::randint(0, 20, {5, 4});
  for (const DType dtype : {qint8, float16, quint8, quint4x2, quint2x4}) {
    torch::manual_seed(1);
    Tagger net;
    net->forward(words);  // moves the batch norm's statistics
    quantize_dynamic(*net, {}, dtype);
    const at::Tensor expected = net->forward(words);
    save(*net, path_);
    Tagger fresh;
    load(*fresh, path_);
    fresh->eval();
    EXPECT_TRUE(fresh->forward(words).equal(expected)) << dtype;
    EXPECT_EQ(state_dict(*fresh).keys(), state_dict(*net).keys()) << dtype;
    load(*net, path_);  // a quantized model takes the file too
    EXPECT_TRUE(net->forward(words).equal(expected)) << dtype;
  }
}

TEST_F(SaveLoad, AFloatModelKeepsItsParametersIdentity) {
  Tagger net, fresh;
  save(*net, path_);
  const at::Tensor weight = fresh->head[0]->as<torch::nn::Linear>()->weight;
  torch::optim::SGD optimizer(fresh->parameters(), 0.1);
  load(*fresh, path_);
  EXPECT_TRUE(weight.equal(net->head[0]->as<torch::nn::Linear>()->weight));
  EXPECT_TRUE(weight.requires_grad());
  EXPECT_TRUE(fresh->head[0]->as<torch::nn::Linear>()->weight.is_same(weight));
}

TEST_F(SaveLoad, TheFileIsAQuarterAndDescribesItself) {
  nn::Sequential net(nn::Linear(512, 512), nn::Linear(512, 512));
  save(*net, path_);
  const auto float_size = static_cast<double>(std::filesystem::file_size(path_));
  quantize_dynamic(*net);
  save(*net, path_);
  EXPECT_LT(static_cast<double>(std::filesystem::file_size(path_)) / float_size, 0.26);
  const Safetensors content = read_safetensors(path_);
  EXPECT_EQ(content.tensors["0.weight"].scalar_type(), at::kChar);
  EXPECT_EQ(content.metadata.at("octet.format_version"), "1");
  EXPECT_EQ(json::parse(content.metadata.at("octet.modules"))["1"]["kind"], "octet::nn::quantized::dynamic::Linear");
}

TEST_F(SaveLoad, WeightsInGroupsOfFourBitsComeBackAndTakeASixthInTheFile) {
  const at::Tensor words = torch::randint(0, 20, {5, 4});
  for (const QScheme qscheme : {per_channel_symmetric, per_channel_affine}) {
    Tagger net, fresh;
    quantize_dynamic(*net, QConfigMapping(int4_weight_only_qconfig(32, qscheme)));  // the linear maps and the GRU
    const at::Tensor expected = net->forward(words);
    save(*net, path_);
    load(*fresh, path_);
    fresh->eval();
    EXPECT_TRUE(fresh->forward(words).equal(expected)) << qscheme;
    const nn::StateDict state = state_dict(*fresh);
    EXPECT_EQ(state.keys(), state_dict(*net).keys());
    EXPECT_EQ(state["head.0.weight"].sizes(), (std::vector<int64_t>{10, 6}));
    EXPECT_TRUE(state["gru.weight_ih_l0_shape"].equal(torch::tensor({18, 8}, torch::kLong)));
    load(*net, path_);  // a quantized model takes the file too
    EXPECT_TRUE(net->forward(words).equal(expected)) << qscheme;
  }
  nn::Sequential large(nn::Linear(512, 512), nn::Linear(512, 512));
  save(*large, path_);
  const auto float_size = static_cast<double>(std::filesystem::file_size(path_));
  quantize_dynamic(*large, QConfigMapping(int4_weight_only_qconfig(32)));
  save(*large, path_);
  EXPECT_LT(static_cast<double>(std::filesystem::file_size(path_)) / float_size, 0.17);
}

TEST_F(SaveLoad, HostileFilesOfWeightsInGroupsAreRefused) {
  const auto error = [&](const std::function<void(Safetensors&)>& spoil) {
    nn::Sequential net(nn::Linear(40, 6), nn::GRU(8, 8));
    quantize_dynamic(*net, QConfigMapping(int4_weight_only_qconfig(32)));
    save(*net, path_);
    Safetensors content = read_safetensors(path_);
    spoil(content);
    write_safetensors(path_, content);
    return load_error(*nn::Sequential(nn::Linear(40, 6), nn::GRU(8, 8)));
  };
  EXPECT_EQ(error([](Safetensors&) {}), "no error");
  const std::string all = error([](Safetensors& content) {
    content.tensors["0.weight_zero_point"][2][1] = 200;
    content.tensors["1.weight_hh_l0_scale"] = torch::ones({24, 7});
  });
  EXPECT_NE(all.find("0: \"weight_zero_point\" holds values outside of 0 .. 15"), std::string::npos) << all;
  EXPECT_NE(all.find("1: \"weight_hh_l0_scale\" is a Float tensor of shape [24, 7]"), std::string::npos) << all;
  for (const int64_t inputs : {int64_t{-40}, int64_t{1} << 40, int64_t{38}}) {
    const std::string text =
        error([&](Safetensors& content) { content.tensors["0.weight_shape"] = torch::tensor({int64_t{6}, inputs}); });
    EXPECT_NE(text.find("0: \"weight"), std::string::npos) << text;
  }
  // Rows of 39 inputs take as many bytes as those of 40.
  EXPECT_NE(error([](Safetensors& content) {
              content.tensors["0.weight_shape"] = torch::tensor({int64_t{6}, int64_t{39}});
            }).find("0.weight: the file has Byte [6, 39], the model Float [6, 40]"),
            std::string::npos);
  nn::Sequential already(nn::Linear(40, 6), nn::GRU(8, 8));
  quantize_dynamic(*already, QConfigMapping(int4_weight_only_qconfig(32)));
  EXPECT_NE(load_error(*already).find("0.weight: the file has Byte [6, 39], the model Byte [6, 40]"), std::string::npos);
  EXPECT_NE(error([](Safetensors& content) { content.tensors["0.weight_shape"] = torch::ones({2}); }).find("expected Long"),
            std::string::npos);
  EXPECT_NE(error([](Safetensors& content) { content.tensors.erase("0.weight"); }).find("the tensor \"weight\" is missing"),
            std::string::npos);
  EXPECT_NE(error([](Safetensors& content) {
              content.tensors.insert("0.weight_zero_points", torch::ones({6, 2}));
            }).find("the tensor \"weight_zero_points\" is not part of"),
            std::string::npos);
}

TEST_F(SaveLoad, TruncatedFilesOfWeightsInGroupsAreRefused) {
  nn::Sequential net(nn::Linear(40, 6));
  quantize_dynamic(*net, QConfigMapping(int4_weight_only_qconfig(32)));
  save(*net, path_);
  const auto whole = std::filesystem::file_size(path_);
  for (auto size = whole; size-- > 0;) {
    std::filesystem::resize_file(path_, size);
    EXPECT_NE(load_error(*nn::Sequential(nn::Linear(40, 6))), "no error") << size;
  }
}

TEST_F(SaveLoad, AModelTrainedInPythonLoadsByItsNames) {
  const auto answers = test::load_oracle("io/save_load");
  const at::Tensor bytes = answers.at("file").toTensor(), words = answers.at("words").toTensor(),
                   expected = answers.at("out").toTensor();
  std::ofstream(path_, std::ios::binary).write(reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()), bytes.numel());
  Tagger net;
  load(*net, path_);
  net->eval();
  EXPECT_TRUE(at::allclose(net->forward(words), expected, 1e-5, 1e-6));
  quantize_dynamic(*net);
  EXPECT_GT(test::sqnr_db(expected, net->forward(words)), 25);
}

TEST_F(SaveLoad, AllThatDoesNotFitIsListedAndTheModelIsUnharmed) {
  const std::string error = error_of([](Safetensors& content) {
    content.tensors.erase("bn.running_mean");
    content.tensors.insert("bn.running_median", torch::ones({12}));
    content.tensors["bn.weight"] = torch::ones({7});
    content.tensors["bn.bias"] = torch::ones({12}, torch::kDouble);
    content.tensors["head.0.weight_scale"] = torch::full({1}, -1.0f);
    content.tensors.erase("gru.weight_hh_l1_scale");
  });
  for (const char* part :
       {"missing:\n  bn.running_mean\n", "unexpected:\n  bn.running_median\n",
        "bn.weight: the file has Float [7], the model Float [12]", "bn.bias: the file has Double [12], the model Float [12]",
        "head.0: \"weight_scale\" holds values that are not positive", "\"weight_hh_l1_scale\" is missing"}) {
    EXPECT_NE(error.find(part), std::string::npos) << part << "\nin\n" << error;
  }
}

TEST_F(SaveLoad, HostileMetadataIsRefused) {
  const auto with_modules = [&](const std::function<void(json&)>& spoil) {
    return error_of([&](Safetensors& content) {
      json modules = json::parse(content.metadata.at("octet.modules"));
      spoil(modules);
      content.metadata["octet.modules"] = modules.dump();
    });
  };
  EXPECT_NE(with_modules([](json& m) {
              m["head.0"]["kind"] = "octet::nn::Nonsense";
            }).find("unknown kind of module \"octet::nn::Nonsense\""),
            std::string::npos);
  EXPECT_NE(with_modules([](json& m) { m["head.0"].erase("kind"); }).find("has no \"kind\""), std::string::npos);
  EXPECT_NE(with_modules([](json& m) { m["head.0"]["attributes"] = json::array(); }).find("no JSON object"), std::string::npos);
  EXPECT_NE(with_modules([](json& m) { m["head.0"]["attributes"]["per_row"] = "yes"; }).find("\"per_row\" has the wrong type"),
            std::string::npos);
  EXPECT_NE(with_modules([](json& m) { m["head.0"]["attributes"]["quant_max"] = 4000; }).find("within 0 .. 255"),
            std::string::npos);
  EXPECT_NE(with_modules([](json& m) {
              m["haed.0"] = m["head.0"];
              m.erase("head.0");
            }).find("modules that the model lacks:\n  haed.0"),
            std::string::npos);
  EXPECT_NE(with_modules([](json& m) { m["head.0"]["kind"] = "octet::nn::quantized::dynamic::GRU"; }).find("head.0"),
            std::string::npos);
  EXPECT_NE(error_of([](Safetensors& c) { c.metadata["octet.modules"] = "{"; }).find("no JSON object"), std::string::npos);
  EXPECT_NE(error_of([](Safetensors& c) { c.metadata.erase("octet.modules"); }).find("the metadata has no"), std::string::npos);
  EXPECT_NE(error_of([](Safetensors& c) { c.metadata["octet.format_version"] = "2"; }).find("this library knows version 1"),
            std::string::npos);
}

TEST_F(SaveLoad, AModelOfAnotherShapeIsRefused) {
  nn::Sequential net(nn::Linear(4, 4)), other(nn::Linear(4, 5)), gru(nn::GRU(4, 4));
  quantize_dynamic(*net);
  save(*net, path_);
  EXPECT_NE(load_error(*other).find("0.weight: the file has Char [4, 4], the model Float [5, 4]"), std::string::npos);
  EXPECT_NE(load_error(*gru).find("does not answer the calls of this slot"), std::string::npos);
  nn::Sequential unbiased(nn::Linear(nn::LinearOptions(4, 4).bias(false)));
  EXPECT_NE(load_error(*unbiased).find("unexpected:\n  0.bias"), std::string::npos);
  nn::Sequential floats(nn::Linear(4, 4));
  save(*floats, path_);
  EXPECT_NE(load_error(*net).find("load into a freshly built float model"), std::string::npos);
}

/// Convolution, batch norm and ReLU between the stubs.
nn::Sequential convolutional() {
  nn::Sequential net(nn::QuantStub(), nn::Conv2d(torch::nn::Conv2dOptions(3, 4, 3).bias(false)), nn::BatchNorm2d(4), nn::ReLU(),
                     nn::DeQuantStub());
  net->eval();
  return net;
}

TEST_F(SaveLoad, StaticallyQuantizedModelsComeBackAlsoWithBiasesThatBatchNormsBecame) {
  const at::Tensor x = torch::randn({2, 3, 6, 6});
  nn::Sequential net = convolutional(), fresh = convolutional();
  fuse_modules(*net, {{"1", "2", "3"}});
  prepare(*net, get_default_qconfig("octet"));
  net->forward(x);
  convert(*net);
  save(*net, path_);
  load(*fresh, path_);
  EXPECT_TRUE(fresh->forward(x).equal(net->forward(x)));
  const nn::StateDict state = state_dict(*fresh);
  EXPECT_EQ(state["1.weight"].scalar_type(), at::kChar);
  EXPECT_TRUE(state.contains("1.bias") && state.contains("1.scale") && state.contains("1.zero_point"));
  EXPECT_FALSE(state.contains("2.running_mean"));
}

TEST_F(SaveLoad, FusedAndPreparedModelsComeBackIntoModelsThatAreAsFar) {
  const at::Tensor x = torch::randn({2, 3, 6, 6});
  nn::Sequential net = convolutional(), other = convolutional();
  for (const nn::Sequential& model : {net, other}) {
    nn::Sequential it = model;
    fuse_modules(*it, {{"1", "2", "3"}});
    prepare(*it, default_qconfig);
  }
  net->forward(x);
  save(*net, path_);
  load(*other, path_);
  EXPECT_TRUE(
      state_dict(*other)["1.activation_post_process.max_val"].equal(state_dict(*net)["1.activation_post_process.max_val"]));
  convert(*net);
  convert(*other);
  EXPECT_TRUE(other->forward(x).equal(net->forward(x)));
}

}  // namespace
}  // namespace octet
