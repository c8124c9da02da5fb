"""A message in, a disposition out: codecs, handlers, retries, settlement, the threads that run them. No Django."""
