"""chipwise: a chip's datasheet → tokens per second, dollars, licence status and dependence."""
