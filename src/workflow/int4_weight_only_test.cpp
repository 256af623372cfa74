// Weights of 4 bits in groups through the workflows.

#include <octet/nn/module_site.h>
#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>

namespace octet {
namespace {

using test::error_text;
using test::sqnr_db;

models::BertModel encoder() {
  torch::manual_seed(1);
  models::BertModel net(models::BertOptions()
                            .vocab_size(50)
                            .hidden_size(128)
                            .num_hidden_layers(2)
                            .num_attention_heads(4)
                            .intermediate_size(320)
                            .max_position_embeddings(16));
  net->eval();
  return net;
}

/// Of all parameters and buffers, and of what was quantized.
int64_t bytes_of(torch::nn::Module& model) {
  int64_t bytes = 0;
  for (const at::Tensor& parameter : model.parameters()) bytes += static_cast<int64_t>(parameter.nbytes());
  for (const auto& site : nn::module_sites(model)) {
    if (site.slot() && site.slot()->implementation()) bytes += site.slot()->implementation()->weight_bytes();
  }
  return bytes;
}

TEST(Int4WeightOnly, QuantizesAnEncoderAndReportsWhyTheRestStays) {
  const torch::NoGradGuard no_grad;
  models::BertModel net = encoder();
  const at::Tensor ids = torch::randint(0, 50, {2, 12}), expected = net->forward(ids);
  double former = 0;
  for (const int64_t group_size : {128, 32}) {
    Report report;
    models::BertModel small = quantize_dynamic(net, QConfigMapping(int4_weight_only_qconfig(group_size)), qint8,
                                               default_dynamic_quant_module_mappings(), false, &report);
    EXPECT_EQ(report.count(ModuleStatus::quantized), 2 * 6) << report;
    EXPECT_EQ(report.find("encoder.layer.1.intermediate.dense")->detail, "octet::nn::quantized::dynamic::Linear");
    EXPECT_EQ(report.find("embeddings.word_embeddings")->detail,
              "its qconfig has weights in groups, which are for Linear and recurrent modules; embeddings of 4 bits want "
              "float_qparams_weight_only_qconfig_4bit");
    EXPECT_EQ(report.find("embeddings.LayerNorm")->detail,
              "no dynamically quantized class for LayerNorm; one can be added to the mapping");
    const at::Tensor out = small->forward(ids);
    const double sqnr = sqnr_db(expected, out);
    EXPECT_GT(sqnr, std::max(15.0, former)) << group_size;
    former = sqnr;
    EXPECT_TRUE(clone_model(small)->forward(ids).equal(out));
    EXPECT_TRUE(net->forward(ids).equal(expected));
  }
}

TEST(Int4WeightOnly, TakesUnderAFifthOfAFloatModelsMemory) {
  nn::Sequential net(nn::Linear(512, 1024), nn::ReLU(), nn::Linear(1024, 512));
  constexpr int64_t kWeights = 2 * 512 * 1024, kBiases = 4 * (1024 + 512);
  EXPECT_EQ(bytes_of(*net), 4 * kWeights + kBiases);
  nn::Sequential large_groups = quantize_dynamic(net, QConfigMapping(int4_weight_only_qconfig(128)));
  EXPECT_EQ(bytes_of(*large_groups), kWeights / 2 + kWeights / 128 * 5 + kBiases);
  nn::Sequential small_groups = quantize_dynamic(net, QConfigMapping(int4_weight_only_qconfig(32)));
  EXPECT_EQ(bytes_of(*small_groups), kWeights / 2 + kWeights / 32 * 5 + kBiases);
  EXPECT_LT(static_cast<double>(bytes_of(*small_groups)) / static_cast<double>(bytes_of(*net)), 0.18);
}

TEST(Int4WeightOnly, GoesWithOtherQConfigsInOneModel) {
  const torch::NoGradGuard no_grad;
  nn::Sequential net(nn::Linear(64, 96), nn::ReLU(), torch::nn::Linear(96, 64), nn::Linear(64, 8));
  net->eval();
  const at::Tensor x = torch::randn({3, 64}), expected = net->forward(x);
  fuse_modules(*net, {"0", "1"});
  const Report report =
      quantize_dynamic(*net, QConfigMapping(int4_weight_only_qconfig(32)).set_module_name("3", per_row_dynamic_qconfig));
  EXPECT_EQ(report.find("0")->detail, "octet::nn::intrinsic::quantized::dynamic::LinearReLU") << report;
  EXPECT_EQ(report.find("2")->status, ModuleStatus::quantized) << report;
  const std::string text = c10::str(*net);
  EXPECT_NE(text.find("dtype=quint4x2, qscheme=per_channel_affine, group_size=32"), std::string::npos) << text;
  EXPECT_NE(text.find("dtype=qint8, qscheme=per_channel_symmetric, per_row=true"), std::string::npos) << text;
  EXPECT_GT(sqnr_db(expected, net->forward(x)), 15);
}

TEST(Int4WeightOnly, NamesTheModuleWhoseWeightsCannotBeQuantized) {
  nn::Sequential net(nn::Linear(64, 64), nn::Linear(64, 8));
  const torch::NoGradGuard no_grad;
  net[1]->as<torch::nn::Linear>()->weight[0][0] = std::numeric_limits<float>::infinity();
  EXPECT_NE(error_text([&] {
              quantize_dynamic(*net, QConfigMapping(int4_weight_only_qconfig()));
            }).find("1: weight: the weight holds NaN or infinite"),
            std::string::npos);
  EXPECT_EQ(nn::as_slot(*net[0])->implementation(), nullptr);
}

/// A convolution in integers, and a head that stays between floats.
nn::Sequential classifier() {
  torch::manual_seed(2);
  nn::Sequential net(nn::QuantStub(), nn::Conv2d(3, 8, 3), nn::ReLU(), nn::DeQuantStub(), nn::Flatten(), nn::Linear(8 * 36, 10));
  net->eval();
  return net;
}

QConfig head_qconfig() { return int4_weight_only_qconfig(32, per_channel_symmetric); }

QConfigMapping with_head(QConfigAny qconfig) {
  return QConfigMapping(get_default_qconfig("octet")).set_module_name("5", std::move(qconfig));
}

TEST(Int4WeightOnly, IsOneOfTheQConfigsOfAStaticallyQuantizedModel) {
  const torch::NoGradGuard no_grad;
  nn::Sequential net = classifier();
  const at::Tensor x = torch::randn({4, 3, 8, 8}), expected = net->forward(x);
  const Report prepared = prepare(*net, with_head(head_qconfig()));
  EXPECT_EQ(prepared.find("1")->status, ModuleStatus::observed);
  EXPECT_EQ(prepared.find("5")->detail, "nothing to observe");
  net->forward(x);
  EXPECT_EQ(bias_correction(*net, [&] { net->forward(x); }).find("5")->detail, "its weight is not quantized to int8");
  const Report converted = convert(*net);
  EXPECT_EQ(converted.find("1")->detail, "octet::nn::quantized::Conv2d");
  EXPECT_EQ(converted.find("5")->detail, "octet::nn::quantized::dynamic::Linear");
  EXPECT_GT(sqnr_db(expected, net->forward(x)), 15);
  EXPECT_EQ(nn::as_slot(*net[5])->qconfig(), std::nullopt);
}

TEST(Int4WeightOnly, MayComeBeforeStaticQuantizationOrAfterIt) {
  const torch::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({4, 3, 8, 8});
  const auto head_alone = QConfigMapping().set_module_name("5", head_qconfig());
  const auto statically = [&](nn::Sequential& net) {
    prepare(*net, with_head(std::nullopt));
    net->forward(x);
    convert(*net);
  };
  nn::Sequential before = classifier(), after = classifier(), at_once = classifier();
  quantize_dynamic(*before, head_alone);
  statically(before);
  statically(after);
  quantize_dynamic(*after, head_alone);
  prepare(*at_once, with_head(head_qconfig()));
  at_once->forward(x);
  convert(*at_once);
  EXPECT_TRUE(after->forward(x).equal(at_once->forward(x)));
  EXPECT_TRUE(before->forward(x).equal(at_once->forward(x)));
}

TEST(Int4WeightOnly, KeepsWhatPrepareHasNoGroupsForInFloatAndSaysSo) {
  nn::Sequential net(nn::Conv2d(3, 4, 3), nn::Linear(8, 8), nn::Embedding(4, 8));
  net->eval();
  const Report report = prepare(*net, QConfigMapping(int4_weight_only_qconfig()));
  EXPECT_EQ(report.find("0")->detail, "its qconfig has weights in groups, which are for Linear and LinearReLU");
  EXPECT_EQ(report.find("1")->status, ModuleStatus::observed);
  EXPECT_EQ(report.find("2")->status, ModuleStatus::kept);
}

TEST(Int4WeightOnly, NeedsNoStubs) {
  const torch::NoGradGuard no_grad;
  nn::Sequential net(nn::Conv2d(3, 8, 3), nn::Flatten(), nn::Linear(8 * 36, 10));
  net->eval();
  const at::Tensor x = torch::randn({4, 3, 8, 8}), expected = net->forward(x);
  const auto mixed = QConfigMapping(get_default_qconfig("octet")).set_object_type<nn::Linear>(int4_weight_only_qconfig());
  const Report report = add_quant_dequant(*net, mixed);
  EXPECT_EQ(report.find("0")->status, ModuleStatus::wrapped);
  EXPECT_EQ(report.find("2")->detail, "needs no stubs: with weights in groups it takes and returns floats");
  prepare(*net, mixed);
  net->forward(x);
  EXPECT_EQ(convert(*net).find("2")->detail, "octet::nn::quantized::dynamic::Linear");
  EXPECT_GT(sqnr_db(expected, net->forward(x)), 15);
}

TEST(Int4WeightOnly, IsNotForTraining) {
  nn::Sequential net(nn::Linear(64, 8));
  net->train();
  EXPECT_NE(error_text([&] { prepare_qat(*net, int4_weight_only_qconfig()); }).find("does not fake-quantize the weight"),
            std::string::npos);
}

}  // namespace
}  // namespace octet
