#include <octet/io/safetensors.h>
#include <octet/tensor/error.h>
#include <octet/tensor/quantize.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>
#include <torch/torch.h>
#include <nlohmann/json.hpp>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

namespace octet {
namespace {

using test::error_text;

class SafetensorsFile : public testing::Test {
 protected:
  void SetUp() override {
    const auto* const info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() / c10::str("octet_", info->name(), "_", ::getpid());
    std::filesystem::create_directories(folder_);
    path_ = folder_ / "file.safetensors";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write_bytes(const std::string& bytes) const {
    std::filesystem::remove(path_);  // file systems flush a file that is emptied and written anew, which takes its time
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  std::string read_bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string read_error() const {
    return error_text([&] { read_safetensors(path_); });
  }

  ptrdiff_t files_in_folder() const {
    return std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator());
  }

  std::filesystem::path folder_, path_;
};

/// A file with this header and so many bytes of data.
std::string with_header(const std::string& header, size_t data_bytes = 0) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + header + std::string(data_bytes, '\1');
}

constexpr const char* kF32 = "\"F32\"";

/// A file with one tensor, whose fields are given as JSON.
std::string one_tensor(const std::string& dtype, const std::string& shape, const std::string& offsets, size_t data_bytes) {
  return with_header("{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}", data_bytes);
}

/// Where the data begins.
size_t data_begin(const std::string& bytes) {
  uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), sizeof(header_size));
  return sizeof(header_size) + header_size;
}

std::string repeated(const std::string& text, int count) {
  std::string all;
  while (count-- > 0) all += text;
  return all;
}

Safetensors some_tensors() {
  Safetensors content;
  content.metadata["note"] = "héllo \"quoted\"\n";
  content.tensors.insert("a.weight", torch::linspace(-1, 1, 12).view({3, 4}));
  content.tensors.insert("flag", torch::tensor({true, false, true}));
  content.tensors.insert("half", torch::linspace(-2, 2, 5).to(torch::kHalf));
  content.tensors.insert("int8", torch::arange(-3, 4).to(torch::kChar));
  content.tensors.insert("empty", torch::empty({0, 7}));
  content.tensors.insert("scalar", torch::tensor(2.5));
  content.tensors.insert("long", torch::arange(9));
  return content;
}

void expect_same(const Safetensors& a, const Safetensors& b) {
  EXPECT_EQ(a.metadata, b.metadata);
  ASSERT_EQ(a.tensors.keys(), b.tensors.keys());
  for (const auto& item : a.tensors) {
    const at::Tensor& other = b.tensors[item.key()];
    EXPECT_EQ(item.value().scalar_type(), other.scalar_type()) << item.key();
    EXPECT_EQ(item.value().sizes(), other.sizes()) << item.key();
    EXPECT_TRUE(item.value().equal(other)) << item.key();
  }
}

TEST_F(SafetensorsFile, ReadsWhatItWrote) {
  const Safetensors content = some_tensors();
  write_safetensors(path_, content);
  expect_same(read_safetensors(path_), content);
  const std::string first = read_bytes();
  write_safetensors(path_, content);
  EXPECT_EQ(read_bytes(), first);
  EXPECT_EQ(files_in_folder(), 1);
}

TEST_F(SafetensorsFile, WritesViewsAsTheyLook) {
  const at::Tensor base = torch::arange(24, torch::kFloat).view({4, 6});
  Safetensors content;
  content.tensors.insert("transposed", base.t());
  content.tensors.insert("every_other", base.slice(1, 0, 6, 2));
  content.tensors.insert("expanded", base[0].expand({3, 6}));
  content.tensors.insert("needs_grad", torch::randn({2}).requires_grad_());
  write_safetensors(path_, content);
  expect_same(read_safetensors(path_), content);
}

/// The numbers of a tensor as bytes: equal() is not there for all dtypes, and takes 0 and -0 for the same.
std::string bytes_of(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.contiguous();
  return {static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()};
}

