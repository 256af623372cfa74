// What the tests of this layer share: observers from Python's keyword arguments, and comparison to the last bit.
#pragma once

#include <octet/observe/observer.h>

#include <support/oracle.h>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace octet::test {

using Dict = c10::Dict<c10::IValue, c10::IValue>;

inline std::string string_at(const Dict& dict, const char* key) { return dict.at(key).toStringRef(); }

inline std::vector<at::Tensor> tensors_of(const c10::IValue& list) {
  std::vector<at::Tensor> tensors;
  for (const c10::IValue& tensor : list.toListRef()) tensors.push_back(tensor.toTensor());
  return tensors;
}

/// A Python dict of keyword arguments as options; enumerators are given by their names.
template <class Options>
Options options_from(const Dict& kwargs) {
  Options options;
  std::map<std::string, std::function<void(const c10::IValue&)>> setters;
  const auto add = [&](const char* name, auto set) { setters[name] = set; };
  if constexpr (requires { options.dtype(quint8); }) {
    add("dtype", [&](const c10::IValue& value) { options.dtype(dtype_from_name(value.toStringRef())); });
  }
  if constexpr (requires { options.qscheme(per_tensor_affine); }) {
    add("qscheme", [&](const c10::IValue& value) { options.qscheme(qscheme_from_name(value.toStringRef())); });
  }
  if constexpr (requires { options.reduce_range(true); }) {
    add("reduce_range", [&](const c10::IValue& value) { options.reduce_range(value.toBool()); });
    add("eps", [&](const c10::IValue& value) { options.eps(value.toDouble()); });
    add("ignore_non_finite", [&](const c10::IValue& value) { options.ignore_non_finite(value.toBool()); });
  }
  if constexpr (requires { options.quant_min(0); }) {
    add("quant_min", [&](const c10::IValue& value) { options.quant_min(value.toInt()); });
    add("quant_max", [&](const c10::IValue& value) { options.quant_max(value.toInt()); });
  }
  if constexpr (requires { options.averaging_constant(1.0); }) {
    add("averaging_constant", [&](const c10::IValue& value) { options.averaging_constant(value.toScalar().toDouble()); });
  }
  if constexpr (requires { options.ch_axis(1); }) {
    add("ch_axis", [&](const c10::IValue& value) { options.ch_axis(value.toInt()); });
  }
  if constexpr (requires { options.bins(1); }) {
    add("bins", [&](const c10::IValue& value) { options.bins(value.toInt()); });
  }
  for (const auto& item : kwargs) setters.at(item.key().toStringRef())(item.value());
  return options;
}

/// Same sizes and the same bits: -0.0 is not 0.0, and integers may differ in width only.
inline ::testing::AssertionResult identical(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure() << "sizes " << actual.sizes() << " instead of " << expected.sizes();
  }
  const auto bits = [](const at::Tensor& tensor) {
    return tensor.is_floating_point() ? tensor.to(at::kFloat).contiguous().view(at::kInt).to(at::kLong) : tensor.to(at::kLong);
  };
  if (actual.is_floating_point() == expected.is_floating_point() && bits(actual).equal(bits(expected))) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << actual << "\ninstead of\n" << expected;
}

inline ::testing::AssertionResult identical(const QParams& actual, const Dict& expected) {
  if (const auto scale = identical(actual.scale, expected.at("scale").toTensor()); !scale) return scale;
  return identical(actual.zero_point, expected.at("zero_point").toTensor());
}

/// The text of the Error that `action` throws; a failure if it throws none.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no octet::Error was thrown";
  return "";
}

template <class Module>
std::string printed(const Module& module) {
  std::ostringstream stream;
  stream << module;
  return stream.str();
}

}  // namespace octet::test
