"""rainshaft: a conditional VAE that turns coarse climate fields into sharp, honest, high-resolution rain."""

__version__ = "0.1.0"
