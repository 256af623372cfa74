// The header of a .safetensors file, as text: no tensor and no file is touched here, so that what an attacker controls is
// checked in one small place.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace octet::safetensors {

/// Most bytes that the JSON header may have; the limit of the official library.
inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;

/// The ends of error messages: what to do about a file that is wrong.
inline constexpr std::string_view kDamaged =
    "; the file is damaged, or is no safetensors file: copy, download or convert it again";
inline constexpr std::string_view kTruncated = "; the file seems truncated: copy or download it again";

/// A dtype as the format names it.
struct ElementType {
  std::string_view name;  ///< "F32"
  uint64_t bytes;         ///< of one element
};

/// One tensor: where its bytes are within the data, which begins right after the header.
struct Entry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct Header {
  std::vector<Entry> entries;  ///< in the order of the text
  std::map<std::string, std::string> metadata;
};

/// Prints text in quotes: escaped, so that a hostile name cannot steer a terminal, and cut short where it is long.
struct InQuotes {
  std::string_view text;
};
std::ostream& operator<<(std::ostream& stream, InQuotes quoted);

/// Bytes of a tensor. @throws Error unless it has at most 64 dimensions, none of them negative, and the bytes of the tensor
/// (had it no dimension of 0) fit in an int64, as LibTorch needs for its strides
uint64_t byte_count(std::span<const int64_t> shape, uint64_t element_bytes);

/// Reads the JSON text of a header, the padding at its end included. What is returned is sound: names are unique, dtypes are
/// among `element_types`, each tensor has the bytes that its shape needs, and together they fill `data_bytes` bytes without
/// hole or overlap.
/// @throws Error that says what was found, what was expected and what to do; not the file's path, which it doesn't know
Header parse_header(std::string_view text, uint64_t data_bytes, std::span<const ElementType> element_types);

/// The JSON text of a header, padded with spaces to a multiple of 8 bytes.
/// @throws Error for names and metadata that are not UTF-8, for a tensor named "__metadata__", and above kMaxHeaderBytes
std::string format_header(const Header& header);

}  // namespace octet::safetensors
