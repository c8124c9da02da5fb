"""What open pages are sent: rendered once a tick for everybody who looks at the same thing."""
