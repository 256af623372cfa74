#include <observe/python_repr.h>

#include <observe/observer_test_support.h>

namespace octet {
namespace {

TEST(PythonRepr, PrintsTensorsAsPythonDoes) {
  const auto oracle = test::load_oracle("observe/python_repr");
  const auto tensors = test::tensors_of(oracle.at("tensors"));
  const auto printed = oracle.at("printed").toListRef();
  ASSERT_EQ(tensors.size(), printed.size());
  for (size_t i = 0; i < tensors.size(); ++i) EXPECT_EQ(python_repr(tensors[i]), printed[i].toStringRef());
}

TEST(PythonRepr, NamesTheEnumeratorsAndBoolsAsPythonDoes) {
  EXPECT_EQ(python_repr(qint8), "torch.qint8");
  EXPECT_EQ(python_repr(per_channel_affine_float_qparams), "torch.per_channel_affine_float_qparams");
  EXPECT_EQ(python_repr(true) + python_repr(false), "TrueFalse");
  EXPECT_EQ(python_repr(int64_t{-3}), "-3");
}

}  // namespace
}  // namespace octet
