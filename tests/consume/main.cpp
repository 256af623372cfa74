#include <octet/octet.h>
#include <iostream>
namespace nn = octet::nn;  // was: namespace nn = torch::nn;

struct NetImpl : nn::Cloneable<NetImpl> {
  nn::LSTM lstm{nullptr};
  nn::Linear fc{nullptr};
  NetImpl() { reset(); }
  void reset() override {
    lstm = register_module("lstm", nn::LSTM(nn::LSTMOptions(64, 128).batch_first(true)));
    fc = register_module("fc", nn::Linear(128, 10));
  }
  torch::Tensor forward(const torch::Tensor& x) { return fc(std::get<0>(lstm(x)).select(1, -1)); }
};
TORCH_MODULE(Net);

int main() {
  torch::NoGradGuard no_grad;
  Net net, fresh;
  auto x = torch::randn({4, 20, 64});
  auto small = octet::quantize_dynamic(net);  // a copy with int8 weights
  std::cout << *small << "\nlargest difference: " << (small(x) - net(x)).abs().max().item<float>() << '\n';
  octet::save(*small, "net.safetensors");
  octet::load(*fresh, "net.safetensors");  // swaps the modules of a float net by itself, then fills them
  return torch::equal(fresh(x), small(x)) ? 0 : 1;
}
