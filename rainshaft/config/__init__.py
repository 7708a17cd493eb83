"""The configuration: keys, checks, messages, reference."""