/// Dtypes by Python's name of them; those that Python's safetensors can pass to torch, and one more.
const std::map<std::string, at::ScalarType> kScalarTypes = {
    {"float64", at::kDouble},
    {"float32", at::kFloat},
    {"float16", at::kHalf},
    {"bfloat16", at::kBFloat16},
    {"float8_e4m3fn", at::kFloat8_e4m3fn},
    {"float8_e4m3fnuz", at::kFloat8_e4m3fnuz},
    {"float8_e5m2", at::kFloat8_e5m2},
    {"float8_e5m2fnuz", at::kFloat8_e5m2fnuz},
    {"float8_e8m0fnu", at::kFloat8_e8m0fnu},
    {"complex64", at::kComplexFloat},
    {"int64", at::kLong},
    {"int32", at::kInt},
    {"int16", at::kShort},
    {"int8", at::kChar},
    {"uint64", at::kUInt64},
    {"uint32", at::kUInt32},
    {"uint16", at::kUInt16},
    {"uint8", at::kByte},
    {"bool", at::kBool},
};

/// A tensor of each dtype whose name is Python's name of it.
Safetensors all_dtypes() {
  Safetensors content;
  for (const auto& [name, type] : kScalarTypes) content.tensors.insert(name, torch::arange(6).view({2, 3}).to(type));
  return content;
}

TEST_F(SafetensorsFile, KeepsEveryBitOfEveryDtypeAndShape) {
  std::mt19937 random(3);
  for (const auto& [name, type] : kScalarTypes) {
    Safetensors content;
    for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{}, {0}, {1}, {2, 0, 3}, {5}, {2, 3, 4}}) {
      at::Tensor tensor = torch::empty(shape, type);
      auto* bytes = static_cast<uint8_t*>(tensor.mutable_data_ptr());
      for (size_t i = 0; i < tensor.nbytes(); ++i) bytes[i] = static_cast<uint8_t>(random() % (type == at::kBool ? 2 : 256));
      content.tensors.insert(c10::str(tensor.sizes()), tensor);
    }
    write_safetensors(path_, content);
    const Safetensors read = read_safetensors(path_);
    ASSERT_EQ(read.tensors.keys(), content.tensors.keys()) << name;
    for (const auto& item : content.tensors) {
      const at::Tensor& got = read.tensors[item.key()];
      EXPECT_EQ(got.scalar_type(), type) << name;
      EXPECT_EQ(got.sizes(), item.value().sizes()) << name;
      EXPECT_EQ(bytes_of(got), bytes_of(item.value())) << name << " " << item.key();
    }
  }
}

TEST_F(SafetensorsFile, AlignsDataForReadersThatMapIt) {
  write_safetensors(path_, some_tensors());
  const std::string bytes = read_bytes();
  EXPECT_EQ(data_begin(bytes) % 8, 0u);
  const auto header = nlohmann::json::parse(bytes.substr(8, data_begin(bytes) - 8));
  for (const auto& item : some_tensors().tensors) {
    const auto begin = header[item.key()]["data_offsets"][0].get<size_t>();
    EXPECT_EQ(begin % item.value().element_size(), 0u) << item.key();
  }
}

TEST_F(SafetensorsFile, ReadsTensorsIntoMemoryOfTheirOwn) {
  const at::Tensor tied = torch::arange(3);
  Safetensors content;
  content.tensors.insert("a", at::Tensor(tied));
  content.tensors.insert("b", at::Tensor(tied));
  write_safetensors(path_, content);
  const Safetensors read = read_safetensors(path_);
  std::filesystem::remove(path_);
  read.tensors["a"].zero_();
  EXPECT_TRUE(read.tensors["b"].equal(tied));
}

