// For the tests of statically quantized modules: slots with known output qparams, and what every such module must be able to do.
#pragma once

#include <octet/nn/implementation_kinds.h>
#include <octet/nn/slot.h>
#include <octet/observe/fixed_qparams_observer.h>
#include <octet/tensor/quantized_tensor.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace octet::nn::test {

using TensorImplementation = Implementation<at::Tensor(const at::Tensor&)>;
using OracleCase = c10::Dict<c10::IValue, c10::IValue>;

/// What an oracle's list `cases` holds.
inline std::vector<OracleCase> oracle_cases(const std::string& name) {
  std::vector<OracleCase> cases;
  const auto answers = octet::test::load_oracle(name);
  for (const c10::IValue& item : answers.at("cases").toListRef()) cases.push_back(item.toGenericDict());
  return cases;
}

/// An observer that answers with these qparams.
inline std::shared_ptr<ObserverBase> fixed_observer(double scale, int64_t zero_point, DType dtype = quint8) {
  return std::make_shared<FixedQParamsObserver>(FixedQParamsObserverOptions(scale, zero_point).dtype(dtype));
}

/// What a slot becomes when `observer` watched its output.
template <class Quantized, class SlotHolder>
std::shared_ptr<Quantized> converted(SlotHolder slot, const std::shared_ptr<ObserverBase>& observer,
                                     const QConfig& qconfig = {}) {
  slot->set_activation_post_process(observer);
  return Quantized::from_float(*slot, qconfig, "m");
}

inline at::Tensor oracle_input(const OracleCase& oracle) {
  return make_per_tensor_quantized(oracle.at("x").toTensor(), oracle.at("x_scale").toDouble(), oracle.at("x_zero_point").toInt());
}

inline std::shared_ptr<ObserverBase> oracle_observer(const OracleCase& oracle) {
  const DType dtype = oracle.at("x").toTensor().scalar_type() == at::kByte ? quint8 : qint8;
  return fixed_observer(oracle.at("scale").toDouble(), oracle.at("zero_point").toInt(), dtype);
}

/// Random integers of every value.
inline at::Tensor random_quantized(at::IntArrayRef sizes, double scale, int64_t zero_point, DType dtype = quint8) {
  const DTypeInfo& range = info(dtype);
  const at::Tensor integers = torch::randint(range.quant_min, range.quant_max + 1, sizes, at::TensorOptions(range.storage));
  return make_per_tensor_quantized(integers, scale, zero_point);
}

/// At most one step apart, and equal in 99.5 % of the elements.
inline void expect_integers_of_torch_ao(const at::Tensor& result, const OracleCase& oracle) {
  const at::Tensor expected = oracle.at("expected").toTensor();
  ASSERT_EQ(result.sizes(), expected.sizes());
  ASSERT_EQ(octet::int_repr(result).scalar_type(), expected.scalar_type());
  const at::Tensor distance = (octet::int_repr(result).to(at::kInt) - expected.to(at::kInt)).abs();
  EXPECT_LE(distance.max().item<int>(), 1);
  EXPECT_LE(distance.count_nonzero().item<int64_t>(), 0.005 * static_cast<double>(distance.numel()));
}

inline bool same_quantized(const at::Tensor& a, const at::Tensor& b) {
  return quantizer(a) == quantizer(b) && octet::int_repr(a).equal(octet::int_repr(b));
}

/// A clone, and what is rebuilt from the module's state, give the same bits and print the same.
inline void expect_clones_and_rebuilds(TensorImplementation& module, const at::Tensor& input) {
  const at::Tensor expected = module.forward(input);
  const auto clone = std::dynamic_pointer_cast<TensorImplementation>(module.clone());
  const auto rebuilt = std::dynamic_pointer_cast<TensorImplementation>(
      default_implementation_kinds().at(module.kind(), "m")(module.state_dict(), module.attributes(), "m"));
  const auto printed = [](const torch::nn::Module& other) {
    std::ostringstream text;
    other.pretty_print(text);
    return text.str();
  };
  for (const auto& other : {clone, rebuilt}) {
    ASSERT_NE(other, nullptr) << module.kind();
    EXPECT_TRUE(same_quantized(other->forward(input), expected)) << module.kind();
    EXPECT_EQ(printed(*other), printed(module));
    EXPECT_EQ(other->attributes(), module.attributes()) << module.kind();
    EXPECT_EQ(other->weight_bytes(), module.weight_bytes()) << module.kind();
    const StateDict state = module.state_dict(), other_state = other->state_dict();
    ASSERT_EQ(other_state.keys(), state.keys());
    for (const auto& item : state) EXPECT_TRUE(other_state[item.key()].equal(item.value())) << item.key();
  }
}

}  // namespace octet::nn::test
