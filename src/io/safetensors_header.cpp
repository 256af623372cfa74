#include "io/safetensors_header.h"

#include <octet/tensor/error.h>

#include <c10/util/ArrayRef.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <ostream>
#include <unordered_set>

namespace octet::safetensors {
namespace {

using nlohmann::json;

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr size_t kMaxDimensions = 64;  // of LibTorch's operators

/// Builds a Header while the JSON is read. Only what may come next is accepted, so that neither deep nesting nor long arrays
/// of something else ever take memory, and a key that comes twice is seen (a parsed json object would keep one of the two).
class HeaderReader final : public json::json_sax_t {
 public:
  Header take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    if (state_ == State::start) {
      state_ = State::header;
    } else if (state_ == State::header && key_ == kMetadataKey) {
      state_ = State::metadata;
    } else if (state_ == State::header) {
      header_.entries.emplace_back().name = key_;
      fields_.clear();
      state_ = State::tensor;
    } else {
      refuse("an object");
    }
    return true;
  }

  bool key(std::string& key) override {
    key_ = std::move(key);
    switch (state_) {
      case State::header:
        check(names_.insert(key_).second, "the header has ", InQuotes{key_}, " twice", kDamaged);
        break;
      case State::metadata:
        check(header_.metadata.emplace(key_, "").second, "__metadata__ has ", InQuotes{key_}, " twice", kDamaged);
        break;
      default:
        check(key_ == "dtype" || key_ == "shape" || key_ == "data_offsets", "tensor ", name(), " has the field ", InQuotes{key_},
              "; expected dtype, shape and data_offsets", kDamaged);
        check(fields_.insert(key_).second, "tensor ", name(), " has ", key_, " twice", kDamaged);
    }
    return true;
  }

  bool end_object() override {
    if (state_ == State::tensor) {
      for (const char* field : {"dtype", "shape", "data_offsets"}) {
        check(fields_.contains(field), "tensor ", name(), " has no ", field, kDamaged);
      }
    }
    state_ = State::header;
    return true;
  }

  bool string(std::string& value) override {
    if (state_ == State::metadata) {
      header_.metadata[key_] = std::move(value);
    } else if (state_ == State::tensor && key_ == "dtype") {
      header_.entries.back().dtype = std::move(value);
    } else {
      refuse(c10::str("the text ", InQuotes{value}));
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ != State::tensor || key_ == "dtype") refuse("an array");
    state_ = State::numbers;
    numbers_.clear();
    return true;
  }

  bool number_unsigned(json::number_unsigned_t value) override {
    if (state_ != State::numbers) refuse(std::to_string(value));
    check(value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()), "tensor ", name(), ": ", key_, " holds ", value,
          "; expected at most 2^63 - 1", kDamaged);
    check(numbers_.size() < kMaxDimensions, "tensor ", name(), ": ", key_, " has more than ", kMaxDimensions,
          " numbers; LibTorch's tensors have no more dimensions");
    numbers_.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool end_array() override {
    Entry& entry = header_.entries.back();
    if (key_ == "shape") {
      entry.shape = std::move(numbers_);
    } else {
      check(numbers_.size() == 2 && numbers_[0] <= numbers_[1], "tensor ", name(), ": data_offsets are ",
            c10::IntArrayRef(numbers_), "; expected a begin and an end that is not before it", kDamaged);
      entry.begin = static_cast<uint64_t>(numbers_[0]);
      entry.end = static_cast<uint64_t>(numbers_[1]);
    }
    state_ = State::tensor;
    return true;
  }