TEST_F(SafetensorsFile, HoldsNothingAtAll) {
  write_safetensors(path_, {});
  EXPECT_EQ(read_bytes(), std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  expect_same(read_safetensors(path_), {});
}

TEST_F(SafetensorsFile, ReadsAFileOfPython) {
  const auto oracle = test::load_oracle("io/safetensors");
  const at::Tensor bytes = oracle.at("file").toTensor();
  write_bytes(bytes_of(bytes));
  const Safetensors content = read_safetensors(path_);
  EXPECT_EQ(content.metadata.at("who"), "Python");
  const auto tensors = oracle.at("bytes").toGenericDict();
  EXPECT_EQ(content.tensors.size(), tensors.size());
  for (const auto& entry : tensors) {
    const std::string& name = entry.key().toStringRef();
    const at::Tensor& got = content.tensors[name];
    EXPECT_EQ(bytes_of(got), bytes_of(entry.value().toTensor())) << name;
    const auto type = kScalarTypes.find(name);
    EXPECT_EQ(got.scalar_type(), type == kScalarTypes.end() ? at::kFloat : type->second) << name;
  }
  EXPECT_EQ(content.tensors["uint8"].sizes(), at::IntArrayRef({2, 3}));
  EXPECT_EQ(content.tensors["empty"].sizes(), at::IntArrayRef({0, 4}));
  EXPECT_EQ(content.tensors["scalar"].item<float>(), 3.5f);
}

TEST_F(SafetensorsFile, IsOpenedByPython) {
  Safetensors content = all_dtypes();
  content.tensors.erase("float8_e8m0fnu");  // Python's package has no torch dtype for it
  content.tensors.insert("empty", torch::empty({0, 7}));
  content.tensors.insert("scalar", torch::tensor(2.5f));
  content.tensors.insert("transposed", torch::arange(6).view({2, 3}).t());
  content.metadata["note"] = "h\u00e9llo \"quoted\"\n";
  write_safetensors(path_, content);
  const auto script_path = folder_ / "open.py";
  std::ofstream(script_path) << R"(
import sys, safetensors, torch
file = safetensors.safe_open(sys.argv[1], "pt")
tensors = {name: file.get_tensor(name) for name in file.keys()}
numbers = torch.arange(6).view(2, 3)
special = {"empty": torch.empty(0, 7), "scalar": torch.tensor(2.5), "transposed": numbers.t().contiguous()}
for name, tensor in tensors.items():
    expected = special[name] if name in special else numbers.to(getattr(torch, name))
    assert tensor.dtype == expected.dtype and tensor.shape == expected.shape, name
    assert tensor.reshape(-1).view(torch.uint8).equal(expected.reshape(-1).view(torch.uint8)), name
assert len(tensors) == int(sys.argv[2])
assert file.metadata() == {"note": "h\u00e9llo \"quoted\"\n"}
)";
  const std::string command =
      c10::str(OCTET_PYTHON, " -W ignore ", script_path.string(), " ", path_.string(), " ", content.tensors.size());
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_F(SafetensorsFile, RefusesHostileAndDamagedFiles) {
  const std::string a = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const struct {
    std::string bytes, error;
  } cases[] = {
      // The size of the header.
      {"", "it has 0 bytes; expected at least 8"},
      {"abc", "it has 3 bytes; expected at least 8"},
      {std::string(8, '\xff'), "header is said to have 18446744073709551615 bytes; expected at most 100000000"},
      {std::string("\x40\0\0\0\0\0\0\0{}", 10), "to have 64 bytes, but only 2 follow; the file seems truncated"},
      // Its JSON.
      {with_header(""), R"(the header begins with ""; expected '{')"},
      {with_header("[]"), R"(the header begins with "["; expected '{')"},
      {with_header(" {}"), R"(the header begins with " "; expected '{')"},
      {with_header(R"({"a":)"), "not valid JSON"},
      {with_header("{} x"), "not valid JSON"},
      {with_header("{\"\xff\":{}}"), "not valid JSON"},
      {with_header(std::string("{}\0", 3)), "zero byte"},
      {with_header(std::string(100000, '{')), "not valid JSON"},
      {with_header(R"({"a":)" + std::string(100000, '[')), R"("a" is an array; expected an object)"},
      {with_header(R"({"a":{"a":{"a":{}}}})"), R"(tensor "a" has the field "a"; expected dtype, shape and data_offsets)"},
      {with_header(R"({"a":1})"), R"("a" is 1; expected an object)"},
      {with_header(R"({"a":null})"), R"("a" is null; expected an object)"},
      {with_header(R"({"\u001b[2J)" + std::string(1000, 'x') + R"(":1})"), R"("\u001b[2Jxxx)"},
      {with_header("{" + a + "," + a + "}", 4), R"(the header has "a" twice)"},
      {with_header(R"({"__metadata__":[]})"), R"("__metadata__" is an array; expected an object)"},
      {with_header(R"({"__metadata__":{"k":1}})"), R"(__metadata__: "k" is 1; expected text)"},
      {with_header(R"({"__metadata__":{"k":"1","k":"2"}})"), R"(__metadata__ has "k" twice)"},
      {with_header(R"({"__metadata__":{},"__metadata__":{}})"), R"(the header has "__metadata__" twice)"},
      {with_header(R"({"a":{"dtype":"F32","shape":[1]}})"), R"(tensor "a" has no data_offsets)"},
      {with_header(R"({"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}})", 4), R"(tensor "a" has shape twice)"},
      // Dtypes.
      {one_tensor("7", "[1]", "[0,4]", 4), "dtype is 7; expected text"},
      {one_tensor("[]", "[1]", "[0,4]", 4), "dtype is an array; expected text"},
      {one_tensor(R"("F33")", "[1]", "[0,4]", 4), R"(has dtype "F33"; expected one of: F64 F32 F16 BF16)"},
      // Shapes.
      {one_tensor(kF32, "1", "[0,4]", 4), "shape is 1; expected an array of numbers"},
      {one_tensor(kF32, "[-1]", "[0,4]", 4), "shape holds -1; expected integers of at least 0"},
      {one_tensor(kF32, "[1.5]", "[0,4]", 4), R"(shape holds "1.5"; expected integers of at least 0)"},
      {one_tensor(kF32, R"(["1"])", "[0,4]", 4), R"(shape holds the text "1")"},
      {one_tensor(kF32, "[[1]]", "[0,4]", 4), "shape holds an array"},
      {one_tensor(kF32, "[18446744073709551615]", "[0,4]", 4), "expected at most 2^63 - 1"},
      {one_tensor(kF32, "[4294967296,4294967296]", "[0,0]", 0), "is not within 0 and 2^63 - 1"},
      {one_tensor(kF32, "[0,4611686018427387904,4]", "[0,0]", 0), "is not within 0 and 2^63 - 1"},
      {one_tensor(kF32, "[1" + repeated(",1", 64) + "]", "[0,4]", 4), "LibTorch's tensors have no more dimensions"},
      {one_tensor(kF32, "[2]", "[0,4]", 4), "has 4 bytes of data; expected 8 for F32 of shape [2]"},
      // Offsets.
      {one_tensor(kF32, "[1]", "[4,0]", 4), "data_offsets are [4, 0]; expected a begin and an end that is not before it"},
      {one_tensor(kF32, "[1]", "[0]", 4), "expected a begin and an end"},
      {one_tensor(kF32, "[1]", "[0,4,8]", 8), "expected a begin and an end"},
      {one_tensor(kF32, "[1]", "[0,1e1]", 10), R"(data_offsets holds "1e1"; expected integers)"},
      {one_tensor(kF32, "[1]", "[0,99999999999999999999]", 4), "expected integers"},
      {one_tensor(kF32, "[1]", "[4,8]", 8), "begins at byte 4; expected 0"},
      {with_header("{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4), "begins at byte 0; expected 4"},
      {with_header("{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[5,9]}})", 9), "begins at byte 5; expected 4"},
      {with_header("{" + a + "}", 3), "need 4 bytes of data, but the file has only 3; the file seems truncated"},
      {with_header("{" + a + "}", 5), "has 5 bytes of data, but the tensors need only 4"},
      {with_header("{}", 1), "has 1 bytes of data, but the tensors need only 0"},
      // Data.
      {one_tensor(R"("BOOL")", "[2]", "[0,2]", 1) + "\7", "neither 0 nor 1"},
  };
  for (const auto& [bytes, error] : cases) {
    write_bytes(bytes);
    const std::string text = read_error();
    EXPECT_NE(text.find(error), std::string::npos) << error << "\nwas expected in\n" << text;
    EXPECT_TRUE(text.starts_with("Cannot read " + path_.string() + ": ")) << text;
    EXPECT_LT(text.size(), 1000u) << text;
  }
}

TEST_F(SafetensorsFile, AcceptsAllThatTheFormatAllows) {
  const std::string header = R"({"b":{"data_offsets":[1,5],"shape":[],"dtype":"U32"},"__metadata__":{"":""},)"
                             R"("":{"dtype":"F64","shape":[0],"data_offsets":[1,1]},)"
                             R"("a":{"dtype":"BOOL","data_offsets":[0,1],"shape":[1)" +
                             repeated(",1", 63) + "]}}     ";
  write_bytes(with_header(header, 5));
  const Safetensors content = read_safetensors(path_);
  EXPECT_EQ(content.tensors.keys(), (std::vector<std::string>{"b", "", "a"}));
  EXPECT_EQ(content.tensors["b"].to(at::kLong).item<int64_t>(), 0x01010101);
  EXPECT_EQ(content.tensors["a"].dim(), 64);
  EXPECT_EQ(content.metadata, (std::map<std::string, std::string>{{"", ""}}));
}

TEST_F(SafetensorsFile, RefusesWhatIsNoFile) {
  EXPECT_NE(read_error().find("No such file or directory"), std::string::npos);
  EXPECT_NE(error_text([&] { read_safetensors(folder_); }).find("it is a folder, a pipe or a device"), std::string::npos);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_NE(read_error().find("it is a folder, a pipe or a device"), std::string::npos);
}

TEST_F(SafetensorsFile, NoTruncatedFileIsTakenForAWholeOne) {
  write_safetensors(path_, some_tensors());
  const std::string whole = read_bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    std::filesystem::resize_file(path_, size);
    EXPECT_NE(read_error(), "no error") << size;
    write_bytes(whole);
  }
}

TEST_F(SafetensorsFile, SurvivesRandomDamage) {
  write_safetensors(path_, some_tensors());
  const std::string whole = read_bytes();
  std::mt19937 random(5);
  int loaded = 0, refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = whole;
    const size_t range = i % 4 == 0 ? bytes.size() : data_begin(whole);  // most of the time where it hurts
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) {
      // A digit or a bracket where another was leads further into the reader than any byte would.
      bytes[random() % range] = i % 2 == 0 ? static_cast<char>(random()) : "0123456789[]{}\",:-.eE"[random() % 22];
    }
    if (random() % 8 == 0) bytes.resize(random() % bytes.size());
    write_bytes(bytes);
    ++(read_error() == "no error" ? loaded : refused);  // anything but an octet::Error fails the test
  }
  EXPECT_GT(loaded, 500);  // damaged numbers, which nothing can tell
  EXPECT_GT(refused, 10000);
}

TEST_F(SafetensorsFile, RefusesTensorsThatTheFormatCannotHold) {
  const struct {
    std::string name;
    at::Tensor tensor;
    std::string error;
  } cases[] = {
      {"w", {}, R"(tensor "w" is undefined; give it a value or leave it out)"},
      {"w", quantize_per_tensor(torch::ones({2}), 0.1, 3, quint8), "write the tensors that it is made of"},
      {"w", at::quantize_per_tensor(torch::ones({2}), 0.1, 3, at::kQUInt8), "has the quantized dtype QUInt8"},
      {"w", torch::ones({2, 2}).to_sparse(), "has the layout Sparse; expected Strided: make it dense first"},
      {"w", torch::ones({2}, torch::kMeta), "has no plain numbers in memory"},
      {"w", torch::ones({2}, torch::kComplexDouble), "has dtype ComplexDouble, which the safetensors format does not know"},
      {"__metadata__", torch::ones({2}), "rename it"},
      {"\xff", torch::ones({2}), "is not UTF-8"},
  };
  for (const auto& [name, tensor, expected] : cases) {
    Safetensors content;
    content.tensors.insert(name, at::Tensor(tensor));
    const std::string error = error_text([&] { write_safetensors(path_, content); });
    EXPECT_NE(error.find(expected), std::string::npos) << error;
    EXPECT_TRUE(error.starts_with("Cannot write " + path_.string() + ": ")) << error;
  }
  Safetensors content;
  content.metadata["note"] = "\xff";
  EXPECT_NE(error_text([&] { write_safetensors(path_, content); }).find(R"(metadata's "note" is not UTF-8)"), std::string::npos);
  EXPECT_EQ(files_in_folder(), 0);
}

TEST_F(SafetensorsFile, AnExistingFileStaysIntactWhenWritingFails) {
  write_safetensors(path_, some_tensors());
  const std::string before = read_bytes();
  Safetensors bad = some_tensors();
  bad.tensors.insert("undefined", at::Tensor());
  EXPECT_NE(error_text([&] { write_safetensors(path_, bad); }), "no error");
  EXPECT_EQ(read_bytes(), before);
  EXPECT_EQ(files_in_folder(), 1);
  EXPECT_NE(error_text([&] { write_safetensors(folder_, {}); }).find("expected the name of a file"), std::string::npos);
  EXPECT_NE(error_text([&] { write_safetensors(folder_ / "nowhere" / "x", {}); }).find("check that the folder exists"),
            std::string::npos);
}

/// While it lives, the process is not root, who may read and write everything.
class WithoutPrivileges {
 public:
  WithoutPrivileges() { EXPECT_TRUE(::geteuid() != 0 || ::seteuid(65534) == 0); }
  ~WithoutPrivileges() { EXPECT_EQ(::seteuid(::getuid()), 0); }
};

TEST_F(SafetensorsFile, NamesTheLackOfPermission) {
  write_safetensors(path_, some_tensors());
  const std::string before = read_bytes();
  std::filesystem::permissions(path_, std::filesystem::perms::none);
  std::filesystem::permissions(folder_, std::filesystem::perms(0555));
  {
    const WithoutPrivileges without_privileges;
    EXPECT_NE(read_error().find("it cannot be opened: Permission denied; check the path and its permissions"), std::string::npos);
    EXPECT_NE(error_text([&] { write_safetensors(path_, {}); }).find("no file can be created in its folder: Permission denied"),
              std::string::npos);
  }
  std::filesystem::permissions(folder_, std::filesystem::perms(0755));
  std::filesystem::permissions(path_, std::filesystem::perms(0644));
  EXPECT_EQ(read_bytes(), before);
}

TEST_F(SafetensorsFile, AnExistingFileSurvivesAFullDisk) {
  write_safetensors(path_, some_tensors());
  const std::string before = read_bytes();
  Safetensors large;
  large.tensors.insert("large", torch::zeros({1 << 16}));
  rlimit old_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit limit{1 << 16, old_limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const std::string error = error_text([&] { write_safetensors(path_, large); });
  std::signal(SIGXFSZ, old_handler);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  EXPECT_NE(error.find("writing failed: File too large; check the space on the disk"), std::string::npos) << error;
  EXPECT_EQ(read_bytes(), before);
  EXPECT_EQ(files_in_folder(), 1);
}

TEST_F(SafetensorsFile, FollowsSymbolicLinks) {
  std::filesystem::create_directory(folder_ / "runs");
  const auto target = folder_ / "runs" / "3.safetensors";
  write_safetensors(target, {});
  std::filesystem::create_symlink(target, path_);
  write_safetensors(path_, some_tensors());
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
  expect_same(read_safetensors(target), some_tensors());
}

}  // namespace
}  // namespace octet
