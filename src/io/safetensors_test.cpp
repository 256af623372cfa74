#include <octet/io/safetensors.h>
#include <octet/tensor/error.h>
#include <octet/tensor/quantize.h>

#include <gtest/gtest.h>
#include <support/oracle.h>
#include <torch/torch.h>

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

namespace octet {
namespace {

class SafetensorsFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / (std::string("octet_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    path_ = folder_ / "file.safetensors";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write_bytes(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }

  std::string read_bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string read_error() const { return error_text([&] { read_safetensors(path_); }); }

  static std::string error_text(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  size_t files_in_folder() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()));
  }

  std::filesystem::path folder_, path_;
};

/// A file with this header and so many bytes of data.
std::string with_header(const std::string& header, size_t data_bytes = 0) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + header + std::string(data_bytes, '\1');
}

Safetensors some_tensors() {
  Safetensors content;
  content.metadata["note"] = "héllo \"quoted\"\n";
  content.tensors.insert("a.weight", torch::randn({3, 4}));
  content.tensors.insert("flag", torch::tensor({true, false, true}));
  content.tensors.insert("half", torch::randn({5}).to(torch::kHalf));
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
  EXPECT_EQ(files_in_folder(), 1u);
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

TEST_F(SafetensorsFile, ReadsAFileOfPython) {
  const auto oracle = test::load_oracle("io/safetensors");
  const at::Tensor bytes = oracle.at("file").toTensor();
  write_bytes({reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()), static_cast<size_t>(bytes.numel())});
  const Safetensors content = read_safetensors(path_);
  EXPECT_EQ(content.metadata.at("who"), "Python");
  const auto tensors = oracle.at("tensors").toGenericDict();
  EXPECT_EQ(content.tensors.size(), tensors.size());
  for (const auto& entry : tensors) {
    const at::Tensor expected = entry.value().toTensor(), &got = content.tensors[entry.key().toStringRef()];
    EXPECT_EQ(got.scalar_type(), expected.scalar_type()) << entry.key();
    EXPECT_TRUE(got.equal(expected)) << entry.key();
  }
}

TEST_F(SafetensorsFile, IsOpenedByPython) {
  write_safetensors(path_, some_tensors());
  const std::string script =
      "import sys, safetensors; f = safetensors.safe_open(sys.argv[1], 'pt')\n"
      "assert sorted(f.keys()) == ['a.weight', 'empty', 'flag', 'half', 'int8', 'long', 'scalar'], f.keys()\n"
      "assert f.get_tensor('int8').tolist() == [-3, -2, -1, 0, 1, 2, 3] and f.get_tensor('long').tolist() == list(range(9))\n"
      "assert f.get_tensor('flag').tolist() == [True, False, True] and f.get_tensor('empty').shape == (0, 7)\n"
      "assert f.metadata()['note'] == 'h\\u00e9llo \"quoted\"\\n'\n";
  const auto script_path = folder_ / "open.py";
  std::ofstream(script_path) << script;
  EXPECT_EQ(std::system((std::string(OCTET_PYTHON) + " " + script_path.string() + " " + path_.string()).c_str()), 0);
}

