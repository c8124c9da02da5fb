"""One dead letter, made readable: its body, its headers, its tracebacks, its history."""
