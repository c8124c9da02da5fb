"""One module for each case, one function for each variant of it."""
