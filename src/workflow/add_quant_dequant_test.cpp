#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>
#include <torch/torch.h>

#include <filesystem>
#include <string>

namespace octet {
namespace {

using test::error_text;

const QConfig kQConfig(MinMaxObserver::with_args(MinMaxObserverOptions().dtype(quint8)), default_weight_observer);

nn::Sequential float_model() {
  nn::Sequential model(nn::Linear(6, 8), nn::Linear(8, 5), nn::Tanh());
  model->eval();
  return model;
}

TEST(AddQuantDequant, QuantizesOneLayerOfAFloatModelAsPythonDoes) {
  const auto answer = test::load_oracle("workflow/add_quant_dequant");
  const torch::NoGradGuard no_grad;
  nn::Sequential model = float_model();
  for (const auto& entry : answer.at("before").toGenericDict()) {
    model->named_parameters()[entry.key().toStringRef()].copy_(entry.value().toTensor());
  }
  const Report wrapped = add_quant_dequant(*model, QConfigMapping().set_module_name("1", kQConfig));
  EXPECT_EQ(wrapped.find("1")->status, ModuleStatus::wrapped);
  EXPECT_EQ(wrapped.find("0")->detail, "no qconfig for it");
  prepare(*model, QConfigMapping());  // the qconfigs are set
  model->forward(answer.at("calibration").toTensor());
  const Report report = convert(*model);
  for (const char* path : {"1", "1.quant", "1.dequant"}) EXPECT_EQ(report.find(path)->status, ModuleStatus::quantized) << path;
  EXPECT_EQ(report.count(ModuleStatus::quantized), 3);

  // Written on the scale of the layer's output, through the tanh: its slope is 1 at most.
  const double step = answer.at("output_scale").toDouble();
  const at::Tensor y = model->forward(answer.at("x").toTensor());
  EXPECT_FALSE(is_quantized(y));
  EXPECT_LE((y - answer.at("y").toTensor()).abs().max().item<double>(), 1.001 * step);
  const auto state = nn::as_slot(*model[1]->named_children()["quant"])->implementation()->state_dict();
  EXPECT_FLOAT_EQ(state["scale"].item<float>(), static_cast<float>(answer.at("input_scale").toDouble()));
  EXPECT_EQ(state["zero_point"].item<int64_t>(), answer.at("input_zero_point").toInt());
}

TEST(AddQuantDequant, ClonesAndFilesKeepTheStubs) {
  const torch::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({4, 6});
  nn::Sequential model = float_model();
  const at::Tensor expected = model->forward(x);
  const QConfigMapping mapping = QConfigMapping().set_object_type<nn::Linear>(kQConfig);
  nn::Sequential wrapped = add_quant_dequant(model, mapping);
  EXPECT_TRUE(model[1]->children().empty());
  EXPECT_TRUE(wrapped->forward(x).equal(expected));  // the stubs do nothing yet
  nn::Sequential prepared = prepare(wrapped, mapping);
  prepared->forward(x);
  nn::Sequential converted = convert(prepared);
  EXPECT_TRUE(wrapped->forward(x).equal(expected));
  const at::Tensor y = converted->forward(x);
  EXPECT_FALSE(y.equal(expected));
  EXPECT_GT(test::sqnr_db(expected, y), 25);
  EXPECT_TRUE(clone_model(converted)->forward(x).equal(y));

  const auto file = std::filesystem::temp_directory_path() / "octet_add_quant_dequant.safetensors";
  save(*converted, file.string());
  nn::Sequential fresh = add_quant_dequant(float_model(), mapping);
  load(*fresh, file.string());
  std::filesystem::remove(file);
  EXPECT_TRUE(fresh->forward(x).equal(y));
}

struct MixedImpl : torch::nn::Module {
  nn::Embedding embedding;
  nn::LSTM lstm;
  nn::ReLU relu;
  nn::FloatFunctional add;
  torch::nn::Linear plain;
  torch::nn::Sequential layers;
  MixedImpl() : embedding(9, 4), lstm(4, 4), plain(4, 4), layers(torch::nn::Conv1d(4, 4, 1), nn::Dropout()) {
    register_module("embedding", embedding);
    register_module("lstm", lstm);
    register_module("relu", relu);
    register_module("add", add);
    register_module("plain", plain);
    register_module("layers", layers);
  }
};

TEST(AddQuantDequant, SaysWhatItKeepsAndDoesNothingTwice) {
  MixedImpl model;
  const Report report = add_quant_dequant(model, kQConfig);
  EXPECT_EQ(report.find("embedding")->detail, "takes no single tensor to be quantized");
  EXPECT_EQ(report.find("add")->detail, "takes no single tensor to be quantized");
  EXPECT_EQ(report.find("layers.1")->status, ModuleStatus::kept);
  EXPECT_EQ(report.find("relu")->status, ModuleStatus::kept);
  EXPECT_EQ(report.find("plain")->status, ModuleStatus::not_swappable);
  EXPECT_EQ(report.find("layers.0")->detail, "float in and out by layers.0.quant and layers.0.dequant");
  EXPECT_EQ(report.count(ModuleStatus::wrapped), 1);
  const Report again = add_quant_dequant(model, kQConfig);
  EXPECT_EQ(again.find("layers.0")->detail, "has its stubs already");
  EXPECT_EQ(again.count(ModuleStatus::wrapped), 0);
  const auto unknown = [&] { add_quant_dequant(model, QConfigMapping().set_module_name("fc", kQConfig)); };
  EXPECT_NE(error_text(unknown).find("add_quant_dequant: the qconfig names the module \"fc\""), std::string::npos);
}

}  // namespace
}  // namespace octet
