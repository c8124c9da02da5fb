"""The demo: a development broker, a worker, the web server and a little traffic, started and ended together."""
