"""Networks larger than the array: cut into passes that run one after another, exactly."""
