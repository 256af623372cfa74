"""A model trained in Python: its state dict as safetensors bytes, and what it computes."""

import safetensors.torch
import torch

from oracle_support import save


class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = torch.nn.EmbeddingBag(20, 8)
        self.gru = torch.nn.GRU(8, 6, num_layers=2, bidirectional=True)
        self.bn = torch.nn.BatchNorm1d(12)
        self.head = torch.nn.Sequential(torch.nn.Linear(12, 10), torch.nn.ReLU(), torch.nn.Linear(10, 3))

    def forward(self, words):
        hidden = self.gru(self.bag(words).unsqueeze(1))[0].squeeze(1)
        return self.head(self.bn(hidden))


torch.manual_seed(2)
model = Tagger()
words = torch.randint(0, 20, (5, 4))
model(words)  # moves the batch norm's statistics
model.eval()
data = safetensors.torch.save(model.state_dict())
save({"file": torch.frombuffer(bytearray(data), dtype=torch.uint8), "words": words, "out": model(words).detach()})
