// Forward hooks and forward pre-hooks of slots.
#include <octet/nn/modules.h>
#include <octet/observe/min_max_observer.h>

#include "slot_test_support.h"

#include <gtest/gtest.h>

namespace octet::nn {
namespace {

using test::clone_of;
using test::error_text;
using test::swap_for_times;

using Tensors = std::vector<at::Tensor>;

TEST(SlotHooks, RunInTheOrderOfRegistrationAroundForward) {
  Linear fc(3, 3);
  std::string calls;
  fc->register_forward_hook([&](auto&, auto&, auto&) { calls += "c"; });
  fc->register_forward_pre_hook([&](auto&, auto&) { calls += "a"; });
  fc->register_forward_pre_hook([&](auto&, auto&) { calls += "b"; });
  fc->register_forward_hook([&](auto& module, auto&, auto&) {
    calls += "d";
    EXPECT_EQ(&module, fc.get());
  });
  const at::Tensor x = torch::randn({2, 3});
  fc->forward(x);
  EXPECT_EQ(calls, "abcd");
  swap_for_times(fc, 2);
  fc->forward(x);
  EXPECT_EQ(calls, "abcdabcd");
}

TEST(SlotHooks, SeeAndReplaceTheTensorsOfACall) {
  Linear fc(LinearOptions(3, 3).bias(false));
  const at::Tensor x = torch::randn({2, 3}), plain = fc->forward(x);
  auto observer = std::make_shared<MinMaxObserver>();
  fc->set_activation_post_process(observer);
  fc->register_forward_pre_hook([](auto&, Tensors& inputs) { inputs[0] = inputs[0] * 2; });
  fc->register_forward_hook([&](auto&, const Tensors& inputs, Tensors& outputs) {
    ASSERT_EQ(inputs.size(), 1u);
    EXPECT_TRUE(inputs[0].equal(x * 2));  // what the pre-hook left
    EXPECT_TRUE(outputs[0].equal(plain * 2));
    outputs[0] = outputs[0] + 1000;
  });
  EXPECT_TRUE(fc->forward(x).equal(plain * 2 + 1000));
  EXPECT_EQ(observer->named_buffers()["max_val"].item<float>(), (plain * 2 + 1000).max().item<float>());  // observes last
}

TEST(SlotHooks, LeaveWithTheirHandle) {
  Linear fc(3, 3);
  int first = 0, second = 0;
  HookHandle handle = fc->register_forward_hook([&](auto&, auto&, auto&) { ++first; });
  HookHandle pre_handle = fc->register_forward_pre_hook([&](auto&, auto&) { ++second; });
  const at::Tensor x = torch::randn({2, 3});
  fc->forward(x);
  handle.remove();
  handle.remove();  // once more does nothing
  fc->forward(x);
  pre_handle.remove();
  fc->forward(x);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 2);
  EXPECT_TRUE(fc->named_children().is_empty());
  HookHandle orphan = Linear(3, 3)->register_forward_hook([](auto&, auto&, auto&) {});
  orphan.remove();
}

TEST(SlotHooks, MayLeaveWhileTheyRun) {
  Linear fc(3, 3);
  std::optional<HookHandle> pre_handle, handle;
  int calls = 0;
  pre_handle = fc->register_forward_pre_hook([&, text = std::string(100, 'x')](auto&, auto&) {
    pre_handle->remove();
    calls += text.size() == 100;  // what the hook captured is still there
  });
  handle = fc->register_forward_hook([&, text = std::string(100, 'x')](auto&, auto&, auto&) {
    handle->remove();
    calls += text.size() == 100;
  });
  const at::Tensor x = torch::randn({2, 3});
  fc->forward(x);
  fc->forward(x);
  EXPECT_EQ(calls, 2);
}

TEST(SlotHooks, SeeEachTensorOfTuplesAndOptionals) {
  LSTM lstm(3, 4);
  std::vector<std::pair<size_t, size_t>> counts;
  lstm->register_forward_hook([&](auto&, const Tensors& inputs, Tensors& outputs) {
    counts.emplace_back(inputs.size(), outputs.size());
    outputs[2] = torch::full_like(outputs[2], 5);
  });
  const at::Tensor x = torch::randn({5, 2, 3}), zeros = torch::zeros({1, 2, 4});
  const auto [out, state] = lstm->forward(x);
  lstm->forward(x, std::tuple(zeros, zeros));
  EXPECT_EQ(counts, (std::vector<std::pair<size_t, size_t>>{{1, 3}, {3, 3}}));
  EXPECT_EQ(out.sizes(), (std::vector<int64_t>{5, 2, 4}));
  EXPECT_TRUE(std::get<1>(state).equal(torch::full({1, 2, 4}, 5.0f)));
}

TEST(SlotHooks, SeeTheDataOfPackedSequences) {
  GRU gru(GRUOptions(3, 4));
  const at::Tensor x = torch::randn({5, 2, 3});
  const auto packed = torch::nn::utils::rnn::pack_padded_sequence(x, torch::tensor({5, 2}));
  const auto halved = torch::nn::utils::rnn::pack_padded_sequence(x / 2, torch::tensor({5, 2}));
  const auto expected = gru->forward_with_packed_input(halved);
  gru->register_forward_pre_hook([](auto&, Tensors& inputs) {
    ASSERT_EQ(inputs[0].sizes(), (std::vector<int64_t>{7, 3}));
    inputs[0] = inputs[0] / 2;
  });
  gru->register_forward_hook([](auto&, auto&, Tensors& outputs) { outputs[0] = outputs[0] + 1; });
  const auto [out, hidden] = gru->forward_with_packed_input(packed);
  EXPECT_TRUE(out.data().equal(std::get<0>(expected).data() + 1));
  EXPECT_TRUE(out.batch_sizes().equal(packed.batch_sizes()));
  EXPECT_TRUE(hidden.equal(std::get<1>(expected)));
}

TEST(SlotHooks, GoWithClonesAndSwaps) {
  struct NetImpl : Cloneable<NetImpl> {
    Linear fc{nullptr};
    NetImpl() { reset(); }
    void reset() override { fc = register_module("fc", Linear(3, 3)); }
  };
  const auto net = std::make_shared<NetImpl>();
  int calls = 0;
  HookHandle handle = net->fc->register_forward_hook([&](auto&, auto&, Tensors& outputs) {
    ++calls;
    outputs[0] = -outputs[0];
  });
  const auto copy = clone_of(net);
  const at::Tensor x = torch::randn({2, 3});
  EXPECT_TRUE(copy->fc->forward(x).equal(net->fc->forward(x)));
  EXPECT_EQ(calls, 2);
  swap_for_times(copy->fc, 2);
  EXPECT_TRUE(copy->fc->forward(x).equal(x * -2));
  handle.remove();  // from the slot it was given for alone
  net->fc->forward(x);
  EXPECT_EQ(calls, 3);
  copy->fc->forward(x);
  EXPECT_EQ(calls, 4);
}

TEST(SlotHooks, MayNotChangeTheNumberOfTensors) {
  Linear fc(3, 3);
  fc->set_path("encoder.fc");
  const at::Tensor x = torch::randn({2, 3});
  HookHandle handle = fc->register_forward_pre_hook([](auto&, Tensors& inputs) { inputs.clear(); });
  EXPECT_NE(error_text([&] { fc->forward(x); }).find("encoder.fc: a hook left 0 of 1 tensors"), std::string::npos);
  handle.remove();
  fc->register_forward_hook([](auto&, auto&, Tensors& outputs) { outputs.push_back(outputs[0]); });
  EXPECT_NE(error_text([&] { fc->forward(x); }).find("a hook left 2 of 1 tensors"), std::string::npos);
  EXPECT_NE(error_text([&] { fc->register_forward_hook(nullptr); }).find("encoder.fc: got an empty forward hook"),
            std::string::npos);
}

}  // namespace
}  // namespace octet::nn
