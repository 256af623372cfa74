#include "image.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include <jpeglib.h>

namespace demo {
namespace {

namespace fs = std::filesystem;

/// Writes uint8 [channels, height, width], with 1 or 3 channels, by libjpeg itself.
void write_jpeg(const fs::path& path, const torch::Tensor& image, int quality = 100) {
  const torch::Tensor rows = image.permute({1, 2, 0}).contiguous();
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  jpeg_stdio_dest(&info, file);
  info.image_width = static_cast<JDIMENSION>(image.size(2));
  info.image_height = static_cast<JDIMENSION>(image.size(1));
  info.input_components = static_cast<int>(image.size(0));
  info.in_color_space = image.size(0) == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  for (int64_t i = 0; i < rows.size(0); ++i) {
    JSAMPROW row = rows[i].mutable_data_ptr<uint8_t>();
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::fclose(file);
}

class ReadJpeg : public testing::Test {
 protected:
  ~ReadJpeg() override { fs::remove(path); }

  std::string error() {
    try {
      read_jpeg(path);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "no error";
  }

  const fs::path path = fs::temp_directory_path() / "octet_demo_image.jpg";
};

torch::Tensor colored(int64_t height, int64_t width) {
  return torch::tensor({200, 100, 50}).view({3, 1, 1}).expand({3, height, width}).to(torch::kUInt8);
}

TEST_F(ReadJpeg, GivesRedGreenAndBluePlanes) {
  write_jpeg(path, colored(20, 33));
  const torch::Tensor image = read_jpeg(path);
  EXPECT_EQ(image.sizes(), torch::IntArrayRef({3, 20, 33}));
  EXPECT_EQ(image.scalar_type(), torch::kUInt8);
  EXPECT_LE((image.to(torch::kInt) - colored(20, 33).to(torch::kInt)).abs().max().item<int>(), 2);
}

TEST_F(ReadJpeg, KeepsRowsAndColumnsApart) {
  torch::Tensor image = torch::zeros({1, 16, 24}, torch::kUInt8);
  image.slice(1, 8).slice(2, 0, 8).fill_(255);  // below, on the left
  write_jpeg(path, image);
  const torch::Tensor read = read_jpeg(path);
  EXPECT_EQ(read.sizes(), torch::IntArrayRef({3, 16, 24}));
  EXPECT_LE((read.to(torch::kInt) - image.to(torch::kInt)).abs().max().item<int>(), 1);
}

TEST_F(ReadJpeg, SaysWhyItCannotRead) {
  EXPECT_EQ(error(), "cannot be read; check its permissions");
  std::ofstream(path) << "GIF89a";
  EXPECT_EQ(error(), "is no JPEG");
  std::ofstream(path).flush();
  EXPECT_EQ(error(), "is no JPEG");
  std::ofstream(path) << "\xff\xd8 and no more";
  EXPECT_EQ(error().find("is a damaged JPEG: "), 0u) << error();

  write_jpeg(path, torch::randint(256, {3, 64, 64}).to(torch::kUInt8));
  EXPECT_EQ(error(), "no error");
  fs::resize_file(path, fs::file_size(path) / 2);
  EXPECT_EQ(error().find("is a damaged JPEG: "), 0u) << error();
}

TEST(ResizeAndCrop, TakesTheMiddle) {
  // As high as it shall be, so nothing is resized: column x keeps its value. 300 columns lose 38 on each side.
  const torch::Tensor columns = torch::arange(300).view({1, 1, 300}).expand({3, 256, 300});
  const torch::Tensor cropped = resize_and_crop(columns.clamp_max(255).to(torch::kUInt8));
  EXPECT_EQ(cropped.sizes(), torch::IntArrayRef({3, 224, 224}));
  EXPECT_TRUE(cropped.to(torch::kInt64).equal((torch::arange(224) + 38).clamp_max(255).expand({3, 224, 224})));
  // 257 rows: half of 33 is rounded to the even 16.
  const torch::Tensor rows = torch::arange(257).clamp_max(255).view({1, 257, 1}).expand({3, 257, 256});
  EXPECT_TRUE(resize_and_crop(rows.to(torch::kUInt8)).to(torch::kInt64).select(2, 0)[0].equal(torch::arange(224) + 16));
}

TEST(ResizeAndCrop, AveragesWhatItShrinks) {
  // To half the size each pixel is the mean of four by weights 1, 3, 3, 1 in both directions: a ramp stays one, and of stripes
  // nothing is left.
  const torch::Tensor ramp = (torch::arange(512) / 4).floor().to(torch::kUInt8).view({1, 1, 512}).expand({3, 512, 512});
  const torch::Tensor shrunk = resize_and_crop(ramp).to(torch::kInt64);
  const torch::Tensor expected = torch::floor((torch::arange(224) + 16) / 2.0).to(torch::kInt64).expand({3, 224, 224});
  EXPECT_LE((shrunk - expected).abs().max().item<int64_t>(), 1);
  const torch::Tensor stripes = (torch::arange(512) % 2 * 200).to(torch::kUInt8).view({1, 1, 512}).expand({3, 512, 512});
  EXPECT_TRUE(resize_and_crop(stripes).eq(100).all().item<bool>());
}

TEST(ResizeAndCrop, TakesImagesOfAnyShapeButThreads) {
  for (const auto& [height, width] : {std::pair{1, 1}, {10, 300}, {700, 40}, {600, 800}}) {
    EXPECT_TRUE(resize_and_crop(colored(height, width)).equal(colored(224, 224))) << height << " x " << width;
  }
  EXPECT_THROW(resize_and_crop(colored(1, 101)), std::runtime_error);
}

TEST(Normalize, SubtractsTheMeanAndDividesByTheDeviation) {
  const torch::Tensor image = normalize(colored(2, 3));
  EXPECT_EQ(image.sizes(), torch::IntArrayRef({1, 3, 2, 3}));
  // (200/255 - 0.485) / 0.229, (100/255 - 0.456) / 0.224, (50/255 - 0.406) / 0.225
  const torch::Tensor expected = torch::tensor({1.307047f, -0.285014f, -0.932985f}).view({1, 3, 1, 1}).expand({1, 3, 2, 3});
  EXPECT_LT((image - expected).abs().max().item<float>(), 1e-5);
}

}  // namespace
}  // namespace demo
