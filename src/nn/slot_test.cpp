// What a slot must survive in a user's model.
#include <octet/nn/modules.h>
#include <octet/observe/min_max_observer.h>

#include "slot_test_support.h"

#include <support/threads.h>

#include <gtest/gtest.h>

#include <atomic>
#include <sstream>

namespace octet::nn {
namespace {

using test::clone_of;
using test::error_text;
using test::parameter_keys;
using test::swap_for_times;
using test::text_of;
using test::Times;

/// Typed members, a Sequential, a ModuleList and a module of modules; each output is linear in each slot's factor.
struct BlockImpl : Cloneable<BlockImpl> {
  Linear fc{nullptr};
  Sequential tail{nullptr};

  BlockImpl() { reset(); }
  void reset() override {
    fc = register_module("fc", Linear(LinearOptions(4, 4).bias(false)));
    tail = register_module("tail", Sequential(Linear(LinearOptions(4, 4).bias(false))));
  }
  at::Tensor forward(const at::Tensor& x) { return tail->forward(fc->forward(x)); }
};
TORCH_MODULE(Block);

struct NetImpl : Cloneable<NetImpl> {
  Linear head{nullptr};
  Block block{nullptr};
  ModuleList list{nullptr};

  NetImpl() { reset(); }
  void reset() override {
    head = register_module("head", Linear(4, 4));
    block = register_module("block", Block());
    list = register_module("list", ModuleList(Linear(LinearOptions(4, 4).bias(false))));
  }
  at::Tensor forward(const at::Tensor& x) { return list[0]->as<Linear>()->forward(block->forward(head->forward(x))); }
};
TORCH_MODULE(Net);

const std::vector<std::string> kNetKeys{"head.weight", "head.bias", "block.fc.weight", "block.tail.0.weight", "list.0.weight"};

std::vector<SlotBase*> slots_of(torch::nn::Module& model) {
  std::vector<SlotBase*> slots;
  for (const auto& module : model.modules()) {
    if (SlotBase* slot = as_slot(*module)) slots.push_back(slot);
  }
  return slots;
}

// --- Swapping in place

TEST(Slot, ComputesWithItsImplementationWhereverItIs) {
  Net net;
  const at::Tensor x = torch::randn({2, 4});
  EXPECT_EQ(parameter_keys(net), kNetKeys);
  const auto slots = slots_of(*net);
  ASSERT_EQ(slots.size(), 4u);
  double factor = 1;
  for (SlotBase* slot : slots) slot->set_implementation(std::make_shared<Times>(factor *= 2));
  EXPECT_TRUE(net->forward(x).equal(x * (2 * 4 * 8 * 16)));
  EXPECT_TRUE(net->parameters().empty());
}

TEST(Slot, KeepsTheDefaultArgumentsOfForwardInsideASequential) {
  const at::Tensor x = torch::randn({5, 2, 4}), indices = torch::tensor({{0, 1}, {2, 2}});
  Sequential gru(GRU(4, 3)), bag(EmbeddingBag(3, 4), Linear(4, 2)), deconvolution(ConvTranspose1d(4, 1, 2)), cell(LSTMCell(4, 3));
  EXPECT_EQ((std::get<0>(gru->forward<std::tuple<at::Tensor, at::Tensor>>(x)).sizes()), (std::vector<int64_t>{5, 2, 3}));
  EXPECT_EQ(bag->forward(indices).sizes(), (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(deconvolution->forward(torch::randn({1, 4, 6})).sizes(), (std::vector<int64_t>{1, 1, 7}));
  EXPECT_EQ((std::get<0>(cell->forward<std::tuple<at::Tensor, at::Tensor>>(x[0])).sizes()), (std::vector<int64_t>{2, 3}));

  const auto stub = std::make_shared<test::Stub<GRUImpl::Implementation>>();
  as_slot(*gru[0])->set_implementation(stub);
  gru->forward<std::tuple<at::Tensor, at::Tensor>>(x);
  EXPECT_EQ(stub->calls, 1);
}

TEST(Slot, RegisteredTwiceIsOneModule) {
  struct TiedImpl : Cloneable<TiedImpl> {
    Linear fc{nullptr};
    TiedImpl() { reset(); }
    void reset() override {
      fc = register_module("first", Linear(4, 4));
      register_module("second", fc);
    }
    at::Tensor forward(const at::Tensor& x) { return fc->forward(fc->forward(x)); }
  };
  const auto net = std::make_shared<TiedImpl>();
  swap_for_times(net->fc, 3);
  const at::Tensor x = torch::randn({2, 4});
  const auto copy = clone_of(net);
  EXPECT_EQ(copy->named_children()["first"], copy->named_children()["second"]);
  for (const auto& model : {net, copy}) EXPECT_TRUE(model->forward(x).equal(x * 3 * 3));
}

TEST(Slot, FindsTheSlotUnderItsTorchAndItsOwnClass) {
  Net net;
  EXPECT_NE(net->list[0]->as<torch::nn::Linear>(), nullptr);
  EXPECT_NE(net->list[0]->as<nn::Linear>(), nullptr);
  EXPECT_EQ(net->list[0]->as<nn::Conv2d>(), nullptr);
  EXPECT_EQ(as_slot(*net), nullptr);
  torch::nn::Linear plain(2, 2);
  EXPECT_EQ(as_slot(*plain), nullptr);
  swap_for_times(net->head, 2);
  EXPECT_NE(net->head->as<torch::nn::Linear>(), nullptr);
  EXPECT_EQ(net->head->options.in_features(), 4);
}

TEST(Slot, RefusesAnImplementationWithOtherArguments) {
  Linear fc(4, 4);
  as_slot(*fc)->set_path("encoder.fc");
  const at::Tensor x = torch::randn({2, 4}), before = fc->forward(x);
  const auto wrong = std::make_shared<test::Stub<GRUImpl::Implementation>>();
  EXPECT_NE(error_text([&] { fc->set_implementation(wrong); }).find("slot encoder.fc of Linear: Stub does not answer the calls"),
            std::string::npos);
  EXPECT_NE(error_text([&] { fc->set_implementation(nullptr); }).find("encoder.fc: got no implementation"), std::string::npos);
  EXPECT_TRUE(fc->forward(x).equal(before));
  EXPECT_EQ(fc->implementation(), nullptr);
  EXPECT_TRUE(fc->named_children().is_empty());
  GRU gru(4, 4);  // takes packed sequences, which a plain Implementation of the signature does not
  using PlainImplementation = Implementation<std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&)>;
  EXPECT_THROW(gru->set_implementation(std::make_shared<test::Stub<PlainImplementation>>()), Error);
}

TEST(Slot, IsOpenToModulesOfTheUser) {
  struct GateImpl : torch::nn::Cloneable<GateImpl> {
    void reset() override {}
    at::Tensor forward(const at::Tensor& x, const at::Tensor& gate = {}) { return gate.defined() ? x * gate : x; }
  };
  using GateSlot = Slot<GateImpl>;
  const auto gate = std::make_shared<GateSlot>();
  const at::Tensor x = torch::randn({3});
  EXPECT_TRUE(gate->forward(x, x).equal(x * x));
  EXPECT_EQ(gate->type_name(), "Gate");
  EXPECT_EQ(text_of(*gate), "octet::nn::Gate");  // its pretty_print says no more than the name
  const auto stub = std::make_shared<test::Stub<GateSlot::Implementation>>();
  gate->set_implementation(stub);
  gate->forward(x);
  EXPECT_EQ(stub->calls, 1);
}

// --- Parameters

TEST(Slot, FreesTheFloatParametersButNotThoseOfAnotherHolder) {
  Embedding embedding(5, 4);
  Linear fc(LinearOptions(4, 5).bias(false));
  fc->weight = embedding->weight;
  const at::Tensor expected = embedding->weight.detach().clone();
  const auto weight = c10::weak_intrusive_ptr<at::TensorImpl>(fc->named_parameters()["weight"].getIntrusivePtr());
  swap_for_times(fc, 2);
  EXPECT_TRUE(weight.expired());
  EXPECT_FALSE(fc->weight.defined());
  EXPECT_TRUE(embedding->weight.equal(expected));
  EXPECT_EQ(parameter_keys(embedding), std::vector<std::string>{"weight"});
}

TEST(Slot, NeverShowsItsInnerNamesInKeys) {
  Net net;
  for (SlotBase* slot : slots_of(*net)) {
    slot->register_forward_hook([](auto&, auto&, auto&) {});
    slot->set_qconfig(QConfig());
    slot->set_activation_post_process(std::make_shared<MinMaxObserver>());
  }
  swap_for_times(net->block->fc, 2);
  const std::vector<std::string> expected{"head.weight", "head.bias", "block.tail.0.weight", "list.0.weight"};
  EXPECT_EQ(parameter_keys(net), expected);
  for (const std::string& key : net->named_buffers().keys()) {
    EXPECT_NE(key.find(".activation_post_process."), std::string::npos) << key;
    EXPECT_EQ(key.find("slot"), std::string::npos) << key;
  }
}

TEST(Slot, TrainsToTheSameBitsAsTorch) {
  torch::manual_seed(1);
  torch::nn::Sequential expected(torch::nn::Linear(4, 8), torch::nn::BatchNorm1d(8), torch::nn::ReLU(), torch::nn::Linear(8, 1));
  torch::manual_seed(1);
  Sequential actual(Linear(4, 8), BatchNorm1d(8), ReLU(), Linear(8, 1));
  const at::Tensor x = torch::randn({16, 4}), y = torch::randn({16, 1});
  const auto train = [&](auto& model) {
    torch::optim::Adam optimizer(model->parameters(), 0.01);
    for (int step = 0; step < 5; ++step) {
      optimizer.zero_grad();
      torch::mse_loss(model->forward(x), y).backward();
      optimizer.step();
    }
    model->eval();
    return model->forward(x);
  };
  EXPECT_TRUE(train(actual).equal(train(expected)));
}

TEST(Slot, MovesToAnotherDtypeWithoutItsIntegers) {
  Sequential model(Linear(4, 4), BatchNorm1d(4), LSTM(4, 4));
  model->to(torch::kDouble);
  EXPECT_EQ(model[1]->named_buffers()["num_batches_tracked"].scalar_type(), torch::kLong);
  EXPECT_EQ(model[1]->named_buffers()["running_mean"].scalar_type(), torch::kDouble);
  const auto out =
      model->forward<std::tuple<at::Tensor, std::tuple<at::Tensor, at::Tensor>>>(torch::randn({3, 4, 4}, torch::kDouble));
  EXPECT_EQ(std::get<0>(out).scalar_type(), torch::kDouble);
  model->to(torch::kHalf);
  for (const auto& parameter : model->parameters()) EXPECT_EQ(parameter.scalar_type(), torch::kHalf);

  Linear fc(4, 4);
  const auto times = swap_for_times(fc, 2);
  Sequential parent(fc);
  parent->to(torch::kHalf);
  parent->to(torch::kCPU, torch::kHalf);
  EXPECT_EQ(fc->implementation(), times);
  EXPECT_THROW(fc->to(torch::Device("meta")), Error);
}

// --- Clones

/// One set of checks for models that are cloned before, and after, swaps.
void expect_independent_clone(Net& net, const at::Tensor& x) {
  const at::Tensor before = net->forward(x);
  const auto copy = clone_of(net.ptr());
  EXPECT_EQ(parameter_keys(copy), parameter_keys(net));
  EXPECT_EQ(text_of(*copy), text_of(*net));
  EXPECT_TRUE(copy->forward(x).equal(before));
  const auto theirs = slots_of(*copy), ours = slots_of(*net);
  ASSERT_EQ(theirs.size(), ours.size());
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < theirs.size(); ++i) {
    EXPECT_NE(theirs[i], ours[i]);
    EXPECT_EQ(typeid(theirs[i]->module()), typeid(ours[i]->module()));
    EXPECT_TRUE(!ours[i]->implementation() || theirs[i]->implementation() != ours[i]->implementation());
    EXPECT_EQ(theirs[i]->module().is_training(), ours[i]->module().is_training());
    for (const auto& parameter : theirs[i]->module().named_parameters()) {
      EXPECT_EQ(parameter.value().requires_grad(), ours[i]->module().named_parameters()[parameter.key()].requires_grad());
      parameter.value().add_(1);
    }
  }
  EXPECT_TRUE(net->forward(x).equal(before));
  for (SlotBase* slot : theirs) slot->set_implementation(std::make_shared<Times>(0));
  EXPECT_TRUE(copy->forward(x).equal(torch::zeros_like(x)));
  EXPECT_TRUE(net->forward(x).equal(before));
}

TEST(Slot, ClonesBeforeAndAfterEachSwap) {
  Net net;
  net->block->eval();
  net->head->bias.set_requires_grad(false);
  const at::Tensor x = torch::randn({2, 4});
  expect_independent_clone(net, x);
  for (SlotBase* slot : slots_of(*net)) {
    slot->set_implementation(std::make_shared<Times>(3));
    expect_independent_clone(net, x);
  }
}

TEST(Slot, ClonesWhatForwardReads) {
  struct TiedImpl : Cloneable<TiedImpl> {
    Embedding embedding{nullptr};
    Linear fc{nullptr};
    TiedImpl() { reset(); }
    void reset() override {
      embedding = register_module("embedding", Embedding(5, 4));
      fc = register_module("fc", Linear(4, 5));
    }
    at::Tensor forward(const at::Tensor& x) { return fc->forward(embedding->forward(x)); }
  };
  const auto net = std::make_shared<TiedImpl>();
  const at::Tensor indices = torch::tensor({1, 2});
  net->fc->weight = net->embedding->weight;
  EXPECT_TRUE(clone_of(net)->forward(indices).equal(net->forward(indices)));
  net->fc->bias = at::Tensor();
  EXPECT_TRUE(clone_of(net)->forward(indices).equal(net->forward(indices)));

  Linear without_bias(LinearOptions(4, 5).bias(false));
  without_bias->bias = torch::randn({5}).requires_grad_();
  const auto copy = clone_of(without_bias.ptr());
  const at::Tensor x = torch::randn({2, 4});
  EXPECT_TRUE(copy->forward(x).equal(without_bias->forward(x)));
  EXPECT_TRUE(copy->bias.requires_grad());
  EXPECT_FALSE(copy->bias.is_same(without_bias->bias));

  BatchNorm1d norm(4);
  norm->running_mean = torch::randn({4});
  norm->eval();
  EXPECT_TRUE(clone_of(norm.ptr())->forward(x).equal(norm->forward(x)));
}

TEST(Slot, RemembersItsPathInClones) {
  Net net;
  const auto times = swap_for_times(net->block->fc, 2);
  net->block->fc->set_path("block.fc");
  EXPECT_EQ(clone_of(net.ptr())->block->fc->path(), "block.fc");
  net->block->fc->set_path("renamed");
  EXPECT_EQ(net->block->fc->path(), "renamed");
  EXPECT_EQ(clone_of(net.ptr())->block->fc->path(), "renamed");
}

// --- Modes, printing, observers, files, threads

TEST(Slot, PassesTrainAndEvalToItsImplementation) {
  Net net;
  net->head->eval();
  const auto times = swap_for_times(net->head, 2);
  EXPECT_FALSE(times->is_training());  // takes the mode of the slot
  net->train();
  EXPECT_TRUE(times->is_training());
  net->eval();
  EXPECT_FALSE(times->is_training());
}

TEST(Slot, PrintsTheFloatModuleAndThenItsImplementation) {
  Sequential model(Linear(4, 2), ReLU());
  EXPECT_EQ(text_of(*model),
            "torch::nn::Sequential(\n"
            "  (0): octet::nn::Linear(in_features=4, out_features=2, bias=true)\n"
            "  (1): octet::nn::ReLU()\n)");
  as_slot(*model[0])->set_implementation(std::make_shared<Times>(2));
  as_slot(*model[1])->register_forward_hook([](auto&, auto&, auto&) {});
  as_slot(*model[1])->set_qconfig(QConfig());
  EXPECT_EQ(text_of(*model),
            "torch::nn::Sequential(\n"
            "  (0): octet::nn::Linear(\n    (slot): Times(factor=2)\n  )\n"
            "  (1): octet::nn::ReLU()(\n    (slot): float module, hooks=1, "
            "qconfig=QConfig(activation=Identity, weight=Identity)\n  )\n)");
}

TEST(Slot, ObservesItsOutputWithAChild) {
  Net net;
  auto observer = std::make_shared<MinMaxObserver>();
  net->head->set_activation_post_process(observer);
  EXPECT_EQ(net->head->activation_post_process(), observer);
  const at::Tensor x = torch::randn({8, 4}), y = net->head->forward(x);
  const auto buffers = net->named_buffers();
  EXPECT_EQ(buffers["head.activation_post_process.min_val"].item<float>(), y.min().item<float>());
  EXPECT_EQ(buffers["head.activation_post_process.max_val"].item<float>(), y.max().item<float>());

  const auto copy = clone_of(net.ptr());
  copy->head->forward(x * 100);
  EXPECT_NE(copy->head->activation_post_process(), observer);
  EXPECT_EQ(observer->named_buffers()["min_val"].item<float>(), y.min().item<float>());

  swap_for_times(net->head, 100);  // what computes may change; the output is still observed
  const at::Tensor swapped = net->head->forward(x);
  EXPECT_EQ(observer->named_buffers()["max_val"].item<float>(), torch::maximum(y.max(), swapped.max()).item<float>());
  net->head->set_activation_post_process(nullptr);
  EXPECT_EQ(net->head->activation_post_process(), nullptr);
  EXPECT_TRUE(net->named_buffers().is_empty());
}

TEST(Slot, IsSavedAndLoadedByTorchAsLongAsItIsFloat) {
  Net net, other;
  std::stringstream file;
  torch::save(net, file);
  other->head->register_forward_hook([](auto&, auto&, auto&) {});  // is not part of what is saved
  torch::load(other, file);
  const at::Tensor x = torch::randn({2, 4});
  EXPECT_TRUE(other->forward(x).equal(net->forward(x)));

  swap_for_times(net->head, 2);
  std::stringstream swapped;
  EXPECT_NE(error_text([&] { torch::save(net, swapped); }).find("octet::save"), std::string::npos);
  file.seekg(0);
  EXPECT_THROW(torch::load(net, file), c10::Error);  // "No such serialized submodule"
}

TEST(Slot, MayBeCalledFromManyThreadsAtOnce) {
  Net net;
  swap_for_times(net->block->fc, 2);
  std::atomic<int> hooked{0};
  net->head->register_forward_hook([&](auto&, auto&, auto&) { ++hooked; });
  const at::Tensor x = torch::randn({3, 4}), expected = net->forward(x);
  EXPECT_EQ(octet::test::equal_results_of_four_threads(100, expected, [&] { return net->forward(x); }), 400);
  EXPECT_EQ(hooked, 401);
}

// --- Implementations that compute with the float module

/// Adds one to what the float module gives.
class PlusOne : public test::StubBase<PlusOne, FloatImplementation<at::Tensor(const at::Tensor&)>> {
 public:
  at::Tensor forward(torch::nn::Module& float_module, const at::Tensor& input) override {
    return dynamic_cast<torch::nn::LinearImpl&>(float_module).forward(input) + 1;
  }
};

TEST(Slot, LendsItsFloatModuleToImplementationsThatKeepIt) {
  Net net;
  const at::Tensor x = torch::randn({2, 4}), before = net->head->forward(x);
  net->head->set_implementation(std::make_shared<PlusOne>());
  EXPECT_TRUE(net->head->forward(x).equal(before + 1));
  EXPECT_EQ(parameter_keys(net), kNetKeys);
  EXPECT_EQ(net->head->current_type(), std::type_index(typeid(PlusOne)));
  const auto copy = clone_of(net.ptr());
  EXPECT_TRUE(copy->head->forward(x).equal(before + 1));
  const torch::NoGradGuard no_grad;
  copy->head->bias.add_(10);
  EXPECT_TRUE(net->head->forward(x).equal(before + 1));
  EXPECT_TRUE(at::allclose(copy->head->forward(x), before + 11));

  swap_for_times(net->head, 2);
  EXPECT_TRUE(net->head->forward(x).equal(x * 2));
  EXPECT_TRUE(net->head->named_parameters().is_empty());
  EXPECT_EQ(net->head->current_type(), std::type_index(typeid(torch::nn::LinearImpl)));
  EXPECT_NE(error_text([&] { net->head->set_implementation(std::make_shared<PlusOne>()); }).find("parameters are gone"),
            std::string::npos);
  EXPECT_TRUE(net->head->forward(x).equal(x * 2));
}

}  // namespace
}  // namespace octet::nn
