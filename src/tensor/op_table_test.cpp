#include <octet/tensor/float_fallback.h>
#include <octet/tensor/module_path.h>

#include <tensor/op_table.h>

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <set>

#include "test_support.h"

namespace octet {
namespace {

using test::expect_error;

at::Tensor example() {
  torch::manual_seed(6);
  return quantize_per_tensor(torch::randn({2, 3}), 0.1, 100, quint8);
}

// A value of each kind that an op may ask for, with quantized tensors for tensors.
c10::IValue any_value(const c10::TypePtr& type, int length, const at::Tensor& tensor) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType:
      return tensor;
    case c10::TypeKind::OptionalType:
      return {};
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return 0;
    case c10::TypeKind::FloatType:
      return 0.5;
    case c10::TypeKind::NumberType:
      return 1;
    case c10::TypeKind::BoolType:
      return false;
    case c10::TypeKind::StringType:
      return std::string("none");
    case c10::TypeKind::DeviceObjType:
      return c10::Device(c10::kCPU);
    case c10::TypeKind::ListType: {
      auto list = c10::impl::GenericList(type->castRaw<c10::ListType>()->getElementType());
      for (int i = 0; i < length; ++i) list.push_back(any_value(list.elementType(), 1, tensor));
      return list;
    }
    default:
      return {};
  }
}

TEST(OpTable, EveryAtenOpIsInItOrThrowsItsName) {
  const auto q = example();
  const std::set<std::string> of_autograd{"aten::_fw_primal", "aten::_make_dual"};  // forward-mode: views of any tensor
  auto& dispatcher = c10::Dispatcher::singleton();
  int refused = 0;
  int served = 0;
  for (const auto& name : dispatcher.getAllOpNames()) {
    if (!name.name.starts_with("aten::") || of_autograd.contains(name.name)) continue;
    const auto op = dispatcher.findSchema(name);
    if (!op || op->hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd)) continue;
    const auto& arguments = op->schema().arguments();
    const bool takes_more_than_values = std::any_of(arguments.begin(), arguments.end(), [](const auto& argument) {
      return argument.type()->kind() == c10::TypeKind::StorageType || argument.type()->kind() == c10::TypeKind::StreamObjType;
    });
    if (takes_more_than_values) continue;  // set_.source_Storage, record_stream
    torch::jit::Stack stack;
    bool takes_tensors = false;
    for (const auto& argument : arguments) {
      stack.push_back(any_value(argument.type(), argument.N().value_or(1), q));
      takes_tensors |= stack.back().isTensor() || stack.back().isTensorList() || stack.back().isOptionalTensorList();
    }
    if (!takes_tensors) continue;
    if (find_row(name)) {
      ++served;
      continue;
    }
    ++refused;
    try {
      op->callBoxed(&stack);
      ADD_FAILURE() << name << " took a quantized tensor";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(name.name + ": "), std::string::npos) << name << ": " << error.what();
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(served, 150);
}

TEST(OpTable, HasARowForExistingOpsOnly) {
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& ops : all_ops()) {
    for (const auto& row : ops) {
      const auto dot = row.op.find('.');
      const c10::OperatorName name("aten::" + std::string(row.op.substr(0, dot)),
                                   dot == std::string_view::npos ? "" : std::string(row.op.substr(dot + 1)));
      EXPECT_TRUE(dispatcher.findSchema(name).has_value()) << row.op;
    }
  }
}

TEST(OpTable, NamesTheOpTheModuleAndTheWayOut) {
  const auto q = example();
  expect_error([&] { torch::log_softmax(q, 1); }, "aten::_log_softmax: there is no arithmetic for quantized tensors");
  expect_error([&] { torch::nn::functional::linear(q, torch::ones({4, 3}), torch::ones(4)); }, "aten::addmm: ");
  const std::string path = "encoder.layers.0";
  const ModulePathScope outer(path);
  {
    const ModulePathScope inner("encoder.layers.0.fc");
    expect_error([&] { q + q; }, "aten::add in module 'encoder.layers.0.fc': ");
  }
  expect_error([&] { q + q; }, "aten::add in module 'encoder.layers.0': ");
  expect_error([&] { torch::log_softmax(q, 1); },
               "To compute it in float, put an octet::nn::DeQuantStub, or dequantize(), before it, or allow that with an "
               "octet::FloatFallbackGuard.");
}

