"""chipwise: from a chip's datasheet to tokens per second, dollars, licence status and dependence."""
