#include <octet/io/safetensors.h>
#include <octet/io/save_load.h>
#include <octet/models/bert.h>
#include <octet/nn/transformer.h>
#include <octet/tensor/error.h>
#include <octet/tensor/transformer.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/functional/normalization.h>
#include <torch/nn/init.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <limits>

namespace octet::models {
namespace {

nn::LayerNorm layer_norm_of(const BertOptions& options) {
  return nn::LayerNorm(nn::LayerNormOptions({options.hidden_size()}).eps(options.layer_norm_eps()));
}

/// As transformers.BertPreTrainedModel._init_weights.
void initialize(torch::nn::Module& module) {
  constexpr double kDeviation = 0.02;
  if (auto* const linear = module.as<torch::nn::Linear>()) {
    torch::nn::init::normal_(linear->weight, 0, kDeviation);
    torch::nn::init::zeros_(linear->bias);
  } else if (auto* const embedding = module.as<torch::nn::Embedding>()) {
    torch::nn::init::normal_(embedding->weight, 0, kDeviation);
  }
}

/// What is added to the attention's scores, [batch, 1, 1, length]; undefined where nothing is masked, since that costs less.
at::Tensor attention_bias_of(const at::Tensor& attention_mask, const at::Tensor& input_ids) {
  if (!attention_mask.defined()) return {};
  check(attention_mask.sizes() == input_ids.sizes(), "BertModel: got an attention_mask of shape ", attention_mask.sizes(),
        " for input_ids of shape ", input_ids.sizes(), "; expected the same shape");
  const at::Tensor is_token = attention_mask != 0;
  if (is_token.all().item<bool>()) return {};
  check(is_token.any(1).all().item<bool>(),
        "BertModel: the attention_mask has a row of zeros alone; expected a token in each row; leave empty texts out");
  return at::where(is_token, 0.0f, -std::numeric_limits<float>::infinity()).unsqueeze(1).unsqueeze(1);
}

/// The name of a tensor in the encoder; empty for what is not part of it.
std::string name_in_encoder(std::string name) {
  constexpr std::string_view kPrefix = "bert.";
  if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
  const bool is_part = name.starts_with("embeddings.") || name.starts_with("encoder.");
  return is_part && name != "embeddings.position_ids" ? name : "";
}

}  // namespace

BertOptions BertOptions::from_json(const std::filesystem::path& config) {
  std::ifstream file(config);
  check(file.good(), config.string(), ": cannot be read; expected the config.json of a BERT model");
  const auto json = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  check(json.is_object(), config.string(), ": no JSON object; expected the config.json of a BERT model");
  const auto expect = [&](const char* name, const std::string& expected) {
    const std::string value = json.contains(name) && json[name].is_string() ? json[name].get<std::string>() : "nothing";
    check(value == expected, config.string(), ": \"", name, "\" is ", value, ", but octet::models::BertModel has ", expected);
  };
  expect("hidden_act", "gelu");
  if (json.contains("position_embedding_type")) expect("position_embedding_type", "absolute");
  const auto number = [&](const char* name) {
    check(json.contains(name) && json[name].is_number(), config.string(), ": has no number \"", name,
          "\"; expected the config.json of a BERT model");
    return json[name];
  };
  return BertOptions()
      .vocab_size(number("vocab_size"))
      .hidden_size(number("hidden_size"))
      .num_hidden_layers(number("num_hidden_layers"))
      .num_attention_heads(number("num_attention_heads"))
      .intermediate_size(number("intermediate_size"))
      .max_position_embeddings(number("max_position_embeddings"))
      .type_vocab_size(number("type_vocab_size"))
      .layer_norm_eps(number("layer_norm_eps"));
}

BertEmbeddingsImpl::BertEmbeddingsImpl(const BertOptions& options) : options(options) { reset(); }

void BertEmbeddingsImpl::reset() {
  const int64_t width = options.hidden_size();
  word_embeddings = register_module("word_embeddings", nn::Embedding(options.vocab_size(), width));
  position_embeddings = register_module("position_embeddings", nn::Embedding(options.max_position_embeddings(), width));
  token_type_embeddings = register_module("token_type_embeddings", nn::Embedding(options.type_vocab_size(), width));
  layer_norm = register_module("LayerNorm", layer_norm_of(options));
}

at::Tensor BertEmbeddingsImpl::forward(const at::Tensor& input_ids, const at::Tensor& token_type_ids) {
  const at::TensorOptions ids = input_ids.options();
  const at::Tensor types = token_type_ids.defined() ? token_type_ids : at::zeros({1, 1}, ids);
  return layer_norm->forward(word_embeddings->forward(input_ids) + token_type_embeddings->forward(types) +
                             position_embeddings->forward(at::arange(input_ids.size(1), ids)));
}

BertSelfAttentionImpl::BertSelfAttentionImpl(const BertOptions& options) : options(options) { reset(); }

void BertSelfAttentionImpl::reset() {
  const int64_t width = options.hidden_size(), heads = options.num_attention_heads();
  check(heads > 0 && width % heads == 0, "BertOptions: got hidden_size = ", width, " and num_attention_heads = ", heads,
        "; expected a multiple of the number of heads");
  query = register_module("query", nn::Linear(width, width));
  key = register_module("key", nn::Linear(width, width));
  value = register_module("value", nn::Linear(width, width));
}

at::Tensor BertSelfAttentionImpl::forward(const at::Tensor& hidden_states, const at::Tensor& attention_bias) {
  const auto by_head = [&](const at::Tensor& x) { return x.unflatten(-1, {options.num_attention_heads(), -1}).transpose(1, 2); };
  const nn::SharedInput shared(hidden_states);
  const at::Tensor context = octet::scaled_dot_product_attention(
      by_head(query->forward(hidden_states)), by_head(key->forward(hidden_states)), by_head(value->forward(hidden_states)),
      attention_bias.defined() ? std::optional(attention_bias) : std::nullopt);
  return context.transpose(1, 2).flatten(2);
}

BertOutputImpl::BertOutputImpl(int64_t in_features, const BertOptions& options) : in_features(in_features), options(options) {
  reset();
}

void BertOutputImpl::reset() {
  dense = register_module("dense", nn::Linear(in_features, options.hidden_size()));
  layer_norm = register_module("LayerNorm", layer_norm_of(options));
}

at::Tensor BertOutputImpl::forward(const at::Tensor& hidden_states, const at::Tensor& residual) {
  return nn::add_and_norm(*layer_norm, dense->forward(hidden_states), residual);
}

BertAttentionImpl::BertAttentionImpl(const BertOptions& options) : options(options) { reset(); }

void BertAttentionImpl::reset() {
  self = register_module("self", BertSelfAttention(options));
  output = register_module("output", BertOutput(options.hidden_size(), options));
}

at::Tensor BertAttentionImpl::forward(const at::Tensor& hidden_states, const at::Tensor& attention_bias) {
  return output->forward(self->forward(hidden_states, attention_bias), hidden_states);
}

BertIntermediateImpl::BertIntermediateImpl(const BertOptions& options) : options(options) { reset(); }

void BertIntermediateImpl::reset() {
  dense = register_module("dense", nn::Linear(options.hidden_size(), options.intermediate_size()));
}

at::Tensor BertIntermediateImpl::forward(const at::Tensor& hidden_states) { return octet::gelu(dense->forward(hidden_states)); }

BertLayerImpl::BertLayerImpl(const BertOptions& options) : options(options) { reset(); }

void BertLayerImpl::reset() {
  attention = register_module("attention", BertAttention(options));
  intermediate = register_module("intermediate", BertIntermediate(options));
  output = register_module("output", BertOutput(options.intermediate_size(), options));
}

at::Tensor BertLayerImpl::forward(const at::Tensor& hidden_states, const at::Tensor& attention_bias) {
  const at::Tensor attended = attention->forward(hidden_states, attention_bias);
  return output->forward(intermediate->forward(attended), attended);
}

BertEncoderImpl::BertEncoderImpl(const BertOptions& options) : options(options) { reset(); }

void BertEncoderImpl::reset() {
  layer = register_module("layer", nn::ModuleList());
  for (int64_t i = 0; i < options.num_hidden_layers(); ++i) layer->push_back(BertLayer(options));
}

at::Tensor BertEncoderImpl::forward(at::Tensor hidden_states, const at::Tensor& attention_bias) {
  for (const auto& module : *layer) hidden_states = module->as<BertLayer>()->forward(hidden_states, attention_bias);
  return hidden_states;
}

BertModelImpl::BertModelImpl(const BertOptions& options) : options(options) { reset(); }

void BertModelImpl::reset() {
  embeddings = register_module("embeddings", BertEmbeddings(options));
  encoder = register_module("encoder", BertEncoder(options));
  apply(initialize);
}

at::Tensor BertModelImpl::forward(const at::Tensor& input_ids, const at::Tensor& attention_mask,
                                  const at::Tensor& token_type_ids) {
  check(input_ids.dim() == 2 && input_ids.size(1) <= options.max_position_embeddings(), "BertModel: got input_ids of shape ",
        input_ids.sizes(), ", expected [batch, length] of at most ", options.max_position_embeddings(),
        " tokens; truncate the text");
  return encoder->forward(embeddings->forward(input_ids, token_type_ids), attention_bias_of(attention_mask, input_ids));
}

BertModel load_bert(const std::filesystem::path& folder) {
  BertModel model(BertOptions::from_json(folder / "config.json"));
  const auto path = folder / "model.safetensors";
  Safetensors file = read_safetensors(path), encoder{.metadata = std::move(file.metadata)};
  for (const auto& tensor : file.tensors) {
    const std::string name = name_in_encoder(tensor.key());
    if (!name.empty()) encoder.tensors.insert(name, tensor.value());
  }
  try {
    load(*model, encoder);
  } catch (const Error& error) {
    fail(path.string(), ": ", error.what());
  }
  model->eval();
  return model;
}

at::Tensor sentence_embeddings(const at::Tensor& last_hidden_state, const at::Tensor& attention_mask) {
  at::Tensor mean;
  if (attention_mask.defined()) {
    const at::Tensor mask = attention_mask.unsqueeze(-1).to(last_hidden_state.scalar_type());
    mean = (last_hidden_state * mask).sum(1) / mask.sum(1);
  } else {
    mean = last_hidden_state.mean(1);
  }
  return torch::nn::functional::normalize(mean, torch::nn::functional::NormalizeFuncOptions().dim(1));
}

}  // namespace octet::models
