#include "digits.h"

#include <octet/io/safetensors.h>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <string>

namespace demo {
namespace {

class ReadDigits : public testing::Test {
 protected:
  ~ReadDigits() override { std::filesystem::remove(path); }

  void write(const torch::Tensor& images, const torch::Tensor& labels) {
    octet::Safetensors content;
    content.tensors.insert("images", images);
    content.tensors.insert("labels", labels);
    octet::write_safetensors(path, content);
  }

  std::string error() {
    try {
      read_digits(path);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "no error";
  }

  const std::filesystem::path path = std::filesystem::temp_directory_path() / "octet_demo_digits.safetensors";
};

torch::Tensor bytes(const torch::Tensor& tensor) { return tensor.to(torch::kUInt8); }

TEST_F(ReadDigits, ShufflesAlwaysAlikeAndKeepsAFifthForTesting) {
  // Image i is filled with 5 * i and has the label i % 10.
  const torch::Tensor numbers = torch::arange(50);
  write(bytes(5 * numbers).view({50, 1, 1}).expand({50, 28, 28}), bytes(numbers % 10));
  const DigitSplit digits = read_digits(path);
  EXPECT_EQ(digits.train.images.sizes(), torch::IntArrayRef({40, 1, 28, 28}));
  EXPECT_EQ(digits.test.images.sizes(), torch::IntArrayRef({10, 1, 28, 28}));

  const torch::Tensor images = torch::cat({digits.train.images, digits.test.images});
  const torch::Tensor labels = torch::cat({digits.train.labels, digits.test.labels});
  const torch::Tensor found = (images.select(1, 0).select(1, 3).select(1, 7) * 51).round().to(torch::kInt64);
  EXPECT_TRUE(labels.equal(found % 10));
  EXPECT_TRUE(std::get<0>(found.sort()).equal(numbers));
  EXPECT_FALSE(found.equal(numbers));
  EXPECT_TRUE(images.equal((found * 5 / 255.0f).to(torch::kFloat32).view({50, 1, 1, 1}).expand({50, 1, 28, 28})));

  const DigitSplit again = read_digits(path);
  EXPECT_TRUE(again.test.images.equal(digits.test.images));
  EXPECT_TRUE(again.train.labels.equal(digits.train.labels));
}

TEST_F(ReadDigits, SaysWhatIsWrongWithAFile) {
  EXPECT_NE(error().find("is missing; ./run demo makes it"), std::string::npos) << error();
  const torch::Tensor images = bytes(torch::zeros({10, 28, 28})), labels = bytes(torch::arange(10));
  write(images, labels);
  EXPECT_EQ(error(), "no error");
  write(images, labels.slice(0, 0, 9));
  EXPECT_NE(error().find("28 x 28 and a label for each"), std::string::npos) << error();
  write(images.view({10, 784}), labels);
  EXPECT_NE(error().find("28 x 28 and a label for each"), std::string::npos) << error();
  write(images, labels + 1);
  EXPECT_NE(error().find("labels from 0 to 9"), std::string::npos) << error();
  write(images.to(torch::kFloat32), labels);
  EXPECT_NE(error().find("tensors of uint8"), std::string::npos) << error();
  octet::write_safetensors(path, {});
  EXPECT_NE(error().find("\"images\" and \"labels\""), std::string::npos) << error();
}

}  // namespace
}  // namespace demo
