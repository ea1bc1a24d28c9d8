"""What ran, on what, and how fast: machine facts, contenders, and comparisons between them."""
