// The encoder against BERT in plain functions of torch; with real weights where MINILM_DIR names their folder.

#include <octet/models/bert.h>
#include <octet/models/word_piece_tokenizer.h>
#include <octet/octet.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace octet::models {
namespace {

using test::error_text;

constexpr const char* kConfig = R"({"model_type": "bert", "hidden_act": "gelu", "vocab_size": 60, "hidden_size": 32,
  "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 80, "max_position_embeddings": 24,
  "type_vocab_size": 2, "layer_norm_eps": 1e-6, "position_embedding_type": "absolute", "hidden_dropout_prob": 0.1})";

class Bert : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    for (const auto& entry : oracle_.at("state").toGenericDict()) {
      weights_.tensors.insert(entry.key().toStringRef(), entry.value().toTensor());
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  at::Tensor answer(const std::string& key) const { return oracle_.at(key).toTensor(); }

  /// That of the oracle, through files.
  BertModel model() const {
    write_config(kConfig);
    write_safetensors(folder_ / "model.safetensors", weights_);
    return load_bert(folder_);
  }
  void write_config(const std::string& text) const { std::ofstream(folder_ / "config.json") << text; }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() /
      (std::string("octet_bert_") + testing::UnitTest::GetInstance()->current_test_info()->name());
  const torch::NoGradGuard no_grad_;
  const c10::Dict<c10::IValue, c10::IValue> oracle_ = test::load_oracle("models/bert");
  Safetensors weights_;
};

TEST_F(Bert, ComputesWhatTransformersDoes) {
  BertModel net = model();
  const at::Tensor ids = answer("ids"), mask = answer("mask"), types = answer("types");
  EXPECT_TRUE(at::allclose(net->forward(ids), answer("out"), 1e-4, 1e-5));
  const at::Tensor masked = net->forward(ids, mask, types), is_token = mask.unsqueeze(-1);
  EXPECT_TRUE(at::allclose(masked * is_token, answer("masked_out") * is_token, 1e-4, 1e-5));
  EXPECT_TRUE(at::allclose(sentence_embeddings(net->forward(ids)), answer("embeddings"), 1e-4, 1e-5));
  EXPECT_TRUE(at::allclose(sentence_embeddings(masked, mask), answer("masked_embeddings"), 1e-4, 1e-5));
}

TEST_F(Bert, PaddingChangesNothingAndAMaskOfOnesIsNone) {
  BertModel net = model();
  const at::Tensor ids = answer("ids"), mask = answer("mask");
  const at::Tensor batch = net->forward(ids, mask);
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const int64_t length = mask[row].sum().item<int64_t>();
    const at::Tensor alone = net->forward(ids.slice(0, row, row + 1).slice(1, 0, length));
    EXPECT_TRUE(at::allclose(batch[row].slice(0, 0, length), alone[0], 1e-4, 1e-5)) << row;
  }
  EXPECT_TRUE(net->forward(ids, at::ones_like(ids)).equal(net->forward(ids)));
  EXPECT_TRUE(net->forward(ids, mask.to(at::kBool)).equal(batch));
}

TEST_F(Bert, HasTheNamesOfTransformersAndStartsAsItDoes) {
  torch::manual_seed(1);
  BertModel net(BertOptions()
                    .vocab_size(60)
                    .hidden_size(32)
                    .num_hidden_layers(3)
                    .num_attention_heads(4)
                    .intermediate_size(80)
                    .max_position_embeddings(24));
  const nn::StateDict state = state_dict(*net);
  EXPECT_EQ(state.size(), weights_.tensors.size());
  for (const auto& entry : state) {
    ASSERT_TRUE(weights_.tensors.contains(entry.key())) << entry.key();
    EXPECT_EQ(entry.value().sizes(), weights_.tensors[entry.key()].sizes()) << entry.key();
    const bool is_of_norm = entry.key().find("LayerNorm") != std::string::npos;
    if (is_of_norm || entry.key().ends_with(".bias")) {
      const double start = entry.key().ends_with(".bias") ? 0 : 1;
      EXPECT_TRUE(entry.value().eq(start).all().item<bool>()) << entry.key();
    } else if (entry.value().numel() >= 1000) {
      EXPECT_NEAR(entry.value().std().item<double>(), 0.02, 0.002) << entry.key();
    }
  }
}

TEST_F(Bert, LoadsModelsThatStandOnItAndLeavesOutWhatIsNotOfTheEncoder) {
  const at::Tensor expected = model()->forward(answer("ids"));
  Safetensors with_head;
  for (const auto& entry : weights_.tensors) with_head.tensors.insert("bert." + entry.key(), entry.value());
  with_head.tensors.insert("bert.embeddings.position_ids", at::arange(24).unsqueeze(0));
  with_head.tensors.insert("bert.pooler.dense.weight", at::zeros({32, 32}));
  with_head.tensors.insert("cls.predictions.bias", at::zeros({60}));
  write_safetensors(folder_ / "model.safetensors", with_head);
  EXPECT_TRUE(load_bert(folder_)->forward(answer("ids")).equal(expected));
  EXPECT_FALSE(load_bert(folder_)->is_training());
}

