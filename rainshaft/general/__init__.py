"""General networks: their weights come with the package, and refine the coarse rain of any place without training."""