TEST(OpTable, PointsToFloatFunctionalForArithmeticBetweenTensors) {
  const auto q = example();
  const auto floats = torch::ones({2, 3});
  const std::string between =
      "the result of two quantized tensors needs a scale and zero point of its own. To stay with integers, call ";
  expect_error([&] { q + q; }, "aten::add: " + between + "add() of an octet::nn::FloatFunctional");
  expect_error([&] { q* q; }, "aten::mul: " + between + "mul() of an octet::nn::FloatFunctional");
  expect_error([&] { q.clone().add_(q); }, "aten::add_: " + between);
  expect_error([&] { torch::matmul(q, q.t()); }, "aten::mm: " + between + "matmul() of an octet::nn::FloatFunctional");
  expect_error([&] { torch::bmm(q.unsqueeze(0), q.t().unsqueeze(0)); }, "aten::bmm: " + between);
  expect_error([&] { q + floats; },
               "aten::add: argument other is a plain Float tensor. To stay with integers, quantize it, with an "
               "octet::nn::QuantStub or octet::quantize_per_tensor(), and call add()");
  expect_error([&] { floats* q; }, "aten::mul: argument self is a plain Float tensor. To stay with integers, quantize it");
  expect_error([&] { q + q; }, "octet::FloatFallbackGuard");
}

TEST(OpTable, SaysThatThereIsNoArithmeticPerChannel) {
  const auto q = quantize_per_channel(torch::randn({3, 2}), torch::ones(3), torch::zeros(3, torch::kInt), 0, qint8);
  expect_error([&] { torch::relu(q); },
               "aten::relu: this op has no arithmetic for qint8 tensors with the scheme per_channel_affine");
}

TEST(OpTable, RefusesOutFormsAndResizing) {
  auto q = example();
  const auto before = q.clone();
  expect_error([&] { torch::relu_(q).resize_({1}); }, "aten::resize_");
  auto out = example();
  expect_error([&] { torch::sigmoid_out(out, before); }, "aten::sigmoid: ");
  expect_error([&] { q.set_(torch::ones(2)); }, "aten::set_: ");
  expect_error([&] { torch::ones({2, 3}).copy_(before); }, "aten::copy_: a plain Float tensor can't take a quantized one");
  EXPECT_TRUE(out.equal(example()));
}

TEST(FloatFallback, ComputesInFloatAndCounts) {
  const auto q = example();
  const FloatFallbackGuard outer;
  {
    const FloatFallbackGuard guard;
    EXPECT_TRUE(torch::log_softmax(q, 1).equal(torch::log_softmax(octet::dequantize(q), 1)));
    EXPECT_TRUE((q + q).equal(octet::dequantize(q) * 2));
    EXPECT_TRUE((q + torch::ones(3)).equal(octet::dequantize(q) + 1));
    EXPECT_TRUE(torch::relu(q).equal(octet::dequantize(q).relu()));  // has arithmetic: not counted
    EXPECT_EQ(guard.counts(), (std::map<std::string, int64_t>{{"aten::_log_softmax", 1}, {"aten::add", 2}}));
  }
  EXPECT_EQ(outer.counts().at("aten::add"), 2);
}

TEST(FloatFallback, WritesInPlaceResultsBack) {
  auto q = quantize_per_tensor(torch::tensor({{1.0F, 2.0F}, {-1.0F, 30.0F}}), 0.125, 100, quint8);
  const auto view = q.select(0, 0);
  const FloatFallbackGuard guard;
  auto& result = q.add_(torch::tensor({1.0F, 2.0F}));
  EXPECT_TRUE(result.is_same(q));
  EXPECT_TRUE(octet::dequantize(q).equal(torch::tensor({{2.0F, 4.0F}, {0.0F, 19.375F}})));
  EXPECT_TRUE(octet::dequantize(view).equal(torch::tensor({2.0F, 4.0F})));
  q.mul_(q);
  EXPECT_TRUE(octet::dequantize(q).equal(torch::tensor({{4.0F, 16.0F}, {0.0F, 19.375F}})));
  torch::sub_out(q, torch::ones({2, 2}), torch::full({2, 2}, 0.5F));
  EXPECT_TRUE(octet::dequantize(q).equal(torch::full({2, 2}, 0.5F)));
  EXPECT_EQ(guard.counts().at("aten::sub"), 1);
}

TEST(FloatFallback, RefusesViewsAndSizesThatItCantKeep) {
  auto q = example();
  const FloatFallbackGuard guard;
  expect_error([&] { torch::view_as_complex(q); }, "aten::view_as_complex: ");
  expect_error([&] { torch::add_out(q, torch::ones({4, 2, 3}), q); }, "can't be written into a quantized tensor of sizes [2, 3]");
}

TEST(FloatFallback, WorksBesideGradients) {
  const auto q = example();
  const auto weight = torch::randn({4, 3}, torch::requires_grad());
  const auto bias = torch::randn({4}, torch::requires_grad());
  const FloatFallbackGuard guard;
  const auto y = torch::nn::functional::linear(q, weight, bias);
  EXPECT_TRUE(y.detach().allclose(torch::nn::functional::linear(octet::dequantize(q), weight.detach(), bias.detach())));
  EXPECT_TRUE(y.requires_grad());
}

TEST(FloatFallback, EndsWithItsGuard) {
  const auto q = example();
  {
    const FloatFallbackGuard guard;
  }
  expect_error([&] { torch::log_softmax(q, 1); }, "aten::_log_softmax");
}

}  // namespace
}  // namespace octet
