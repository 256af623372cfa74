// Every slot class against the torch class that it is.
#include <octet/nn/modules.h>

#include "slot_test_support.h"

#include <gtest/gtest.h>

#include <regex>
#include <type_traits>

namespace octet::nn {
namespace {

using test::clone_of;
using test::text_of;

void append_tensors(const at::Tensor& tensor, std::vector<at::Tensor>& out) { out.push_back(tensor); }
template <class... Elements>
void append_tensors(const std::tuple<Elements...>& elements, std::vector<at::Tensor>& out) {
  std::apply([&](const auto&... element) { (append_tensors(element, out), ...); }, elements);
}

/// Whatever forward gives, as a list; the same seed each time.
template <class Module, class... Inputs>
std::vector<at::Tensor> outputs(Module& module, const Inputs&... inputs) {
  torch::manual_seed(2);
  std::vector<at::Tensor> tensors;
  append_tensors(module.forward(inputs...), tensors);
  return tensors;
}

void expect_same_bits(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_TRUE(actual[i].equal(expected[i])) << "result " << i;
}

template <class Tensors>
void expect_same_tensors(const Tensors& actual, const Tensors& expected) {
  EXPECT_EQ(actual.keys(), expected.keys());
  expect_same_bits(actual.values(), expected.values());
}

/// Does all that a user of the torch class does, on a slot and on the torch module itself.
template <class Slot, class... Inputs>
void check_slot(const std::string& name, std::shared_ptr<typename Slot::FloatModule> plain, std::shared_ptr<Slot> slot,
                const Inputs&... inputs) {
  SCOPED_TRACE(name);
  using Float = typename Slot::FloatModule;
  static_assert(std::is_base_of_v<Float, Slot>);
  Float& as_float = *slot;
  EXPECT_EQ(slot->template as<Float>(), &as_float);
  EXPECT_EQ(slot->template as<Slot>(), slot.get());
  EXPECT_EQ(as_slot(*slot)->type_name(), name);
  EXPECT_EQ(as_slot(*slot)->float_type(), std::type_index(typeid(Float)));
  EXPECT_EQ(slot->name(), "octet::nn::" + name + "Impl");
  EXPECT_EQ(text_of(*slot), std::regex_replace(text_of(*plain), std::regex("^(torch|octet)::nn::"), "octet::nn::"));
  expect_same_tensors(slot->named_parameters(), plain->named_parameters());
  expect_same_tensors(slot->named_buffers(), plain->named_buffers());
  EXPECT_TRUE(slot->named_children().is_empty());

  for (const bool on : {true, false}) {
    slot->train(on);
    plain->train(on);
    expect_same_bits(outputs(*slot, inputs...), outputs(*plain, inputs...));
    expect_same_tensors(slot->named_buffers(), plain->named_buffers());
  }
  if (!plain->parameters().empty()) {
    outputs(*slot, inputs...)[0].sum().backward();
    outputs(*plain, inputs...)[0].sum().backward();
    const auto parameters = slot->parameters(), expected = plain->parameters();
    for (size_t i = 0; i < parameters.size(); ++i) EXPECT_TRUE(parameters[i].grad().equal(expected[i].grad()));
  }

  const auto copy = clone_of(slot);
  EXPECT_EQ(typeid(*copy), typeid(*slot));
  EXPECT_FALSE(copy->is_training());
  EXPECT_EQ(text_of(*copy), text_of(*slot));
  expect_same_bits(outputs(*copy, inputs...), outputs(*plain, inputs...));
  for (auto& parameter : copy->parameters()) parameter.detach().fill_(7);
  for (auto& buffer : copy->buffers()) buffer.fill_(7);
  expect_same_tensors(slot->named_parameters(), plain->named_parameters());
  expect_same_tensors(slot->named_buffers(), plain->named_buffers());

  // A slot made from the torch module shares its tensors.
  const auto wrapped = std::make_shared<Slot>(*plain);
  for (const auto& parameter : plain->named_parameters()) {
    EXPECT_TRUE(wrapped->named_parameters()[parameter.key()].is_same(parameter.value()));
  }

  std::vector<c10::weak_intrusive_ptr<at::TensorImpl>> tensors;
  for (const auto& tensor : slot->parameters()) tensors.emplace_back(tensor.getIntrusivePtr());
  for (const auto& tensor : slot->buffers()) tensors.emplace_back(tensor.getIntrusivePtr());
  const auto stub = std::make_shared<test::Stub<typename Slot::Implementation>>();
  slot->set_implementation(stub);
  for (const auto& tensor : tensors) EXPECT_TRUE(tensor.expired()) << "a float tensor is still held";
  EXPECT_TRUE(slot->named_parameters().is_empty());
  EXPECT_TRUE(slot->named_buffers().is_empty());
  slot->forward(inputs...);
  EXPECT_EQ(stub->calls, 1);
  EXPECT_EQ(text_of(*slot), "octet::nn::" + name + "(\n  (slot): Stub()\n)");
  const auto swapped_copy = clone_of(slot);
  swapped_copy->forward(inputs...);
  EXPECT_EQ(stub->calls, 1);
  EXPECT_EQ(dynamic_cast<decltype(*stub)>(*swapped_copy->implementation()).calls, 2);
  slot->to(torch::kHalf);
}

/// The torch module and the slot, constructed alike after the same seed.
template <class Holder, class Options, class... Inputs>
void check_module(const std::string& name, const Options& options, const Inputs&... inputs) {
  using Slot = typename Holder::ContainedType;
  torch::manual_seed(1);
  auto plain = std::make_shared<typename Slot::FloatModule>(options);
  torch::manual_seed(1);
  check_slot<Slot>(name, std::move(plain), Holder(options).ptr(), inputs...);
}
template <class Holder, class... Inputs>
void check_module_without_options(const std::string& name, const Inputs&... inputs) {
  using Slot = typename Holder::ContainedType;
  check_slot<Slot>(name, std::make_shared<typename Slot::FloatModule>(), Holder().ptr(), inputs...);
}

TEST(Modules, LinearConvolutionsAndEmbeddingsAreTorchs) {
  check_module<Linear>("Linear", LinearOptions(5, 3), torch::randn({2, 5}));
  check_module<Linear>("Linear", LinearOptions(5, 3).bias(false), torch::randn({2, 5}));
  check_module<Conv1d>("Conv1d", Conv1dOptions(2, 3, 3).padding(1), torch::randn({2, 2, 8}));
  check_module<Conv2d>("Conv2d", Conv2dOptions(2, 4, 3).groups(2).stride(2), torch::randn({2, 2, 8, 8}));
  check_module<Conv3d>("Conv3d", Conv3dOptions(2, 3, 2).bias(false), torch::randn({1, 2, 4, 4, 4}));
  check_module<ConvTranspose1d>("ConvTranspose1d", ConvTranspose1dOptions(2, 3, 3), torch::randn({2, 2, 5}));
  check_module<ConvTranspose2d>("ConvTranspose2d", ConvTranspose2dOptions(2, 3, 3).stride(2), torch::randn({1, 2, 4, 4}),
                                std::optional<at::IntArrayRef>({10, 10}));
  check_module<ConvTranspose3d>("ConvTranspose3d", ConvTranspose3dOptions(2, 3, 2), torch::randn({1, 2, 3, 3, 3}));
  const at::Tensor indices = torch::tensor({1, 0, 4, 1});
  check_module<Embedding>("Embedding", EmbeddingOptions(5, 3).padding_idx(1), indices);
  check_module<EmbeddingBag>("EmbeddingBag", EmbeddingBagOptions(5, 3).mode(torch::kSum), indices, torch::tensor({0, 3}),
                             torch::randn({4}));
}

TEST(Modules, NormsAreTorchs) {
  check_module<BatchNorm1d>("BatchNorm1d", BatchNorm1dOptions(3), torch::randn({4, 3}));
  check_module<BatchNorm2d>("BatchNorm2d", BatchNorm2dOptions(3).momentum(0.3), torch::randn({4, 3, 2, 2}));
  check_module<BatchNorm3d>("BatchNorm3d", BatchNorm3dOptions(3), torch::randn({4, 3, 2, 2, 2}));
  check_module<InstanceNorm1d>("InstanceNorm1d", InstanceNorm1dOptions(3).affine(true), torch::randn({4, 3, 6}));
  check_module<InstanceNorm2d>("InstanceNorm2d", InstanceNorm2dOptions(3).track_running_stats(true), torch::randn({4, 3, 3, 3}));
  check_module<InstanceNorm3d>("InstanceNorm3d", InstanceNorm3dOptions(3), torch::randn({4, 3, 3, 3, 2}));
  check_module<LayerNorm>("LayerNorm", LayerNormOptions({4, 3}), torch::randn({2, 4, 3}));
  check_module<LayerNorm>("LayerNorm", LayerNormOptions({3}).elementwise_affine(false), torch::randn({2, 3}));
  check_module<GroupNorm>("GroupNorm", GroupNormOptions(2, 4), torch::randn({2, 4, 3}));
}

TEST(Modules, RecurrentModulesAreTorchs) {
  const at::Tensor x = torch::randn({4, 2, 5});
  check_module<RNN>("RNN", RNNOptions(5, 3).nonlinearity(torch::kReLU), x);
  check_module<LSTM>("LSTM", LSTMOptions(5, 3).num_layers(2).bidirectional(true).dropout(0.5), x);
  check_module<LSTM>("LSTM", LSTMOptions(5, 4).proj_size(3), x);
  check_module<GRU>("GRU", GRUOptions(5, 3).bias(false), x, torch::randn({1, 2, 3}));
  check_module<RNNCell>("RNNCell", RNNCellOptions(5, 3), x[0]);
  check_module<LSTMCell>("LSTMCell", LSTMCellOptions(5, 3), x[0]);
  check_module<GRUCell>("GRUCell", GRUCellOptions(5, 3), x[0], torch::randn({2, 3}));
}

TEST(Modules, ActivationsAreTorchs) {
  const at::Tensor x = torch::randn({3, 4}) * 4;
  check_module_without_options<ReLU>("ReLU", x);
  check_module_without_options<ReLU6>("ReLU6", x);
  check_module<ELU>("ELU", ELUOptions().alpha(0.7), x);
  check_module<LeakyReLU>("LeakyReLU", LeakyReLUOptions().negative_slope(0.2), x);
  check_module<PReLU>("PReLU", PReLUOptions().num_parameters(4), x);
  check_module_without_options<Hardswish>("Hardswish", x);
  check_module_without_options<Sigmoid>("Sigmoid", x);
  check_module_without_options<Tanh>("Tanh", x);
  check_module<Softmax>("Softmax", SoftmaxOptions(1), x);
  check_module_without_options<Hardsigmoid>("Hardsigmoid", x);
  check_module<Dropout>("Dropout", DropoutOptions(0.4), x);
}

TEST(Modules, HardswishAndHardsigmoidHaveTheFormulasOfTheirPapers) {
  const at::Tensor x = torch::linspace(-5, 5, 101, torch::kDouble);
  const at::Tensor gate = (x + 3).clamp(0, 6) / 6;
  EXPECT_TRUE(at::allclose(Hardsigmoid()(x), gate));
  EXPECT_TRUE(at::allclose(Hardswish()(x), x * gate));
}

TEST(Modules, EmbeddingsAreMadeFromPretrainedTables) {
  const at::Tensor table = torch::randn({5, 3});
  auto embedding = Embedding::from_pretrained(table);
  EXPECT_TRUE(embedding->forward(torch::tensor({4})).equal(table.slice(0, 4)));
  EXPECT_FALSE(embedding->weight.requires_grad());
  auto bag = EmbeddingBag::from_pretrained(table, EmbeddingBagFromPretrainedOptions().mode(torch::kSum).freeze(false));
  EXPECT_TRUE(bag->forward(torch::tensor({{1, 2}})).equal((table[1] + table[2]).unsqueeze(0)));
  EXPECT_TRUE(bag->weight.requires_grad());
  EXPECT_TRUE(as_slot(*embedding) && as_slot(*bag));
}

}  // namespace
}  // namespace octet::nn
