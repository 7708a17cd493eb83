"""The networks of baselines. They import torch, so a method imports them only when it makes members."""
