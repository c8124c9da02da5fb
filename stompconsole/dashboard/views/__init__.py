"""One module for each page, its actions with it."""
