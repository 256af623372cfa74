#include <octet/io/safetensors.h>

#include "io/file.h"
#include "io/safetensors_header.h"

#include <octet/tensor/error.h>

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <numeric>
#include <vector>

namespace octet {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and is read as it is");

using safetensors::ElementType;
using safetensors::Entry;
using safetensors::Header;
using safetensors::InQuotes;

struct NamedScalarType {
  std::string_view name;
  at::ScalarType type;
};

/// The dtypes of the format that LibTorch has, too.
constexpr auto kScalarTypes = std::to_array<NamedScalarType>({
    {"F64", at::kDouble},
    {"F32", at::kFloat},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E4M3FNUZ", at::kFloat8_e4m3fnuz},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"F8_E5M2FNUZ", at::kFloat8_e5m2fnuz},
    {"F8_E8M0", at::kFloat8_e8m0fnu},
    {"C64", at::kComplexFloat},
    {"I64", at::kLong},
    {"I32", at::kInt},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U64", at::kUInt64},
    {"U32", at::kUInt32},
    {"U16", at::kUInt16},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
});

std::vector<ElementType> element_types() {
  std::vector<ElementType> types;
  for (const auto& [name, type] : kScalarTypes) types.push_back({name, c10::elementSize(type)});
  return types;
}

/// The JSON text of the header; the data begins right after it.
std::string read_header_text(const InputFile& file) {
  uint64_t size = 0;
  check(file.size() >= sizeof(size), "it has ", file.size(), " bytes; expected at least 8, which tell the size of the header",
        safetensors::kTruncated);
  file.read(0, &size, sizeof(size));
  check(size <= safetensors::kMaxHeaderBytes, "its header is said to have ", size, " bytes; expected at most ",
        safetensors::kMaxHeaderBytes, safetensors::kDamaged);
  const uint64_t rest = file.size() - sizeof(size);
  check(size <= rest, "its header is said to have ", size, " bytes, but only ", rest, " follow", safetensors::kTruncated);
  std::string text(size, '\0');
  file.read(sizeof(size), text.data(), size);
  return text;
}

at::Tensor read_tensor(const InputFile& file, uint64_t data_begin, const Entry& entry) {
  const auto type = std::ranges::find(kScalarTypes, entry.dtype, &NamedScalarType::name)->type;
  at::Tensor tensor = at::empty(entry.shape, type);
  auto* data = static_cast<uint8_t*>(tensor.mutable_data_ptr());
  file.read(data_begin + entry.begin, data, tensor.nbytes());
  if (type == at::kBool) {
    // Any other byte in a C++ bool is undefined behaviour in whoever reads it.
    const uint8_t* const end = data + tensor.nbytes();
    const uint8_t* const wrong = std::find_if<const uint8_t*>(data, end, [](uint8_t byte) { return byte > 1; });
    check(wrong == end, "tensor ", InQuotes{entry.name}, " of dtype BOOL holds a byte that is neither 0 nor 1",
          safetensors::kDamaged);
  }
  return tensor;
}

/// What the header says about a tensor, its place in the data excepted.
Entry describe(const std::string& name, const at::Tensor& tensor) {
  const auto refuse_if = [&](bool condition, const auto&... why) { check(!condition, "tensor ", InQuotes{name}, " ", why...); };
  refuse_if(!tensor.defined(), "is undefined; give it a value or leave it out");
  refuse_if(tensor.is_quantized(), "has the quantized dtype ", tensor.scalar_type(),
            "; expected plain numbers: write its int_repr, scale and zero point as tensors");
  refuse_if(tensor.layout() != at::kStrided, "has the layout ", tensor.layout(), "; expected Strided: make it dense first");
  refuse_if(tensor.is_meta() || !tensor.has_storage(),
            "has no plain numbers in memory; write the tensors that it is made of (int_repr, scale, zero point)");
  const auto type = std::ranges::find(kScalarTypes, tensor.scalar_type(), &NamedScalarType::type);
  refuse_if(type == kScalarTypes.end(), "has dtype ", tensor.scalar_type(),
            ", which the safetensors format does not know: convert it first");
  return {.name = name, .dtype = std::string(type->name), .shape = tensor.sizes().vec()};
}

/// The tensors in the order of their data: large elements first, so that each tensor is aligned to its own.
std::vector<size_t> data_order(const Safetensors& content) {
  std::vector<size_t> order(content.tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](size_t i) { return content.tensors[i].value().element_size(); });
  return order;
}

/// Runs `action`; what it throws becomes an Error that begins with `what` and the path.
template <class Action>
auto with_path(std::string_view what, const std::filesystem::path& path, const Action& action) {
  try {
    return action();
  } catch (const c10::Error& error) {
    fail(what, path.string(), ": ", error.what_without_backtrace());
  } catch (const std::exception& error) {
    fail(what, path.string(), ": ", error.what());
  }
}

}  // namespace

Safetensors read_safetensors(const std::filesystem::path& path) {
  return with_path("Cannot read ", path, [&] {
    const InputFile file(path);
    const std::string text = read_header_text(file);
    const uint64_t data_begin = sizeof(uint64_t) + text.size();
    Header header = safetensors::parse_header(text, file.size() - data_begin, element_types());
    Safetensors content;
    content.metadata = std::move(header.metadata);
    content.tensors.reserve(header.entries.size());
    for (const Entry& entry : header.entries) content.tensors.insert(entry.name, read_tensor(file, data_begin, entry));
    return content;
  });
}

void write_safetensors(const std::filesystem::path& path, const Safetensors& content) {
  with_path("Cannot write ", path, [&] {
    Header header{.entries = {}, .metadata = content.metadata};
    for (const auto& item : content.tensors) header.entries.push_back(describe(item.key(), item.value()));
    const std::vector<size_t> order = data_order(content);
    uint64_t end = 0;
    for (size_t i : order) {
      header.entries[i].begin = end;
      end += content.tensors[i].value().nbytes();
      header.entries[i].end = end;
    }
    const std::string text = safetensors::format_header(header);
    const uint64_t text_size = text.size();

    AtomicOutputFile file(path);
    file.write(&text_size, sizeof(text_size));
    file.write(text.data(), text.size());
    for (size_t i : order) {
      const at::Tensor plain = content.tensors[i].value().detach().resolve_conj().resolve_neg().to(at::kCPU).contiguous();
      file.write(plain.const_data_ptr(), plain.nbytes());
    }
    file.commit();
  });
}

}  // namespace octet