TEST_F(Bert, WhatCannotBeLoadedIsAnErrorThatSaysWhy) {
  const auto text = [&] { return error_text([&] { load_bert(folder_); }); };
  EXPECT_NE(text().find("config.json: cannot be read; expected the config.json of a BERT model"), std::string::npos) << text();
  const std::string config = kConfig;
  const auto with = [&](const std::string& from, const std::string& to) {
    write_config(std::string(config).replace(config.find(from), from.size(), to));
    return text();
  };
  EXPECT_NE(with("{", "").find("no JSON object"), std::string::npos);
  EXPECT_NE(with("\"gelu\"", "\"relu\"").find("\"hidden_act\" is relu, but octet::models::BertModel has gelu"),
            std::string::npos);
  EXPECT_NE(with("\"absolute\"", "\"relative_key\"").find("\"position_embedding_type\" is relative_key"), std::string::npos);
  EXPECT_NE(with("\"hidden_size\"", "\"d\"").find("has no number \"hidden_size\""), std::string::npos);
  EXPECT_EQ(with("\"num_attention_heads\": 4", "\"num_attention_heads\": 5"),
            "BertOptions: got hidden_size = 32 and num_attention_heads = 5; expected a multiple of the number of heads");
  write_config(config);
  EXPECT_NE(text().find("model.safetensors"), std::string::npos) << text();
  weights_.tensors.erase("encoder.layer.2.output.dense.bias");
  write_safetensors(folder_ / "model.safetensors", weights_);
  EXPECT_NE(text().find("model.safetensors: the file and the model do not fit\nmissing:\n  encoder.layer.2.output.dense.bias\n"),
            std::string::npos)
      << text();
}

TEST_F(Bert, InputsThatDoNotFitAreErrors) {
  BertModel net = model();
  const at::Tensor ids = answer("ids"), mask = answer("mask");
  EXPECT_EQ(error_text([&] { net->forward(at::zeros({1, 25}, at::kLong)); }),
            "BertModel: got input_ids of shape [1, 25], expected [batch, length] of at most 24 tokens; truncate the text");
  EXPECT_NE(error_text([&] { net->forward(ids[0]); }).find("of shape [11], expected [batch, length]"), std::string::npos);
  EXPECT_EQ(error_text([&] { net->forward(ids, mask[0]); }),
            "BertModel: got an attention_mask of shape [11] for input_ids of shape [3, 11]; expected the same shape");
  mask[1].zero_();
  EXPECT_NE(error_text([&] { net->forward(ids, mask); }).find("has a row of zeros alone"), std::string::npos);
}

TEST_F(Bert, IsQuantizedDynamicallyAndComesBackFromAFile) {
  BertModel net = model();
  const at::Tensor ids = answer("ids"), mask = answer("mask");
  const auto per_row = QConfigMapping().set_object_type<nn::Linear>(per_row_dynamic_qconfig);
  for (const QConfigSpec& spec : {QConfigSpec(), QConfigSpec(per_row)}) {
    Report report;
    BertModel small = quantize_dynamic(net, spec, qint8, default_dynamic_quant_module_mappings(), false, &report);
    EXPECT_EQ(report.count(ModuleStatus::quantized), 3 * 6);
    const at::Tensor out = small->forward(ids, mask);
    EXPECT_GT(test::sqnr_db(net->forward(ids, mask), out), 28);
    save(*small, folder_ / "model.safetensors");
    EXPECT_TRUE(load_bert(folder_)->forward(ids, mask).equal(out));
  }
}

TEST_F(Bert, ClonesShareNothing) {
  BertModel net = model(), copy = clone_model(net);
  const at::Tensor expected = net->forward(answer("ids"));
  EXPECT_TRUE(copy->forward(answer("ids")).equal(expected));
  for (auto& parameter : copy->parameters()) parameter.zero_();
  EXPECT_TRUE(net->forward(answer("ids")).equal(expected));
}

TEST_F(Bert, EmbedsSentencesByTheirMeaningWithRealWeights) {
  const char* const folder = std::getenv("MINILM_DIR");
  if (!folder) GTEST_SKIP() << "MINILM_DIR names no folder with all-MiniLM-L6-v2";
  BertModel net = load_bert(folder);
  const WordPieceTokenizer tokenizer(std::filesystem::path(folder) / "vocab.txt");
  const auto [ids, mask] = tokenizer.encode_batch({"A man is eating food.", "Someone has a meal.", "The server's disk is full."});
  const auto embed = [&, ids = ids, mask = mask](BertModel model) {
    return sentence_embeddings(model->forward(ids, mask), mask);
  };
  const at::Tensor exact = embed(net), cosines = exact.mm(exact.t());
  EXPECT_GT(cosines[0][1].item<float>(), 0.5);
  EXPECT_LT(cosines[0][2].item<float>(), 0.2);
  // Single activations are fifty times as large as the others, and spoil the rest of the tensor; of a row of its own, less.
  const auto per_row = QConfigMapping().set_object_type<nn::Linear>(per_row_dynamic_qconfig);
  for (const auto& [spec, least] : {std::pair(QConfigSpec(), 0.95), std::pair(QConfigSpec(per_row), 0.99)}) {
    const at::Tensor similarity = (embed(quantize_dynamic(net, spec)) * exact).sum(1);
    EXPECT_GT(similarity.min().item<float>(), least) << similarity;
  }
}

}  // namespace
}  // namespace octet::models
