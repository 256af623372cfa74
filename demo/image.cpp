#include "image.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <jpeglib.h>

namespace demo {
namespace {

constexpr int64_t kResized = 256, kCropped = 224;
constexpr int64_t kMostPixels = 100'000'000, kLongestRatio = 100;

/// libjpeg's state. It lives outside of the function that setjmp returns into.
struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  std::jmp_buf on_error{};
  std::array<char, JMSG_LENGTH_MAX> message{};

  Decoder() {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = [](j_common_ptr common) {
      auto& self = *static_cast<Decoder*>(common->client_data);
      self.errors.format_message(common, self.message.data());
      std::longjmp(self.on_error, 1);
    };
    // libjpeg fills what is missing with grey and warns; such an image is of no use here.
    errors.emit_message = [](j_common_ptr common, int level) {
      if (level < 0) common->err->error_exit(common);
    };
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

/// Each writes to what outlives it and has no destructors to run: a longjmp may end it.
bool read_header(Decoder& decoder, const std::vector<uint8_t>& bytes) {
  if (setjmp(decoder.on_error)) return false;
  jpeg_create_decompress(&decoder.info);
  jpeg_mem_src(&decoder.info, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&decoder.info, TRUE);
  return true;
}
bool read_pixels(Decoder& decoder, uint8_t* pixels) {
  if (setjmp(decoder.on_error)) return false;
  decoder.info.out_color_space = JCS_RGB;
  jpeg_start_decompress(&decoder.info);
  while (decoder.info.output_scanline < decoder.info.output_height) {
    JSAMPROW row = pixels + static_cast<size_t>(decoder.info.output_scanline) * decoder.info.image_width * 3;
    jpeg_read_scanlines(&decoder.info, &row, 1);
  }
  jpeg_finish_decompress(&decoder.info);
  return true;
}

}  // namespace

torch::Tensor read_jpeg(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) throw std::runtime_error("cannot be read; check its permissions");
  if (bytes.size() < 2 || bytes[0] != 0xff || bytes[1] != 0xd8) throw std::runtime_error("is no JPEG");

  Decoder decoder;
  if (!read_header(decoder, bytes)) throw std::runtime_error(fmt::format("is a damaged JPEG: {}", decoder.message.data()));
  const auto height = static_cast<int64_t>(decoder.info.image_height), width = static_cast<int64_t>(decoder.info.image_width);
  if (height * width > kMostPixels) {
    throw std::runtime_error(fmt::format("has {} x {} pixels, more than {} million", width, height, kMostPixels / 1'000'000));
  }
  const torch::Tensor pixels = torch::empty({height, width, 3}, torch::kUInt8);
  if (!read_pixels(decoder, pixels.mutable_data_ptr<uint8_t>())) {
    throw std::runtime_error(fmt::format("is a damaged JPEG: {}", decoder.message.data()));
  }
  return pixels.permute({2, 0, 1}).contiguous();
}

torch::Tensor resize_and_crop(const torch::Tensor& image) {
  const int64_t height = image.size(1), width = image.size(2), shorter = std::min(height, width);
  if (std::max(height, width) > kLongestRatio * shorter) {
    throw std::runtime_error(fmt::format("has {} x {} pixels, too narrow to be an image", width, height));
  }
  const std::array<int64_t, 2> size{kResized * height / shorter, kResized * width / shorter};
  const torch::Tensor resized = at::_upsample_bilinear2d_aa(image.unsqueeze(0), size, /*align_corners=*/false)[0];
  const auto margin = [](int64_t length) {
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(length - kCropped) / 2));
  };
  return resized.narrow(1, margin(size[0]), kCropped).narrow(2, margin(size[1]), kCropped).contiguous();
}

torch::Tensor normalize(const torch::Tensor& image) {
  static const torch::Tensor mean = torch::tensor({0.485f, 0.456f, 0.406f}).view({3, 1, 1});
  static const torch::Tensor deviation = torch::tensor({0.229f, 0.224f, 0.225f}).view({3, 1, 1});
  return ((image.to(torch::kFloat32) / 255 - mean) / deviation).unsqueeze(0);
}

}  // namespace demo
