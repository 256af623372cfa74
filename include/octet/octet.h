#pragma once

/// All of Octet. A model needs `namespace nn = octet::nn;` in place of `namespace nn = torch::nn;`.

#include <octet/io/safetensors.h>
#include <octet/io/save_load.h>
#include <octet/models/mobilenet_v2.h>
#include <octet/models/resnet.h>
#include <octet/nn/dynamic_linear.h>
#include <octet/nn/dynamic_rnn.h>
#include <octet/nn/dynamic_rnn_cells.h>
#include <octet/nn/conv_add.h>
#include <octet/nn/modules.h>
#include <octet/nn/qfunctional.h>
#include <octet/nn/quantizable_lstm.h>
#include <octet/nn/quantizable_multihead_attention.h>
#include <octet/nn/quantize.h>
#include <octet/nn/quantized_conv.h>
#include <octet/nn/quantized_embedding.h>
#include <octet/nn/quantized_linear.h>
#include <octet/nn/quantized_lstm.h>
#include <octet/nn/quantized_multihead_attention.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/observe/entropy_observer.h>
#include <octet/observe/mse_observer.h>
#include <octet/observe/percentile_observer.h>
#include <octet/observe/qconfig_mapping.h>
#include <octet/tensor/float_fallback.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>
#include <octet/workflow/add_quant_dequant.h>
#include <octet/workflow/convert.h>
#include <octet/workflow/fuse_all.h>
#include <octet/workflow/fuse_modules.h>
#include <octet/workflow/prepare.h>
#include <octet/workflow/quantize_dynamic.h>
