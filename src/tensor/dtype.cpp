#include <octet/tensor/dtype.h>
#include <octet/tensor/error.h>

#include <array>
#include <limits>
#include <ostream>
#include <string>
#include <utility>

namespace octet {
namespace {

// In the order of the enumerations.
constexpr std::array<DTypeInfo, 7> kDTypes{{
    {"quint8", 8, at::kByte, 0, 255, true},
    {"qint8", 8, at::kChar, -128, 127, true},
    {"qint32", 32, at::kInt, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max(), true},
    {"quint4x2", 4, at::kByte, 0, 15, true},
    {"quint2x4", 2, at::kByte, 0, 3, true},
    {"float16", 16, at::kHalf, 0, 0, false},
    {"float32", 32, at::kFloat, 0, 0, false},
}};

constexpr std::array<std::string_view, 5> kQSchemes{"per_tensor_affine", "per_tensor_symmetric", "per_channel_affine",
                                                    "per_channel_symmetric", "per_channel_affine_float_qparams"};

template <class Enumeration, size_t N, class NameOf>
Enumeration from_name(std::string_view what, std::string_view name, const NameOf& name_of) {
  std::string known;
  for (size_t i = 0; i < N; ++i) {
    if (name_of(i) == name) return static_cast<Enumeration>(i);
    known.append(i ? ", " : "").append(name_of(i));
  }
  fail("unknown ", what, " \"", name, "\"; known: ", known);
}

}  // namespace

const DTypeInfo& info(DType dtype) { return kDTypes.at(static_cast<size_t>(dtype)); }

std::string_view name(QScheme qscheme) { return kQSchemes.at(static_cast<size_t>(qscheme)); }

bool is_per_channel(QScheme qscheme) { return qscheme >= per_channel_affine; }

bool is_symmetric(QScheme qscheme) { return qscheme == per_tensor_symmetric || qscheme == per_channel_symmetric; }

DType dtype_from_name(std::string_view name) {
  return from_name<DType, kDTypes.size()>("dtype", name, [](size_t i) { return kDTypes[i].name; });
}

QScheme qscheme_from_name(std::string_view name) {
  return from_name<QScheme, kQSchemes.size()>("qscheme", name, [](size_t i) { return kQSchemes[i]; });
}

std::ostream& operator<<(std::ostream& stream, DType dtype) { return stream << info(dtype).name; }

std::ostream& operator<<(std::ostream& stream, QScheme qscheme) { return stream << name(qscheme); }

}  // namespace octet