  bool null() override { refuse("null"); }
  bool boolean(bool value) override { refuse(value ? "true" : "false"); }
  bool number_integer(json::number_integer_t value) override { refuse(std::to_string(value)); }
  bool number_float(json::number_float_t, const std::string& text) override { refuse(c10::str(InQuotes{text})); }
  bool binary(json::binary_t&) override { refuse("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    fail("the header is not valid JSON at its byte ", position, kDamaged);
  }

 private:
  enum class State { start, header, metadata, tensor, numbers };

  InQuotes name() const { return {header_.entries.back().name}; }

  [[noreturn]] void refuse(const std::string& got) const {
    switch (state_) {
      case State::start:
        fail("the header is ", got, "; expected a JSON object", kDamaged);
      case State::header:
        fail(InQuotes{key_}, " is ", got, "; expected an object", kDamaged);
      case State::metadata:
        fail("__metadata__: ", InQuotes{key_}, " is ", got, "; expected text", kDamaged);
      case State::tensor:
        fail("tensor ", name(), ": ", key_, " is ", got, "; expected ", key_ == "dtype" ? "text" : "an array of numbers",
             kDamaged);
      case State::numbers:
        break;
    }
    fail("tensor ", name(), ": ", key_, " holds ", got, "; expected integers of at least 0", kDamaged);
  }

  Header header_;
  State state_ = State::start;
  std::string key_;                         // the last key
  std::unordered_set<std::string> names_;   // all keys of the header
  std::unordered_set<std::string> fields_;  // all keys of the last tensor
  std::vector<int64_t> numbers_;            // of the last array
};

void check_sizes(const std::vector<Entry>& entries, std::span<const ElementType> element_types) {
  for (const Entry& entry : entries) {
    const auto type = std::ranges::find(element_types, entry.dtype, &ElementType::name);
    if (type == element_types.end()) {
      std::string known;
      for (const ElementType& each : element_types) known.append(" ").append(each.name);
      fail("tensor ", InQuotes{entry.name}, " has dtype ", InQuotes{entry.dtype}, "; expected one of:", known);
    }
    uint64_t expected = 0;
    try {
      expected = byte_count(entry.shape, type->bytes);
    } catch (const Error& error) {
      fail("tensor ", InQuotes{entry.name}, ": ", error.what(), kDamaged);
    }
    check(entry.end - entry.begin == expected, "tensor ", InQuotes{entry.name}, " has ", entry.end - entry.begin,
          " bytes of data; expected ", expected, " for ", entry.dtype, " of shape ", c10::IntArrayRef(entry.shape), kDamaged);
  }
}

void check_offsets(const std::vector<Entry>& entries, uint64_t data_bytes) {
  std::vector<const Entry*> by_offset;
  for (const Entry& entry : entries) by_offset.push_back(&entry);
  std::ranges::sort(by_offset, {}, [](const Entry* entry) { return std::pair(entry->begin, entry->end); });
  uint64_t end = 0;
  for (const Entry* entry : by_offset) {
    check(entry->begin == end, "the data of tensor ", InQuotes{entry->name}, " begins at byte ", entry->begin, "; expected ", end,
          ", where the tensor before it ends", kDamaged);
    end = entry->end;
  }
  check(end <= data_bytes, "the tensors need ", end, " bytes of data, but the file has only ", data_bytes, kTruncated);
  check(end == data_bytes, "the file has ", data_bytes, " bytes of data, but the tensors need only ", end, kDamaged);
}

/// `text` as JSON. `what` says what it is.
template <class... What>
std::string json_text(const std::string& text, const What&... what) {
  try {
    return json(text).dump();
  } catch (const json::type_error&) {
    fail(what..., " is not UTF-8, which the safetensors format demands: change it");
  }
}

/// Adds a pair to `object`, the text of a JSON object that is still open.
void append_pair(std::string& object, const std::string& key, const std::string& value) {
  if (object.back() != '{') object += ',';
  object.append(key).append(":").append(value);
}

}  // namespace

std::ostream& operator<<(std::ostream& stream, InQuotes quoted) {
  constexpr size_t kLongest = 100;
  stream << json(quoted.text.substr(0, kLongest)).dump(-1, ' ', false, json::error_handler_t::replace);
  if (quoted.text.size() > kLongest) stream << "... (" << quoted.text.size() << " bytes)";
  return stream;
}

uint64_t byte_count(std::span<const int64_t> shape, uint64_t element_bytes) {
  check(shape.size() <= kMaxDimensions, "it has ", shape.size(), " dimensions; LibTorch's tensors have at most ", kMaxDimensions);
  int64_t padded = static_cast<int64_t>(element_bytes);  // as if dimensions of 0 were 1
  bool empty = false;
  for (int64_t size : shape) {
    check(size >= 0 && !__builtin_mul_overflow(padded, std::max<int64_t>(size, 1), &padded), "its shape ",
          c10::IntArrayRef(shape.data(), shape.size()), " times ", element_bytes,
          " bytes an element is not within 0 and 2^63 - 1");
    empty |= size == 0;
  }
  return empty ? 0 : static_cast<uint64_t>(padded);
}

Header parse_header(std::string_view text, uint64_t data_bytes, std::span<const ElementType> element_types) {
  check(text.starts_with('{'), "the header begins with ", InQuotes{text.substr(0, 1)}, "; expected '{'", kDamaged);
  // The parser takes a zero byte as the end of its input, and would pass over what comes after it.
  check(text.find('\0') == text.npos, "the header has a zero byte; expected JSON, padded with spaces", kDamaged);
  HeaderReader reader;
  json::sax_parse(text, &reader);
  Header header = reader.take();
  check_sizes(header.entries, element_types);
  check_offsets(header.entries, data_bytes);
  return header;
}

std::string format_header(const Header& header) {
  std::string text = "{";
  if (!header.metadata.empty()) {
    std::string pairs = "{";
    for (const auto& [key, value] : header.metadata) {
      append_pair(pairs, json_text(key, "the key ", InQuotes{key}, " of the metadata"),
                  json_text(value, "the metadata's ", InQuotes{key}));
    }
    append_pair(text, json(kMetadataKey).dump(), pairs + '}');
  }
  for (const Entry& entry : header.entries) {
    check(entry.name != kMetadataKey, "a tensor is named ", InQuotes{entry.name},
          ", which the safetensors format keeps for its metadata: rename it");
    const json fields = {{"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {entry.begin, entry.end}}};
    append_pair(text, json_text(entry.name, "the name of tensor ", InQuotes{entry.name}), fields.dump());
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  check(text.size() <= kMaxHeaderBytes, "the header would have ", text.size(), " bytes; the safetensors format allows ",
        kMaxHeaderBytes, ": write the tensors or the metadata to several files");
  return text;
}

}  // namespace octet::safetensors
