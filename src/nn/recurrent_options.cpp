#include <octet/nn/attributes.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>

#include <nn/recurrent_options.h>

#include <ostream>

namespace octet::nn {

void RecurrentOptions::check_no_projection(int64_t proj_size, const std::string& path) {
  check(proj_size == 0, path, ": got an LSTM with proj_size = ", proj_size,
        ", which has no quantized form; keep it in float with a null qconfig for this module");
}

Attributes RecurrentOptions::attributes() const {
  return {{"input_size", input_size},   {"hidden_size", hidden_size},     {"num_layers", num_layers}, {"bias", bias},
          {"batch_first", batch_first}, {"bidirectional", bidirectional}, {"dropout", dropout}};
}

RecurrentOptions RecurrentOptions::from_attributes(const Attributes& attributes, const std::string& path) {
  const auto integer = [&](const char* name) {
    const int64_t value = attribute<int64_t>(attributes, name, path);
    check(value > 0, path, ": the attribute \"", name, "\" is ", value, ", expected a positive number");
    return value;
  };
  RecurrentOptions options;
  options.input_size = integer("input_size");
  options.hidden_size = integer("hidden_size");
  options.num_layers = integer("num_layers");
  options.bias = attribute<bool>(attributes, "bias", path);
  options.batch_first = attribute<bool>(attributes, "batch_first", path);
  options.bidirectional = attribute<bool>(attributes, "bidirectional", path);
  options.dropout = attribute<double>(attributes, "dropout", path);
  check(options.dropout >= 0 && options.dropout <= 1, path, ": the attribute \"dropout\" is ", options.dropout,
        ", expected 0 .. 1");
  return options;
}

at::Tensor RecurrentOptions::time_major(const at::Tensor& input) const {
  const std::string_view path = ModulePathScope::current();
  check((input.dim() == 2 || input.dim() == 3) && input.size(-1) == input_size, path, ": got an input of shape ", input.sizes(),
        ", expected ", batch_first ? "[batch, time, " : "[time, batch, ", input_size, "] or [time, ", input_size, "]");
  at::Tensor data = input.dim() == 2 ? input.unsqueeze(1) : batch_first ? input.transpose(0, 1) : input;
  check(data.size(0) > 0, path, ": got a sequence without elements, expected at least one time step");
  return data;
}

at::Tensor RecurrentOptions::ordered_as(const at::Tensor& input, const at::Tensor& output) const {
  if (input.dim() == 2) return output.squeeze(1);
  return batch_first ? output.transpose(0, 1) : output;
}

std::vector<int64_t> RecurrentOptions::state_sizes(const at::Tensor& input) const {
  const int64_t cells = num_layers * directions();
  if (input.dim() == 2) return {cells, hidden_size};
  return {cells, input.size(batch_first ? 0 : 1), hidden_size};
}

std::ostream& operator<<(std::ostream& stream, const RecurrentOptions& options) {
  return stream << std::boolalpha << "input_size=" << options.input_size << ", hidden_size=" << options.hidden_size
                << ", num_layers=" << options.num_layers << ", bias=" << options.bias << ", batch_first=" << options.batch_first
                << ", dropout=" << options.dropout << ", bidirectional=" << options.bidirectional;
}

}  // namespace octet::nn