TEST_F(SafetensorsFile, RefusesHostileAndDamagedFiles) {
  const struct {
    std::string bytes, error;
  } cases[] = {
      {"", "it has 0 bytes; expected at least 8"},
      {"abc", "it has 3 bytes; expected at least 8"},
      {std::string(8, '\xff'), "bytes; expected at most 100000000"},
      {std::string("\x40\0\0\0\0\0\0\0{}", 10), "its header is said to have 64 bytes, but only 2 follow; the file seems truncated"},
      {with_header(""), "the header begins with nothing"},
      {with_header("[]"), "the header begins with \"[\"; expected '{'"},
      {with_header("{\"a\":"), "not valid JSON"},
      {with_header("{} x"), "not valid JSON"},
      {with_header(std::string("{}\0", 3)), "zero byte"},
      {with_header("{\"a\":1}"), "\"a\" is 1; expected an object"},
      {with_header("{\"a\":[[[[[[[[]]]]]]]]}"), "\"a\" is an array; expected an object"},
      {with_header("{\"a\":{\"a\":{\"a\":{}}}}"), "has the field \"a\""},
      {with_header("{\"__metadata__\":{\"k\":1}}"), "__metadata__: \"k\" is 1; expected text"},
      {with_header("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}"), "__metadata__ has \"k\" twice"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}"), "tensor \"a\" has no data_offsets"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 4), "has shape twice"},
      {with_header("{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4), "dtype is 7; expected text"},
      {with_header("{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4), "has dtype \"F33\"; expected one of: F64 F32"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4), "shape holds -1; expected integers"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4), "expected integers of at least 0"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", 4), "shape holds the text \"1\""},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[18446744073709551615],\"data_offsets\":[0,4]}}", 4), "2^63 - 1"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}"), "not within 0 and 2^63 - 1"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4611686018427387904,4],\"data_offsets\":[0,0]}}"), "not within 0 and 2^63 - 1"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4), "has 4 bytes of data; expected 8 for F32 of shape [2]"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4), "expected a begin and an end"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4), "expected a begin and an end"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8), "begins at byte 4; expected 0"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4),
       "begins at byte 0; expected 4"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8),
       "the header has \"a\" twice"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3), "need 4 bytes of data, but the file has only 3"},
      {with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5), "has 5 bytes of data, but the tensors need only 4"},
      {with_header("{\"a\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[0,2]}}", 1) + "\7", "neither 0 nor 1"},
  };
  for (const auto& [bytes, error] : cases) {
    write_bytes(bytes);
    const std::string text = read_error();
    EXPECT_NE(text.find(error), std::string::npos) << error << "\nwas expected in\n" << text;
    EXPECT_TRUE(text.starts_with("Cannot read " + path_.string() + ": ")) << text;
  }
}

TEST_F(SafetensorsFile, RefusesWhatIsNoFile) {
  EXPECT_NE(read_error().find("No such file or directory"), std::string::npos);
  EXPECT_NE(error_text([&] { read_safetensors(folder_); }).find("it is a folder, a pipe or a device"), std::string::npos);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_NE(read_error().find("it is a folder, a pipe or a device"), std::string::npos);
}

TEST_F(SafetensorsFile, SurvivesRandomDamage) {
  write_safetensors(path_, some_tensors());
  const std::string whole = read_bytes();
  std::mt19937 random(5);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = whole;
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 2) bytes.resize(random() % bytes.size());
    write_bytes(bytes);
    refused += read_error() != "no error";
  }
  EXPECT_GT(refused, 1500);
}

TEST_F(SafetensorsFile, RefusesTensorsThatTheFormatCannotHold) {
  const auto write_error = [&](const std::string& name, const at::Tensor& tensor) {
    return error_text([&] {
      Safetensors content;
      content.tensors.insert(name, at::Tensor(tensor));
      write_safetensors(path_, content);
    });
  };
  EXPECT_NE(write_error("w", {}).find("tensor \"w\" is undefined"), std::string::npos);
  EXPECT_NE(write_error("w", quantize_per_tensor(torch::ones({2}), 0.1, 3, quint8)).find("write the tensors that it is made of"), std::string::npos);
  EXPECT_NE(write_error("w", torch::ones({2, 2}).to_sparse()).find("make it dense first"), std::string::npos);
  EXPECT_NE(write_error("w", torch::ones({2}, torch::kComplexDouble)).find("does not know"), std::string::npos);
  EXPECT_NE(write_error("__metadata__", torch::ones({2})).find("rename it"), std::string::npos);
  EXPECT_NE(write_error("\xff", torch::ones({2})).find("is not UTF-8"), std::string::npos);
  EXPECT_EQ(files_in_folder(), 0u);
}

TEST_F(SafetensorsFile, AnExistingFileStaysIntactWhenWritingFails) {
  write_safetensors(path_, some_tensors());
  const std::string before = read_bytes();
  Safetensors bad = some_tensors();
  bad.tensors.insert("undefined", at::Tensor());
  EXPECT_NE(error_text([&] { write_safetensors(path_, bad); }), "no error");
  EXPECT_EQ(read_bytes(), before);
  EXPECT_EQ(files_in_folder(), 1u);
  EXPECT_NE(error_text([&] { write_safetensors(folder_, some_tensors()); }).find("expected the name of a file"), std::string::npos);
  EXPECT_NE(error_text([&] { write_safetensors(folder_ / "nowhere" / "x", some_tensors()); }).find("check that the folder exists"), std::string::npos);
}

}  // namespace
}  // namespace octet
