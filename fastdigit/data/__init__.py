"""Where digits come from: files, the built-in generator, and the data set they end up in."""
