"""One process of ``runworker stomp``: what it should run (pure), its leases, its threads' lives, what it reports."""
